import EventLoop
import HTTP
import Synchronization
import Testing
import Transport

/// What handlers saw of the bodies that they read.
private final class Seen: Sendable {
    private let outcomes = Mutex<[String]>([])
    var all: [String] { outcomes.withLock { $0 } }

    func read(_ body: any BodyReader) async {
        do throws(BodyError) {
            let bytes = try await body.collect(limit: 1 << 24)
            outcomes.withLock { $0.append("\(bytes.count)") }
        } catch {
            outcomes.withLock { $0.append("\(error)") }
        }
    }
}

@Suite(.timeLimit(.minutes(2))) struct ServerFaultTests {
    @Test func `a head that takes too long is cut with 408`() async throws {
        var limits = ServerLimits()
        limits.headTimeout = .milliseconds(100)
        try await withServer(limits: limits, answer: { _ in text(200, "") }) { served in
            let peer = try await served.peer()
            let began = ContinuousClock.now
            try await peer.send("GET / HTTP/1.1\r\n")
            async let _ = peer.trickle()
            let answer = try await peer.receiveAll()
            #expect(answer.hasPrefix("HTTP/1.1 408 "))
            #expect(began.duration(to: .now) < .seconds(5))
        }
    }

    @Test func `a connection without a request is closed after its idle time`() async throws {
        var limits = ServerLimits()
        limits.idleTimeout = .milliseconds(50)
        try await withServer(limits: limits, answer: { _ in text(200, "") }) { served in
            let peer = try await served.peer()
            #expect(try await peer.receiveAll() == "")
        }
    }

    @Test func `a body below the minimum rate is cut, also after a fast beginning`() async throws {
        var limits = ServerLimits()
        limits.bodyRateWindow = .milliseconds(100)
        limits.bodyBytesPerSecondMin = 100_000
        let seen = Seen()
        let answer: @Sendable (Request) async -> Response = { request in
            await seen.read(request.body)
            return text(408, "")
        }
        try await withServer(limits: limits, answer: answer) { served in
            let peer = try await served.peer()
            try await peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n")
            try await peer.send([UInt8](repeating: 65, count: 1_000_000))
            let began = ContinuousClock.now
            async let _ = peer.trickle()
            #expect(try await peer.receiveAll().hasPrefix("HTTP/1.1 408 "))
            #expect(seen.all == ["tooSlow"])
            // The average over the whole body falls below the limit only after ten seconds.
            #expect(began.duration(to: .now) < .seconds(7))
        }
    }

    @Test func `a body that stops is cut after its idle time`() async throws {
        var limits = ServerLimits()
        limits.bodyIdleTimeout = .milliseconds(50)
        let seen = Seen()
        let answer: @Sendable (Request) async -> Response = { request in
            await seen.read(request.body)
            return text(408, "")
        }
        try await withServer(limits: limits, answer: answer) { served in
            let peer = try await served.peer()
            try await peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
            #expect(try await peer.receiveAll().hasPrefix("HTTP/1.1 408 "))
            #expect(seen.all == ["tooSlow"])
        }
    }

    @Test func `a body that ends early, breaks off or is framed wrongly never looks whole`() async throws {
        let seen = Seen()
        let answer: @Sendable (Request) async -> Response = { request in
            await seen.read(request.body)
            return text(400, "")
        }
        try await withServer(answer: answer) { served in
            let bodies = [
                "Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
                "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
            ]
            for (index, body) in bodies.enumerated() {
                let peer = try await served.peer()
                try await peer.send("PUT / HTTP/1.1\r\nHost: a\r\n\(body)")
                peer.finishWriting()
                #expect(try await peer.receiveAll().hasPrefix("HTTP/1.1 400"))
                #expect(seen.all.count == index + 1)
            }
            let peer = try await served.peer()
            try await peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
            peer.reset()
            #expect(try await eventually { seen.all.count == 5 })
            #expect(
                seen.all == ["truncated", "truncated", "truncated", "malformed(\"malformed chunk size\")", "truncated"])
        }
    }

    @Test func `a response that fails after its head resets the connection`() async throws {
        for length in [Int64(1_000_000), nil] {
            let answer: @Sendable (Request) async -> Response = { _ in
                Response(
                    ResponseHead(.ok), body: .stream(length: length, Pattern(length: 300_000, failure: .source("disk")))
                )
            }
            try await withServer(answer: answer) { served in
                let peer = try await served.peer()
                try await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                await #expect(throws: RawPeer.Failure.reset) { _ = try await peer.receiveAll() }
            }
        }
    }

    @Test func `a response with more or fewer bytes than declared resets the connection`() async throws {
        for length in [Int64(200_000), 400_000] {
            let answer: @Sendable (Request) async -> Response = { _ in
                Response(ResponseHead(.ok), body: .stream(length: length, Pattern(length: 300_000)))
            }
            try await withServer(answer: answer) { served in
                let peer = try await served.peer()
                try await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                await #expect(throws: RawPeer.Failure.reset) { _ = try await peer.receiveAll() }
            }
        }
    }

    @Test func `a response that fails before its first byte is a 500`() async throws {
        let answer: @Sendable (Request) async -> Response = { _ in
            Response(ResponseHead(.ok), body: .stream(length: 10, Pattern(length: 0, failure: .source("disk"))))
        }
        try await withServer(errorResponse: { text($0, "sorry") }, answer: answer) { served in
            let peer = try await served.peer()
            try await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = try await peer.receiveAll()
            #expect(answer.hasPrefix("HTTP/1.1 500 ") && answer.hasSuffix("sorry"))
        }
    }

    @Test func `clients that hang up leave nothing behind`() async throws {
        let answer: @Sendable (Request) async -> Response = { request in
            _ = try? await request.body.collect(limit: 1 << 24)
            return Response(ResponseHead(.ok), body: .stream(length: 4_000_000, Pattern(length: 4_000_000)))
        }
        try await withServer(answer: answer) { served in
            for turn in 0..<60 {
                let peer = try await served.peer()
                switch turn % 4 {
                case 0: break
                case 1: try await peer.send("GET / HT")
                case 2: try await peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
                default: try await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                }
                if turn % 8 < 4 { peer.close() } else { peer.reset() }
            }
            #expect(try await eventually { served.server.connectionCount == 0 })
        }
    }

    @Test func `connections over the limit are closed, those below it go on`() async throws {
        var limits = ServerLimits()
        limits.connectionsMax = 3
        try await withServer(limits: limits, answer: { _ in text(200, "ok") }) { served in
            var peers: [RawPeer] = []
            for count in 1...3 {
                peers.append(try await served.peer())
                #expect(try await eventually { served.server.connectionCount == count })
            }
            let fourth = try await served.peer()
            #expect(try await fourth.receiveAll() == "")
            for peer in peers {
                try await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try await peer.receive(upTo: "\r\n\r\nok").hasPrefix("HTTP/1.1 200"))
            }
        }
    }

    @Test func `five hundred idle connections are kept, and each still works`() async throws {
        try await withServer(answer: { _ in text(200, "ok") }) { served in
            var peers: [RawPeer] = []
            for _ in 0..<500 { peers.append(try await served.peer()) }
            #expect(try await eventually { served.server.connectionCount == 500 })
            for peer in peers { try await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") }
            for peer in peers { #expect(try await peer.receive(upTo: "\r\n\r\nok").hasPrefix("HTTP/1.1 200")) }
        }
    }
}
