import Glibc
import Synchronization

/// Ends waits that have lasted too long, to within a quarter of a second: for work on threads that no event loop watches.
///
/// Its thread is there while somebody waits.
final class WaitWatch: Sendable {
    private struct State {
        var waits: [UInt64: (deadline: ContinuousClock.Instant, waiter: Waiter)] = [:]
        var last: UInt64 = 0
        var isWatching = false
    }
    private let state = Mutex(State())
    private static let pauseMicroseconds: UInt32 = 250_000

    /// - Returns: what `forget` is to be told when the wait is over
    func watch(_ waiter: Waiter, until deadline: ContinuousClock.Instant) -> UInt64 {
        let (id, isFirst) = state.withLock { state in
            state.last += 1
            state.waits[state.last] = (deadline, waiter)
            defer { state.isWatching = true }
            return (state.last, !state.isWatching)
        }
        if isFirst { pthread_detach(startThread { [self] in while look() { usleep(WaitWatch.pauseMicroseconds) } }) }
        return id
    }

    func forget(_ id: UInt64) { state.withLock { $0.waits[id] = nil } }

    /// False when nobody waits any more.
    private func look() -> Bool {
        let now = ContinuousClock.now
        let (overdue, goesOn) = state.withLock { state in
            let overdue = state.waits.filter { $0.value.deadline <= now }
            for id in overdue.keys { state.waits[id] = nil }
            state.isWatching = !state.waits.isEmpty
            return (overdue.values.map(\.waiter), state.isWatching)
        }
        for waiter in overdue { waiter.resume(.timedOut) }
        return goesOn
    }
}
