import EventLoop
import HTTP
import Synchronization
import Telemetry
import Testing
import Transport

/// Answers with what it was asked: method, target, and the body.
@Sendable private func echo(_ request: Request) async -> Response {
    do throws(BodyError) {
        let body = try await request.body.collect(limit: 1 << 20)
        return text(200, "\(request.head.method) \(request.head.target) \(body.text)")
    } catch {
        return text(400, "\(error)")
    }
}

@Suite(.timeLimit(.minutes(2))) struct ServerTests {
    @Test func `a connection serves one request after another`() async throws {
        try await withServer(answer: echo) { served in
            let peer = try await served.peer()
            for number in 1...3 {
                try await peer.send("GET /\(number) HTTP/1.1\r\nHost: a\r\n\r\n")
                let answer = try await peer.receive(upTo: "GET /\(number) ")
                #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(answer.contains("Content-Length: 7\r\n"))
                #expect(answer.contains("\r\nDate: "))
                #expect(!answer.contains("Connection: close"))
            }
        }
    }

    @Test func `pipelined requests are answered in their order, bodies and slow answers between them`() async throws {
        let slowFirst: @Sendable (Request) async -> Response = { request in
            if request.head.target == "/1" { try? await EventLoop.sleep(for: .milliseconds(30)) }
            return await echo(request)
        }
        try await withServer(answer: slowFirst) { served in
            let peer = try await served.peer()
            try await peer.send(
                "PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                    + "PUT /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
                    + "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            let answers = try await peer.receiveAll()
            let bodies = answers.split(separator: "\r\n\r\n").dropFirst().map { $0.split(separator: "HTTP/1.1")[0] }
            #expect(bodies == ["PUT /1 abc", "PUT /2 def", "GET /3 "])
        }
    }

    @Test func `a head may come byte by byte`() async throws {
        try await withServer(answer: echo) { served in
            let peer = try await served.peer()
            for byte in "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi".utf8 {
                try await peer.send([byte])
                await Task.yield()
            }
            #expect(try await peer.receiveAll().hasSuffix("PUT /x hi"))
        }
    }

    @Test func `100 Continue is sent when the handler reads, and not before`() async throws {
        let isReading = Mutex(false)
        let answer: @Sendable (Request) async -> Response = { request in
            _ = try? await eventually { isReading.withLock { $0 } }
            return await echo(request)
        }
        try await withServer(answer: answer) { served in
            let peer = try await served.peer()
            try await peer.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            try await EventLoop.sleep(for: .milliseconds(20))
            isReading.withLock { $0 = true }
            #expect(try await peer.receive(upTo: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
            try await peer.send("hi")
            #expect(try await peer.receive(upTo: "PUT /x hi").hasPrefix("HTTP/1.1 200 OK"))
        }
    }

    @Test func `an empty body is invited too, for clients that wait for it`() async throws {
        try await withServer(answer: echo) { served in
            let peer = try await served.peer()
            try await peer.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n")
            #expect(try await peer.receive(upTo: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
            #expect(try await peer.receive(upTo: "PUT /x ").hasPrefix("HTTP/1.1 200 OK"))
        }
    }

    @Test func `a handler that refuses without reading invites no body, and ends the connection`() async throws {
        try await withServer(answer: { _ in text(403, "no") }) { served in
            let peer = try await served.peer()
            try await peer.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            let answer = try await peer.receiveAll()
            #expect(answer.hasPrefix("HTTP/1.1 403 Forbidden\r\n"))
            #expect(answer.contains("Connection: close\r\n"))
            #expect(!answer.contains("100 Continue"))
        }
    }

    @Test func `HEAD is answered with the length and no byte of a body`() async throws {
        let answer: @Sendable (Request) async -> Response = { request in
            Response(
                ResponseHead(.ok),
                body: request.head.target == "/s"
                    ? .stream(length: 5, BytesReader(Bytes("abcde"))) : .none(declaredLength: 7))
        }
        try await withServer(answer: answer) { served in
            let peer = try await served.peer()
            try await peer.send(
                "HEAD /s HTTP/1.1\r\nHost: a\r\n\r\nHEAD /n HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            let heads = try await peer.receiveAll().split(separator: "\r\n\r\n")
            #expect(heads.count == 2)
            #expect(heads[0].contains("Content-Length: 5") && heads[1].contains("Content-Length: 7"))
        }
    }

    @Test func `responses of unknown length are chunked`() async throws {
        let answer: @Sendable (Request) async -> Response = { _ in
            Response(
                ResponseHead(.ok),
                body: .stream(length: nil, BytesReader(runs: [Bytes("hello "), Bytes("wide world")])))
        }
        try await withServer(answer: answer) { served in
            let peer = try await served.peer()
            try await peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            let answer = try await peer.receiveAll()
            #expect(answer.contains("Transfer-Encoding: chunked\r\n"))
            #expect(answer.hasSuffix("\r\n\r\n6\r\nhello \r\na\r\nwide world\r\n0\r\n\r\n"))
        }
    }

    @Test func `a client that closed its side still gets the whole answer`() async throws {
        let answer: @Sendable (Request) async -> Response = { _ in
            let run = Bytes([UInt8](repeating: 65, count: 100_000))
            return Response(
                ResponseHead(.ok), body: .stream(length: 3_000_000, BytesReader(runs: Array(repeating: run, count: 30)))
            )
        }
        try await withServer(answer: answer) { served in
            let peer = try await served.peer()
            try await peer.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            peer.finishWriting()
            let answer = try await peer.receiveAll()
            #expect(answer.utf8.count > 3_000_000)
        }
    }

    @Test func `a small rest of a body that nobody read is drained, and the connection goes on`() async throws {
        let answer: @Sendable (Request) async -> Response = { _ in text(200, "unread") }
        try await withServer(answer: answer) { served in
            let peer = try await served.peer()
            try await peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
            // The answer does not wait for the body.
            #expect(try await !peer.receive(upTo: "unread").contains("Connection: close"))
            try await peer.send([UInt8](repeating: 65, count: 60_000))
            try await peer.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            #expect(try await peer.receive(upTo: "unread").hasPrefix("HTTP/1.1 200"))
            try await peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            #expect(try await peer.receiveAll().hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test func `a client in the middle of a large body sees the refusal`() async throws {
        try await withServer(answer: { _ in text(403, "refused") }) { served in
            let peer = try await served.peer()
            try await peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 16000000\r\n\r\n")
            try await peer.send([UInt8](repeating: 65, count: 16_000_000))
            let answer = try await peer.receiveAll()
            #expect(answer.contains("Connection: close\r\n") && answer.hasSuffix("refused"))
        }
    }

    @Test(arguments: [
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", 400), ("Content-Length: 3\r\nContent-Length: 4", 400),
        ("Content-Length: +3", 400), ("X : 1", 400), ("Transfer-Encoding: gzip", 501),
    ])
    func `an ambiguous head is refused with the given answer, and ends the connection`(fields: String, status: Int)
        async throws
    {
        let isHandled = Mutex(false)
        let answer: @Sendable (Request) async -> Response = { _ in
            isHandled.withLock { $0 = true }
            return text(200, "")
        }
        try await withServer(errorResponse: { text($0, "because \($0)") }, answer: answer) { served in
            let peer = try await served.peer()
            try await peer.send(
                "PUT / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\nabcGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = try await peer.receiveAll()
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
            #expect(answer.contains("Connection: close\r\n") && answer.hasSuffix("because \(status)"))
            #expect(!isHandled.withLock { $0 })
        }
    }

    @Test func `a head over the limit is refused`() async throws {
        try await withServer(answer: echo) { served in
            let peer = try await served.peer()
            try await peer.send(
                "GET / HTTP/1.1\r\nHost: a\r\n"
                    + String(repeating: "X-A: \(String(repeating: "b", count: 990))\r\n", count: 40))
            #expect(try await peer.receiveAll().hasPrefix("HTTP/1.1 431 "))
        }
    }

    @Test func `a second server on the same address is told that it is in use`() async throws {
        try await withServer(answer: echo) { served in
            let second = HTTPServer(handler: Answers(echo), logger: .silent)
            let address = SocketAddress(host: "127.0.0.1", port: served.port)
            #expect(throws: ListenError.inUse(address)) { try second.start(address, on: served.loops) }
            #expect(throws: ListenError.self) {
                try second.start(SocketAddress(host: "192.0.2.1", port: 0), on: served.loops)
            }
        }
    }
}
