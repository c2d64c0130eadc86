import CLinux
import Synchronization

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
    /// Watches `fd` on this loop. With `owning`, closing the descriptor closes `fd`; if this throws, it is still the caller's.
    package func watch(_ fd: CInt, _ trigger: Trigger, owning: Bool = true) throws(SystemError) -> Descriptor {
        let token = watches.withLock { $0.reserve() }
        let descriptor = Descriptor(fd: fd, loop: self, trigger: trigger, ownsFD: owning, token: token)
        watches.withLock { $0.add(descriptor, token) }
        let events = trigger == .edge ? CLINUX_READABLE | CLINUX_WRITABLE | CLINUX_EDGE : CLINUX_ONESHOT
        guard clinux_epoll_control(epoll, CLINUX_ADD, fd, events, token) == 0 else {
            let error = SystemError("epoll_ctl")
            watches.withLock { $0.remove(token) }
            descriptor.abandon()
            throw error
        }
        return descriptor
    }
}
