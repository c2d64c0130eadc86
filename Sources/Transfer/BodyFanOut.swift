package import HTTP
import Synchronization

/// One body for several readers, each run read once and shared. The next run is read when every reader that is still in has
/// taken the one before: the slowest sets the pace, and nothing piles up.
package final class BodyFanOut: Sendable {
    private enum Turn {
        case run(Bytes?)
        case failed(BodyError)
        /// This reader fetches the next run for all.
        case fetch
        case wait
    }

    private struct State {
        /// How many runs were fetched.
        var sequence = 0
        var run: Bytes?
        var failure: BodyError?
        var isFetching = false
        /// Runs taken by each reader; nil once it dropped out.
        var taken: [Int?]
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
    }

    private let source: any BodyReader
    private let state: Mutex<State>

    package init(_ source: any BodyReader, readers: Int) {
        self.source = source
        state = Mutex(State(taken: Array(repeating: 0, count: readers)))
    }

    package func reader(_ index: Int) -> any BodyReader { Reader(self, index) }

    /// A reader whose backend failed no longer holds the others up.
    package func drop(_ index: Int) {
        let waiting = state.withLock { state in
            state.taken[index] = nil
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for one in waiting { one.resume() }
    }

    private final class Reader: BodyReader {
        private let fanOut: BodyFanOut
        private let index: Int
        init(_ fanOut: BodyFanOut, _ index: Int) {
            self.fanOut = fanOut
            self.index = index
        }
        deinit { fanOut.drop(index) }
        func next() async throws(BodyError) -> Bytes? { try await fanOut.next(index) }
    }

    private func next(_ index: Int) async throws(BodyError) -> Bytes? {
        while true {
            switch state.withLock({ BodyFanOut.turn(&$0, index) }) {
            case .run(let run): return run
            case .failed(let error): throw error
            case .fetch: await fetch()
            case .wait: await wait(index)
            }
        }
    }

    private static func turn(_ state: inout State, _ index: Int) -> Turn {
        guard let taken = state.taken[index] else { return .failed(.cancelled) }
        if taken < state.sequence {
            state.taken[index] = state.sequence
            if let failure = state.failure { return .failed(failure) }
            return .run(state.run)
        }
        if let failure = state.failure { return .failed(failure) }
        if state.sequence > 0, state.run == nil { return .run(nil) }
        let everybodyHasIt = state.taken.allSatisfy { $0.map { $0 == state.sequence } ?? true }
        guard everybodyHasIt, !state.isFetching else { return .wait }
        state.isFetching = true
        return .fetch
    }

    private func fetch() async {
        var run: Bytes?
        var failure: BodyError?
        do throws(BodyError) { run = try await source.next() } catch { failure = error }
        let waiting = state.withLock { state in
            state.isFetching = false
            state.sequence += 1
            state.run = run
            state.failure = failure
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for one in waiting { one.resume() }
    }

    /// Until something changed for this reader.
    private func wait(_ index: Int) async {
        await withCheckedContinuation { continuation in
            let mayGoOn = state.withLock { state in
                // Looked at again under the lock, so that no change is missed in between.
                let everybodyHasIt = state.taken.allSatisfy { $0.map { $0 == state.sequence } ?? true }
                guard let taken = state.taken[index], taken == state.sequence, state.failure == nil,
                    state.isFetching || !everybodyHasIt
                else { return true }
                state.waiting[index] = continuation
                return false
            }
            if mayGoOn { continuation.resume() }
        }
    }
}
