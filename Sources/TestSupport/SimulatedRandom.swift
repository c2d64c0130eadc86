package import Catalog
import Synchronization

/// SplitMix64: the same seed, the same run.
package struct SimulatedRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64
    package init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5678_9ABC_DEF1 }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    /// True in `percent` of 100 cases.
    package mutating func chance(_ percent: Int) -> Bool { Int(next() % 100) < percent }
    /// In 0..<bound.
    package mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }
    package mutating func pick<Item>(_ items: [Item]) -> Item? { items.isEmpty ? nil : items[below(items.count)] }
}

/// Ids from a seed: random as in production, and the same in every run.
package final class SimulatedIdentifiers: IdentifierSource {
    private struct State: Sendable {
        var random: SimulatedRandom
        var order: UInt64 = 0
    }
    private let state: Mutex<State>
    /// Takes away a protection: every name gets the same end.
    private let reusesNames: Bool

    package init(seed: UInt64 = 1, reusesNames: Bool = false) {
        state = Mutex(State(random: SimulatedRandom(seed: seed)))
        self.reusesNames = reusesNames
    }

    private func ordered() -> ID128 {
        state.withLock { state in
            state.order += 1
            return ID128(high: state.order << 16 | 0x7000, low: state.random.next())
        }
    }
    private func unordered() -> ID128 { state.withLock { ID128(high: $0.random.next(), low: $0.random.next()) } }

    package func makeVersionID() -> VersionID { VersionID(ordered()) }
    package func makeCopyID() -> CopyID { CopyID(ordered()) }
    package func makeLeaseToken() -> LeaseToken { LeaseToken(unordered()) }
    package func makeUploadID() -> UploadID { UploadID(unordered()) }
    package func makeNameSuffix() -> UInt32 {
        reusesNames ? 0 : state.withLock { UInt32(truncatingIfNeeded: $0.random.next()) & 0x3FFF_FFFF }
    }
}
