package import Catalog
package import Spec

/// What a backend's copies are good for, under the desired state.
package enum BackendRole: Sendable, Equatable {
    /// Active, declared, answering, identified: copies count, new ones may come.
    case staying
    /// Copies count as being there, but none is added and none elsewhere is dropped because of them.
    case away
    /// Draining or removed: copies are to leave.
    case leaving
    /// Undeclared, frozen, or gone for longer than the repair delay: read if possible, not counted.
    case uncounted
}

/// What is to be done for a version that is held by certain backends. The same function decides for a whole group in a plan and for
/// one claimed version in a worker.
package struct VersionDecision: Sendable, Equatable {
    /// New copies, in this order.
    package var targets: [BackendID]
    /// Copies that may be doomed once the new ones are live.
    package var dooms: [BackendID]
    /// Nil if everything that is needed can be done.
    package var blocked: Reason?
    package init(targets: [BackendID], dooms: [BackendID], blocked: Reason?) {
        self.targets = targets
        self.dooms = dooms
        self.blocked = blocked
    }
}

package enum VersionPlanner {
    /// - Parameters:
    ///   - holders: backends with a live, unsuspected copy
    ///   - suspects: backends with a live but suspect copy
    package static func decide(
        holders: [BackendID], suspects: [BackendID], factor: Int, size: ByteCount, roles: [BackendID: BackendRole],
        standings: [BackendStanding], routing: Routing
    ) -> VersionDecision {
        func role(_ id: BackendID) -> BackendRole { roles[id] ?? .uncounted }
        let staying = holders.filter { role($0) == .staying }
        let counted = holders.filter { role($0) == .staying || role($0) == .away }
        let leaving = Set(holders + suspects).filter { role($0) == .leaving }.sorted()
        let healed = suspects.filter { role($0) == .staying }
        let isReadable = !(holders + suspects).isEmpty
        let need = max(0, factor - counted.count)
        let targets = need == 0 || !isReadable
            ? []
            : Array(
                Placement.targets(for: size, routing: routing, among: standings, excluding: Set(holders).union(suspects)).prefix(need))
        let after = staying.count + targets.count
        let required = max(1, min(factor, holders.count))
        let mayDoom = after >= required
        var blocked: Reason?
        if targets.count < need || !leaving.isEmpty && !mayDoom {
            let wouldFit = Placement.targets(for: .zero, routing: routing, among: standings, excluding: Set(holders).union(suspects))
            blocked = !isReadable ? .sourceUnreadable : wouldFit.count > targets.count ? .insufficientRoom : .insufficientTargets
        }
        return VersionDecision(
            targets: targets, dooms: mayDoom ? leaving + healed.filter { _ in after >= factor } : [], blocked: blocked)
    }
}
