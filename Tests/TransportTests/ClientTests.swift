import EventLoop
import HTTP
import Synchronization
import Telemetry
import Testing
import Transport

private func request(
    _ endpoint: Endpoint, _ method: Method = .get, _ target: String = "/", body: ClientBody = .empty,
    timeouts: ClientTimeouts = ClientTimeouts(), expectsContinue: Bool = false
) -> ClientRequest {
    ClientRequest(
        endpoint: endpoint, head: RequestHead(method: method, target: target), body: body, timeouts: timeouts,
        expectsContinue: expectsContinue)
}

private func outcome(_ client: HTTPClient, _ request: ClientRequest) async -> Result<ClientResponse, ClientError> {
    do throws(ClientError) { return .success(try await client.send(request)) } catch { return .failure(error) }
}

extension Result where Success == ClientResponse, Failure == ClientError {
    fileprivate var error: ClientError? { if case .failure(let error) = self { error } else { nil } }
}

@Suite(.timeLimit(.minutes(2))) struct ClientTests {
    @Test func `requests to one endpoint share a connection`() async throws {
        try await withServer(answer: { text(200, $0.head.target) }) { served in
            try await withClient(on: served.loops) { client in
                for number in 1...5 {
                    let response = try await client.send(request(served.endpoint(), .get, "/\(number)"))
                    #expect(try await response.body.collect(limit: 100).text == "/\(number)")
                    #expect(served.server.connectionCount == 1)
                }
                // Of a small answer that nobody read nothing is left behind either; HEAD has no body at all.
                _ = try await client.send(request(served.endpoint(), .get, "/unread"))
                _ = try await client.send(request(served.endpoint(), .head, "/unread"))
                _ = try await client.send(request(served.endpoint())).body.collect(limit: 100)
                #expect(served.server.connectionCount == 1)
            }
        }
    }

    @Test(arguments: [Int64(0), 1, 4096, 65_536, 65_537, 9_000_001])
    func `bodies arrive byte for byte in both directions`(length: Int64) async throws {
        let answer: @Sendable (Request) async -> Response = { request in
            let count = (try? await Pattern.check(request.body)) ?? nil
            let isChunked = request.head.target == "/chunked"
            guard count == request.contentLength, let count else { return text(500, "") }
            return Response(
                ResponseHead(.ok),
                body: .stream(length: isChunked ? nil : count, Pattern(length: count, runSize: 77_777)))
        }
        try await withServer(answer: answer) { served in
            try await withClient(on: served.loops) { client in
                for target in ["/length", "/chunked"] {
                    let body = ClientBody.stream(length: length, Pattern(length: length))
                    let response = try await client.send(request(served.endpoint(), .put, target, body: body))
                    #expect(response.status == .ok)
                    #expect(try await Pattern.check(response.body) == length)
                }
                let bytes = try await Pattern(length: length).collect(limit: 10_000_000)
                let response = try await client.send(request(served.endpoint(), .put, "/length", body: .bytes(bytes)))
                #expect(try await Pattern.check(response.body) == length)
                #expect(served.server.connectionCount == 1)
            }
        }
    }

    @Test func `a refusal that comes before the body ends is seen, and the upload stops`() async throws {
        // An answer so long that its end comes well after the upload was given up.
        let answer: @Sendable (Request) async -> Response = { _ in
            Response(ResponseHead(Status(403)), body: .stream(length: 3_000_000, Pattern(length: 3_000_000)))
        }
        try await withServer(answer: answer) { served in
            try await withClient(on: served.loops) { client in
                let source = Pattern(length: 1 << 40)
                let response = try await client.send(
                    request(served.endpoint(), .put, body: .stream(length: 1 << 40, source)))
                #expect(response.status.code == 403)
                #expect(try await Pattern.check(response.body) == 3_000_000)
                let pulls = source.pulls.load(ordering: .relaxed)
                #expect(try await eventually { served.server.connectionCount == 0 })
                #expect(source.pulls.load(ordering: .relaxed) == pulls)
            }
        }
    }

    @Test func `a source that never ends by itself is cancelled when the answer is there`() async throws {
        /// Gives a run, then waits until it is cancelled.
        final class Stuck: BodyReader {
            let hasGiven = Mutex(false)
            func next() async throws(BodyError) -> Bytes? {
                let isFirst = hasGiven.withLock { given in
                    defer { given = true }
                    return !given
                }
                if isFirst { return Bytes("abc") }
                do { try await EventLoop.sleep(for: .seconds(60)) } catch { throw .cancelled }
                return nil
            }
        }
        try await withServer(answer: { _ in text(409, "conflict") }) { served in
            try await withClient(on: served.loops) { client in
                let response = try await client.send(
                    request(served.endpoint(), .put, body: .stream(length: 1 << 40, Stuck())))
                #expect(try await response.body.collect(limit: 100).text == "conflict")
            }
        }
    }

    @Test func `with Expect, a body is sent only after the invitation`() async throws {
        let answer: @Sendable (Request) async -> Response = { request in
            if request.head.target == "/refuse" { return text(403, "") }
            return text(200, "\((try? await request.body.collect(limit: 1000).count) ?? -1)")
        }
        try await withServer(answer: answer) { served in
            try await withClient(on: served.loops) { client in
                let unread = Pattern(length: 500)
                let refused = try await client.send(
                    request(
                        served.endpoint(), .put, "/refuse", body: .stream(length: 500, unread), expectsContinue: true))
                #expect(refused.status.code == 403)
                #expect(unread.pulls.load(ordering: .relaxed) == 0)
                for body in [
                    ClientBody.stream(length: 500, Pattern(length: 500)),
                    .bytes(Bytes([UInt8](repeating: 1, count: 500))),
                ] {
                    let taken = try await client.send(
                        request(served.endpoint(), .put, "/take", body: body, expectsContinue: true))
                    #expect(try await taken.body.collect(limit: 100).text == "500")
                }
            }
        }
    }

    @Test func `the invitation and the answer may come together, and a server may stay silent`() async throws {
        let script: @Sendable (RawPeer, Int) async throws -> Void = { peer, number in
            _ = try await peer.receive(upTo: "\r\n\r\n")
            if number == 1 {
                try await peer.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            }
            _ = try await peer.receive(upTo: "abc")
            if number == 2 {
                try await peer.send(
                    "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            }
            _ = try await peer.receiveAll()
        }
        try await ScriptedServer.run(script: script) { server, loops in
            for _ in 1...2 {
                try await withClient(on: loops) { client in
                    let body = ClientBody.stream(length: 3, BytesReader(Bytes("abc")))
                    let response = try await client.send(
                        request(server.endpoint, .put, body: body, expectsContinue: true))
                    #expect(try await response.body.collect(limit: 100).text == "ok")
                }
            }
        }
    }

    @Test func `requests over the limit of connections wait their turn`() async throws {
        var limits = ClientLimits()
        limits.connectionsMax = 2
        limits.waitingMax = 10
        let most = Mutex((now: 0, ever: 0))
        let answer: @Sendable (Request) async -> Response = { _ in
            most.withLock { most in
                most.now += 1
                most.ever = max(most.ever, most.now)
            }
            try? await EventLoop.sleep(for: .milliseconds(5))
            most.withLock { $0.now -= 1 }
            return text(200, "ok")
        }
        let clientLimits = limits
        try await withServer(answer: answer) { served in
            try await withClient(limits: clientLimits, on: served.loops) { client in
                let endpoint = served.endpoint()
                let (answered, refused) = await withTaskGroup(of: Bool.self) { group in
                    for _ in 0..<20 {
                        group.addTask {
                            guard case .success(let response) = await outcome(client, request(endpoint)) else {
                                return false
                            }
                            return (try? await response.body.collect(limit: 10).text) == "ok"
                        }
                    }
                    return await group.reduce(into: (0, 0)) { if $1 { $0.0 += 1 } else { $0.1 += 1 } }
                }
                #expect(answered == 12)
                #expect(refused == 8)
            }
        }
        #expect(most.withLock { $0.ever } == 2)
    }

    @Test func `idle connections are closed after their time, also if nobody asks again`() async throws {
        var limits = ClientLimits()
        limits.idleTimeout = .milliseconds(30)
        let clientLimits = limits
        try await withServer(answer: { _ in text(200, "ok") }) { served in
            try await withClient(limits: clientLimits, on: served.loops) { client in
                _ = try await client.send(request(served.endpoint())).body.collect(limit: 10)
                #expect(served.server.connectionCount == 1)
                #expect(try await eventually { served.server.connectionCount == 0 })
            }
        }
    }

    @Test func `an address of the sixth version is spoken to as well`() async throws {
        try await withServer(listen: "::1", answer: { text(200, $0.peer) }) { served in
            try await withClient(on: served.loops) { client in
                let endpoint = try #require(Endpoint(url: "http://[::1]:\(served.port)"))
                #expect(try await client.send(request(endpoint)).body.collect(limit: 100).text == "::1")
            }
        }
    }

    @Test func `a client serves callers that are on no loop`() async throws {
        let loops = try LoopGroup(count: 2, name: "test")
        defer { loops.stop() }
        let server = HTTPServer(handler: Answers { text(200, $0.head.target) }, logger: .silent)
        let endpoint = Endpoint(
            scheme: .http, host: "127.0.0.1",
            port: try server.start(SocketAddress(host: "127.0.0.1", port: 0), on: loops))
        try await withClient(on: loops) { client in
            for number in 0..<200 {
                let answer = try await client.send(request(endpoint, .get, "/\(number)")).body.collect(limit: 100)
                #expect(answer.text == "/\(number)")
            }
        }
        await server.shutdown(grace: .zero)
    }
}
