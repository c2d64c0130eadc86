import CLinux
import Glibc
import Synchronization

/// How a descriptor is watched.
package enum Trigger: Sendable {
    /// Registered once; the caller reads and writes until EAGAIN and says so.
    case edge
    /// Armed anew by each wait, with level semantics: for libraries that read the socket themselves.
    case oneShot
}

package enum WaitError: Error, Sendable { case timedOut, cancelled, closed }

/// A file descriptor that a loop watches and that this object owns. It may be used and closed from any thread; on the loop's
/// own it is cheapest.
package final class Descriptor: Sendable {
    /// The tasks that wait for one direction; hardly ever more than one, so that the list costs nothing.
    private struct Line {
        var first: Waiter?
        var others: [Waiter] = []

        var isEmpty: Bool { first == nil && others.isEmpty }

        mutating func add(_ waiter: Waiter) {
            if first == nil { first = waiter } else { others.append(waiter) }
        }

        mutating func remove(_ waiter: Waiter) {
            if first === waiter { first = nil } else if !others.isEmpty { others.removeAll { $0 === waiter } }
        }

        mutating func takeAll() -> Line {
            defer { self = Line() }
            return self
        }

        func resume(_ outcome: Waiter.Outcome) {
            first?.resume(outcome)
            for waiter in others { waiter.resume(outcome) }
        }
    }

    private struct State {
        var isReadable = false
        var isWritable = false
        /// The peer ended or broke the connection: no further edge will tell, so reading goes on until it is found.
        var isHungUp = false
        var isClosed = false
        var readers = Line()
        var writers = Line()

        var interest: UInt32 { (readers.isEmpty ? 0 : CLINUX_READABLE) | (writers.isEmpty ? 0 : CLINUX_WRITABLE) }
    }

    /// Its number is given to another file once this is closed: for calls that may meet a `close`, see `withOpenFD`.
    package let fd: CInt
    package let loop: EventLoop
    private let trigger: Trigger
    private let ownsFD: Bool
    private let token: UInt64
    private let state = Mutex(State())

    init(fd: CInt, loop: EventLoop, trigger: Trigger, ownsFD: Bool, token: UInt64) {
        self.fd = fd
        self.loop = loop
        self.trigger = trigger
        self.ownsFD = ownsFD
        self.token = token
    }

    deinit { close() }

    /// Makes a call that does not block while the descriptor cannot be closed; nil if it is closed. Without this, a close by
    /// another task would let the call reach whatever file was given the same number next.
    package func withOpenFD<Answer: Sendable>(_ call: (CInt) -> Answer) -> Answer? {
        state.withLock { $0.isClosed ? nil : call(fd) }
    }

    /// Waits until the descriptor may be read without blocking: data, end of file, or an error to be found by reading.
    package func readable(deadline: ContinuousClock.Instant? = nil) async throws(WaitError) {
        try await wait(forReading: true, deadline)
    }

    package func writable(deadline: ContinuousClock.Instant? = nil) async throws(WaitError) {
        try await wait(forReading: false, deadline)
    }

    /// With `.edge`: whether a read is worth trying. False only if a read has found nothing since epoll last spoke.
    package var mayBeReadable: Bool { state.withLock { $0.isReadable } }

    /// With `.edge`: a read found nothing more.
    package func drainedReadable() {
        state.withLock { $0.isReadable = false }
        lookAgain(POLLIN | Int32(CLINUX_PEER_CLOSED)) { $0.isReadable = true }
    }

    /// With `.edge`: a read got less than it had room for, so nothing is left, unless the end of the stream is (epoll(7)).
    package func readShort() {
        guard EventLoop.current === loop else { return }
        state.withLock { state in
            if !state.isHungUp { state.isReadable = false }
        }
    }

    /// With `.edge`: a write found no room.
    package func drainedWritable() {
        state.withLock { $0.isWritable = false }
        lookAgain(POLLOUT) { $0.isWritable = true }
    }

    /// On another thread than the loop's, an event may have been noted between the caller's EAGAIN and ours taking it back.
    private func lookAgain(_ events: Int32, _ note: (inout State) -> Void) {
        guard EventLoop.current !== loop else { return }
        state.withLock { state in
            guard !state.isClosed else { return }
            var one = pollfd(fd: fd, events: Int16(events), revents: 0)
            if poll(&one, 1, 0) != 0 { note(&state) }
        }
    }

    /// accept4 on a listening socket: a non-blocking descriptor, or the error number.
    package func acceptConnection() -> Result<CInt, SystemError> {
        let accepted: Result<CInt, SystemError>? = withOpenFD { fd in
            let connection = clinux_accept(fd)
            return connection >= 0 ? .success(connection) : .failure(SystemError("accept4"))
        }
        return accepted ?? .failure(SystemError("accept4", errno: EBADF))
    }

    /// Stops watching, wakes who waits, and closes the descriptor if it is owned. Safe to call again.
    package func close() {
        let waiting: (Line, Line)? = state.withLock { state in
            guard !state.isClosed else { return nil }
            state.isClosed = true
            _ = clinux_epoll_control(loop.epoll, CLINUX_REMOVE, fd, 0, 0)
            if ownsFD { Glibc.close(fd) }
            return (state.readers.takeAll(), state.writers.takeAll())
        }
        guard let waiting else { return }
        loop.watches.withLock { $0.remove(token) }
        waiting.0.resume(.closed)
        waiting.1.resume(.closed)
    }

    /// Leaves the file to the caller, who was told that it cannot be watched.
    func abandon() { state.withLock { $0.isClosed = true } }

    private func wait(forReading: Bool, _ deadline: ContinuousClock.Instant?) async throws(WaitError) {
        let begin = state.withLock { state in
            if state.isClosed { return Begin.closed }
            if forReading ? state.isReadable : state.isWritable { return .ready }
            let waiter = Waiter()
            if forReading { state.readers.add(waiter) } else { state.writers.add(waiter) }
            guard trigger == .oneShot else { return .wait(waiter) }
            let events = state.interest | CLINUX_ONESHOT
            if clinux_epoll_control(loop.epoll, CLINUX_MODIFY, fd, events, token) == 0 { return .wait(waiter) }
            if forReading { state.readers.remove(waiter) } else { state.writers.remove(waiter) }
            return .closed
        }
        switch begin {
        case .ready: return
        case .closed: throw .closed
        case .wait(let waiter): try await wait(waiter, forReading, deadline)
        }
    }

    private enum Begin: Sendable {
        case ready, closed
        case wait(Waiter)
    }

    private func wait(_ waiter: Waiter, _ forReading: Bool, _ deadline: ContinuousClock.Instant?)
        async throws(WaitError)
    {
        let timer = deadline.map { loop.addTimer($0) { waiter.resume(.timedOut) } }
        let outcome = await withTaskCancellationHandler {
            await waiter.wait()
        } onCancel: {
            waiter.resume(.cancelled)
        }
        if let timer { loop.removeTimer(timer) }
        switch outcome {
        case .ready: return
        case .closed: throw .closed
        case .timedOut, .cancelled:
            state.withLock { if forReading { $0.readers.remove(waiter) } else { $0.writers.remove(waiter) } }
            throw outcome == .timedOut ? .timedOut : .cancelled
        }
    }

    /// Called on the loop's thread with what epoll reported.
    func happened(_ events: UInt32) {
        let readable = events & (CLINUX_READABLE | CLINUX_CLOSED) != 0
        let writable = events & (CLINUX_WRITABLE | CLINUX_CLOSED) != 0
        let (readers, writers) = state.withLock { state in
            guard !state.isClosed else { return (Line(), Line()) }
            if events & (CLINUX_PEER_CLOSED | CLINUX_CLOSED) != 0 { state.isHungUp = true }
            if trigger == .edge {
                if readable { state.isReadable = true }
                if writable { state.isWritable = true }
            }
            let readers = readable ? state.readers.takeAll() : Line()
            let writers = writable ? state.writers.takeAll() : Line()
            if trigger == .oneShot, state.interest != 0 {
                _ = clinux_epoll_control(loop.epoll, CLINUX_MODIFY, fd, state.interest | CLINUX_ONESHOT, token)
            }
            return (readers, writers)
        }
        readers.resume(.ready)
        writers.resume(.ready)
    }
}
