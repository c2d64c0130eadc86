import EventLoop
import HTTP
import Synchronization
import Testing
import Transport

@Suite(.timeLimit(.minutes(1))) struct ShutdownTests {
    @Test func `a shutdown ends idle connections, finishes a request under way, and refuses new ones`() async throws {
        let mayAnswer = Mutex(false)
        let isHandling = Mutex(false)
        let answer: @Sendable (Request) async -> Response = { _ in
            isHandling.withLock { $0 = true }
            _ = try? await eventually { mayAnswer.withLock { $0 } }
            return text(200, "finished")
        }
        try await withServer(answer: answer) { served in
            let idle = try await served.peer()
            let busy = try await served.peer()
            try await busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try await eventually { isHandling.withLock { $0 } && served.server.connectionCount == 2 })
            async let shutdown: Void = served.server.shutdown(grace: .seconds(20))
            #expect(try await idle.receiveAll() == "")
            await #expect(throws: (any Error).self) {
                let late = try await served.peer()
                try await late.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try await late.receive(upTo: "\r\n")
            }
            mayAnswer.withLock { $0 = true }
            let answer = try await busy.receiveAll()
            #expect(answer.hasSuffix("finished") && answer.contains("Connection: close\r\n"))
            busy.close()
            await shutdown
            #expect(served.server.connectionCount == 0)
        }
    }

    @Test func `what goes on after the grace is cancelled and reset`() async throws {
        let isCancelled = Mutex(false)
        let isHandling = Mutex(false)
        let answer: @Sendable (Request) async -> Response = { _ in
            isHandling.withLock { $0 = true }
            do { try await EventLoop.sleep(for: .seconds(60)) } catch { isCancelled.withLock { $0 = true } }
            return text(200, "late")
        }
        try await withServer(answer: answer) { served in
            let peer = try await served.peer()
            try await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try await eventually { isHandling.withLock { $0 } })
            await served.server.shutdown(grace: .milliseconds(30))
            #expect(isCancelled.withLock { $0 })
            #expect(served.server.connectionCount == 0)
            await #expect(throws: RawPeer.Failure.reset) { _ = try await peer.receiveAll() }
        }
    }
}
