import CLinux
import Glibc

/// Lets a thread that runs no loop wait for something that happens on one; opened once.
package final class ThreadLatch: Sendable {
    private let event: CInt

    package init() {
        event = eventfd(0, CLINUX_EPOLL_CLOEXEC)
        precondition(event >= 0, "eventfd: \(errno)")
    }

    deinit { Glibc.close(event) }

    package func open() {
        var one: UInt64 = 1
        _ = Glibc.write(event, &one, 8)
    }

    package func wait() {
        var value: UInt64 = 0
        while Glibc.read(event, &value, 8) < 0, errno == EINTR {}
    }
}
