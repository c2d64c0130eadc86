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

/// A file descriptor that a loop watches and that this object owns. One task waits to read and one to write at a time.
package final class Descriptor: Sendable {
    private struct State {
        var isReadable = false
        var isWritable = false
        var isClosed = false
        var reader: Waiter?
        var writer: Waiter?
    }

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

    /// Waits until the descriptor may be read without blocking: data, end of file, or an error to be found by reading.
    package func readable(deadline: ContinuousClock.Instant? = nil) async throws(WaitError) {
        try await wait(forReading: true, deadline)
    }

    package func writable(deadline: ContinuousClock.Instant? = nil) async throws(WaitError) {
        try await wait(forReading: false, deadline)
    }

    /// With `.edge`: a read found nothing more.
    package func drainedReadable() { state.withLock { $0.isReadable = false } }

    /// With `.edge`: a write found no room.
    package func drainedWritable() { state.withLock { $0.isWritable = false } }

    /// accept4 on a listening socket: a non-blocking descriptor, or -1 with `errno` set.
    package func acceptConnection() -> CInt { clinux_accept(fd) }

    /// Stops watching, wakes who waits, and closes the descriptor if it is owned. Safe to call again.
    package func close() {
        let waiters: [Waiter]? = state.withLock { state in
            guard !state.isClosed else { return nil }
            state.isClosed = true
            defer { (state.reader, state.writer) = (nil, nil) }
            return [state.reader, state.writer].compactMap { $0 }
        }
        guard let waiters else { return }
        loop.watches.withLock { $0.remove(token) }
        _ = clinux_epoll_control(loop.epoll, CLINUX_REMOVE, fd, 0, 0)
        if ownsFD { Glibc.close(fd) }
        for waiter in waiters { waiter.resume(.closed) }
    }

    deinit { close() }

    private func wait(forReading: Bool, _ deadline: ContinuousClock.Instant?) async throws(WaitError) {
        let waiter = Waiter()
        enum Begin { case ready, closed, wait(UInt32) }
        let begin: Begin = state.withLock { state in
            if state.isClosed { return .closed }
            if forReading ? state.isReadable : state.isWritable { return .ready }
            if forReading { state.reader = waiter } else { state.writer = waiter }
            return .wait((state.reader == nil ? 0 : CLINUX_READABLE) | (state.writer == nil ? 0 : CLINUX_WRITABLE))
        }
        switch begin {
        case .ready: return
        case .closed: throw .closed
        case .wait(let interest):
            if trigger == .oneShot {
                guard clinux_epoll_control(loop.epoll, CLINUX_MODIFY, fd, interest | CLINUX_ONESHOT, token) == 0 else {
                    throw .closed
                }
            }
        }
        let timer = deadline.map { loop.addTimer($0) { waiter.resume(.timedOut) } }
        let outcome = await withTaskCancellationHandler {
            await waiter.wait()
        } onCancel: {
            waiter.resume(.cancelled)
        }
        if let timer { loop.removeTimer(timer) }
        state.withLock { state in
            if forReading, state.reader === waiter { state.reader = nil }
            if !forReading, state.writer === waiter { state.writer = nil }
        }
        switch outcome {
        case .ready: return
        case .timedOut: throw .timedOut
        case .cancelled: throw .cancelled
        case .closed: throw .closed
        }
    }

    /// Called on the loop's thread with what epoll reported.
    func happened(_ events: UInt32) {
        let readable = events & (CLINUX_READABLE | CLINUX_CLOSED) != 0
        let writable = events & (CLINUX_WRITABLE | CLINUX_CLOSED) != 0
        let (woken, rearm): ([Waiter], UInt32) = state.withLock { state in
            var woken: [Waiter] = []
            if readable {
                if trigger == .edge { state.isReadable = true }
                if let reader = state.reader { woken.append(reader) }
                state.reader = nil
            }
            if writable {
                if trigger == .edge { state.isWritable = true }
                if let writer = state.writer { woken.append(writer) }
                state.writer = nil
            }
            let rest = (state.reader == nil ? 0 : CLINUX_READABLE) | (state.writer == nil ? 0 : CLINUX_WRITABLE)
            return (woken, trigger == .oneShot ? rest : 0)
        }
        if rearm != 0 { _ = clinux_epoll_control(loop.epoll, CLINUX_MODIFY, fd, rearm | CLINUX_ONESHOT, token) }
        for waiter in woken { waiter.resume(.ready) }
    }
}

/// Descriptors by token. Tokens are never used again, so an event of a closed descriptor cannot reach its successor.
struct WatchTable: Sendable {
    static let wakeupToken: UInt64 = 0
    private struct Entry {
        weak var descriptor: Descriptor?
    }
    private var entries: [UInt64: Entry] = [:]
    private var nextToken: UInt64 = 1

    mutating func reserve() -> UInt64 {
        defer { nextToken += 1 }
        return nextToken
    }

    mutating func add(_ descriptor: Descriptor, _ token: UInt64) { entries[token] = Entry(descriptor: descriptor) }
    mutating func remove(_ token: UInt64) { entries[token] = nil }
    func find(_ token: UInt64) -> Descriptor? { entries[token]?.descriptor }
}

extension EventLoop {
    /// Watches `fd` on this loop. With `owning`, closing the descriptor closes `fd`.
    package func watch(_ fd: CInt, _ trigger: Trigger, owning: Bool = true) throws(SystemError) -> Descriptor {
        let token = watches.withLock { $0.reserve() }
        let descriptor = Descriptor(fd: fd, loop: self, trigger: trigger, ownsFD: owning, token: token)
        watches.withLock { $0.add(descriptor, token) }
        let events = trigger == .edge ? CLINUX_READABLE | CLINUX_WRITABLE | CLINUX_EDGE : CLINUX_ONESHOT
        guard clinux_epoll_control(epoll, CLINUX_ADD, fd, events, token) == 0 else {
            let error = SystemError("epoll_ctl")
            watches.withLock { $0.remove(token) }
            throw error
        }
        return descriptor
    }
}
