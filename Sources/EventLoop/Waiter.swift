import Synchronization

/// A one-time rendezvous between a task that waits and whatever ends the wait; the first outcome wins.
package final class Waiter: Sendable {
    package enum Outcome: Sendable { case ready, timedOut, cancelled, closed }
    private enum State {
        case idle
        case waiting(UnsafeContinuation<Outcome, Never>)
        case done(Outcome)
    }
    private let state = Mutex(State.idle)

    package init() {}

    package func wait() async -> Outcome {
        await withUnsafeContinuation { continuation in
            let outcome: Outcome? = state.withLock { state in
                if case .done(let outcome) = state { return outcome }
                state = .waiting(continuation)
                return nil
            }
            if let outcome { continuation.resume(returning: outcome) }
        }
    }

    package func resume(_ outcome: Outcome) {
        let continuation: UnsafeContinuation<Outcome, Never>? = state.withLock { state in
            switch state {
            case .idle:
                state = .done(outcome)
                return nil
            case .waiting(let continuation):
                state = .done(outcome)
                return continuation
            case .done: return nil
            }
        }
        continuation?.resume(returning: outcome)
    }
}
