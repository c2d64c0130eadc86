import EventLoop
import Glibc
import Testing

@Suite(.timeLimit(.minutes(1))) struct SignalStreamTests {
    @Test func `signals are awaited in the order of their coming`() async throws {
        let seen = try await onLoop { loop in
            let signals = try SignalStream([SIGUSR1, SIGUSR2], on: loop)
            kill(getpid(), SIGUSR1)
            let first = await signals.next()
            loop.spawn { kill(getpid(), SIGUSR2) }
            return [first, await signals.next()]
        }
        #expect(seen == [SIGUSR1, SIGUSR2])
    }
}
