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

    package func resume(_ outcome: Outcome) { _ = resumed(outcome) }

    /// Whether the wait has ended, however.
    var isOver: Bool {
        state.withLock { if case .done = $0 { true } else { false } }
    }

    /// As `resume`; false if the wait had ended before.
    package func resumed(_ outcome: Outcome) -> Bool {
        enum Answer {
            case late, first
            case waiting(UnsafeContinuation<Outcome, Never>)
        }
        let answer: Answer = state.withLock { state in
            switch state {
            case .idle:
                state = .done(outcome)
                return .first
            case .waiting(let continuation):
                state = .done(outcome)
                return .waiting(continuation)
            case .done: return .late
            }
        }
        switch answer {
        case .late: return false
        case .first: return true
        case .waiting(let continuation):
            continuation.resume(returning: outcome)
            return true
        }
    }
}
