import CLinux
import Glibc

/// Signals as something to await, through a pipe that the handler writes to.
package final class SignalStream: Sendable {
    private let descriptor: Descriptor

    /// Takes the signals away from their default actions; call it before other threads matter to them.
    package init(_ signals: [CInt], on loop: EventLoop) throws(SystemError) {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SystemError("pipe") }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        SignalStream.writeEnd = ends[1]
        descriptor = try loop.watch(ends[0], .edge)
        for one in signals { signal(one, SignalStream.note) }
    }

    /// Written once, before any signal is taken; read by the handler, which may use nothing but write(2).
    nonisolated(unsafe) private static var writeEnd: CInt = -1

    private static let note: @convention(c) (CInt) -> Void = { number in
        var byte = UInt8(truncatingIfNeeded: number)
        let saved = errno
        _ = Glibc.write(SignalStream.writeEnd, &byte, 1)
        errno = saved
    }

    /// The next signal's number; nil when the task was cancelled.
    package func next() async -> CInt? {
        while true {
            var byte: UInt8 = 0
            if Glibc.read(descriptor.fd, &byte, 1) == 1 { return CInt(byte) }
            descriptor.drainedReadable()
            do throws(WaitError) { try await descriptor.readable() } catch { return nil }
        }
    }
}
