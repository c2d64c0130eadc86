package import HTTP
import Synchronization

/// One body for several readers, each run read once and shared.
///
/// `pump` reads; readers take. The next run is fetched when every reader that is still in holds the one before, so the slowest sets
/// the pace and at most two runs are in memory. Nothing is read before somebody asks, so that a body whose targets all fail to
/// connect is still whole. Readers never touch the source: one that is cancelled leaves the others alone.
package final class BodyFanOut: Sendable {
    private enum End {
        case finished
        case failed(BodyError)
    }

    private enum Turn {
        case run(Bytes)
        case finished
        case failed(BodyError)
        case wait
    }

    private struct State {
        /// How many runs were fetched.
        var sequence = 0
        var run = Bytes.empty
        var end: End?
        var isWanted = false
        /// Runs taken by each reader; nil once it dropped out.
        var taken: [Int?]
        var readers: [Int: CheckedContinuation<Void, Never>] = [:]
        var pump: CheckedContinuation<Void, Never>?

        var isAbandoned: Bool { taken.allSatisfy { $0 == nil } }
        var mayFetch: Bool { isWanted && taken.allSatisfy { $0.map { $0 == sequence } ?? true } }
    }

    private let source: any BodyReader
    private let state: Mutex<State>

    package init(_ source: any BodyReader, readers: Int) {
        self.source = source
        state = Mutex(State(taken: Array(repeating: 0, count: readers)))
    }

    package func reader(_ index: Int) -> any BodyReader { Reader(self, index) }

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

    // MARK: The reading side

    /// Reads the source until its end, its failure, cancellation, or until no reader is left. Run as a task beside the readers.
    package func pump() async {
        while await waitForDemand() {
            var end: End?
            var run: Bytes?
            do throws(BodyError) {
                run = try await source.next()
                if run == nil { end = .finished }
            } catch {
                end = .failed(error)
            }
            publish(run, end)
            if end != nil { return }
        }
        // Nobody waits for a pump that was cancelled.
        publish(nil, .failed(.cancelled))
    }

    private func publish(_ run: Bytes?, _ end: End?) {
        let waiting = state.withLock { state in
            if let run {
                state.sequence += 1
                state.run = run
            }
            state.end = state.end ?? end
            defer { state.readers = [:] }
            return state.readers
        }
        for one in waiting.values { one.resume() }
    }

    /// False when there is nobody left to read for.
    private func waitForDemand() async -> Bool {
        while !Task.isCancelled {
            let verdict = state.withLock { $0.isAbandoned ? false : $0.mayFetch ? true : nil }
            if let verdict { return verdict }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    // Looked at again under the lock, so that no change is missed in between.
                    let goesOn = state.withLock { state in
                        if state.isAbandoned || state.mayFetch || Task.isCancelled { return true }
                        state.pump = continuation
                        return false
                    }
                    if goesOn { continuation.resume() }
                }
            } onCancel: {
                wakePump()
            }
        }
        return false
    }

    private func wakePump() {
        let pump = state.withLock { state in
            defer { state.pump = nil }
            return state.pump
        }
        pump?.resume()
    }

    // MARK: The taking side

    /// A reader whose backend failed no longer holds the others up.
    package func drop(_ index: Int) {
        let (pump, reader) = state.withLock { state in
            state.taken[index] = nil
            let reader = state.readers.removeValue(forKey: index)
            guard state.isAbandoned || state.mayFetch else { return (CheckedContinuation<Void, Never>?.none, reader) }
            defer { state.pump = nil }
            return (state.pump, reader)
        }
        pump?.resume()
        reader?.resume()
    }

    private func next(_ index: Int) async throws(BodyError) -> Bytes? {
        while true {
            let (turn, pump) = state.withLock { state in
                let turn = BodyFanOut.turn(&state, index)
                guard state.mayFetch else { return (turn, CheckedContinuation<Void, Never>?.none) }
                defer { state.pump = nil }
                return (turn, state.pump)
            }
            pump?.resume()
            switch turn {
            case .run(let run): return run
            case .finished: return nil
            case .failed(let error): throw error
            case .wait:
                if Task.isCancelled { throw .cancelled }
                await wait(index)
            }
        }
    }

    private static func turn(_ state: inout State, _ index: Int) -> Turn {
        guard let taken = state.taken[index] else { return .failed(.cancelled) }
        state.isWanted = true
        if taken < state.sequence {
            state.taken[index] = state.sequence
            return .run(state.run)
        }
        switch state.end {
        case .finished: return .finished
        case .failed(let error): return .failed(error)
        case nil: return .wait
        }
    }

    /// Until something changed for this reader.
    private func wait(_ index: Int) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock { state in
                    guard let taken = state.taken[index], taken == state.sequence, state.end == nil, !Task.isCancelled
                    else { return true }
                    state.readers[index] = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.readers.removeValue(forKey: index) }?.resume()
        }
    }
}
