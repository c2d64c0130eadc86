import EventLoop
import HTTP
import Synchronization
import Testing
import Transport

private let answered = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

private func request(
    _ endpoint: Endpoint, _ method: Method = .get, body: ClientBody = .empty,
    timeouts: ClientTimeouts = ClientTimeouts()
) -> ClientRequest {
    ClientRequest(endpoint: endpoint, head: RequestHead(method: method, target: "/"), body: body, timeouts: timeouts)
}

/// The error that sending or reading the answer ends with.
private func failure(_ client: HTTPClient, _ request: ClientRequest) async -> ClientError? {
    do throws(ClientError) {
        _ = try await client.send(request)
        return nil
    } catch {
        return error
    }
}

private func bodyFailure(_ body: any BodyReader) async -> BodyError? {
    do throws(BodyError) {
        _ = try await body.collect(limit: 1 << 24)
        return nil
    } catch {
        return error
    }
}

@Suite(.timeLimit(.minutes(2))) struct ClientFaultTests {
    @Test func `a request on a connection that the server drops unanswered is sent again on another`() async throws {
        // The first connection answers once, takes a second request, and goes without a word.
        let script: @Sendable (RawPeer, Int) async throws -> Void = { peer, number in
            _ = try await peer.receive(upTo: "\r\n\r\n")
            try await peer.send(answered)
            _ = try await peer.receive(upTo: "\r\n\r\n")
            if number == 1 { return peer.reset() }
            try await peer.send(answered)
            _ = try await peer.receiveAll()
        }
        for body in [ClientBody.empty, .bytes(Bytes("abc"))] {
            try await ScriptedServer.run(script: script) { server, loops in
                try await withClient(on: loops) { client in
                    _ = try await client.send(request(server.endpoint)).body.collect(limit: 10)
                    let second = try await client.send(request(server.endpoint, .put, body: body))
                    #expect(try await second.body.collect(limit: 10).text == "ok")
                    #expect(server.accepted.value == 2)
                }
            }
        }
    }

    @Test func `a streamed body is not sent twice, and its fate is unknown`() async throws {
        let script: @Sendable (RawPeer, Int) async throws -> Void = { peer, _ in
            _ = try await peer.receive(upTo: "\r\n\r\n")
            try await peer.send(answered)
            _ = try await peer.receive(upTo: "abc")
            peer.reset()
        }
        try await ScriptedServer.run(script: script) { server, loops in
            try await withClient(on: loops) { client in
                _ = try await client.send(request(server.endpoint)).body.collect(limit: 10)
                let body = ClientBody.stream(length: 3, BytesReader(Bytes("abc")))
                let error = await failure(client, request(server.endpoint, .put, body: body))
                #expect(error == .reset)
                #expect(error?.mayHaveArrived == true)
                #expect(server.accepted.value == 1)
            }
        }
    }

    @Test func `a request on a fresh connection is not repeated`() async throws {
        let script: @Sendable (RawPeer, Int) async throws -> Void = { peer, _ in
            _ = try await peer.receive(upTo: "\r\n\r\n")
            peer.close()
        }
        try await ScriptedServer.run(script: script) { server, loops in
            try await withClient(on: loops) { client in
                let error = await failure(client, request(server.endpoint))
                #expect(error == .reset && error?.mayHaveArrived == true)
                #expect(server.accepted.value == 1)
            }
        }
    }

    @Test func `a connection that the server closed while it was idle is not used`() async throws {
        let isClosed = Mutex(false)
        let script: @Sendable (RawPeer, Int) async throws -> Void = { peer, _ in
            _ = try await peer.receive(upTo: "\r\n\r\n")
            try await peer.send(answered)
            peer.close()
            isClosed.withLock { $0 = true }
        }
        try await ScriptedServer.run(script: script) { server, loops in
            try await withClient(on: loops) { client in
                for number in 1...3 {
                    let body = ClientBody.stream(length: 3, BytesReader(Bytes("abc")))
                    _ = try await client.send(request(server.endpoint, .put, body: body)).body.collect(limit: 10)
                    #expect(server.accepted.value == number)
                    #expect(try await eventually { isClosed.withLock { $0 } })
                }
            }
        }
    }

    @Test func `what a server sends beyond its answer is never taken for the next one`() async throws {
        let script: @Sendable (RawPeer, Int) async throws -> Void = { peer, number in
            while true {
                _ = try await peer.receive(upTo: "\r\n\r\n")
                try await peer.send(
                    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(number)HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
                )
            }
        }
        try await ScriptedServer.run(script: script) { server, loops in
            try await withClient(on: loops) { client in
                for number in 1...3 {
                    let answer = try await client.send(request(server.endpoint)).body.collect(limit: 10)
                    #expect(answer.text == "\(number)")
                }
            }
        }
    }

    @Test func `an answer that breaks off is an error, whatever its framing`() async throws {
        let answers = [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ]
        for answer in answers {
            for isReset in [false, true] {
                let hasHead = Mutex(false)
                let script: @Sendable (RawPeer, Int) async throws -> Void = { peer, _ in
                    _ = try await peer.receive(upTo: "\r\n\r\n")
                    try await peer.send(answer)
                    _ = try await eventually { hasHead.withLock { $0 } }
                    if isReset { peer.reset() } else { peer.close() }
                }
                try await ScriptedServer.run(script: script) { server, loops in
                    try await withClient(on: loops) { client in
                        let response = try await client.send(request(server.endpoint))
                        hasHead.withLock { $0 = true }
                        #expect(await bodyFailure(response.body) == .truncated)
                    }
                }
            }
        }
    }

    @Test func `a malformed answer is refused`() async throws {
        for answer in [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ] {
            try await ScriptedServer.run(script: { peer, _ in try await peer.send(answer) }) { server, loops in
                try await withClient(on: loops) { client in
                    guard case .malformed = await failure(client, request(server.endpoint)) else {
                        Issue.record("accepted \(answer)")
                        return
                    }
                }
            }
        }
    }

    @Test func `silence ends with the time to the first byte, or with the idle time in a body`() async throws {
        let script: @Sendable (RawPeer, Int) async throws -> Void = { peer, _ in
            if try await peer.receive(upTo: "\r\n\r\n").hasPrefix("PUT") {
                try await peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
            }
            _ = try await peer.receiveAll()
        }
        try await ScriptedServer.run(script: script) { server, loops in
            try await withClient(on: loops) { client in
                let timeouts = ClientTimeouts(
                    connect: .seconds(5), firstByte: .milliseconds(50), idle: .milliseconds(50))
                let error = await failure(client, request(server.endpoint, timeouts: timeouts))
                #expect(error == .timedOut && error?.mayHaveArrived == true)
                let body = ClientBody.stream(length: 3, BytesReader(Bytes("abc")))
                let response = try await client.send(request(server.endpoint, .put, body: body, timeouts: timeouts))
                #expect(await bodyFailure(response.body) == .tooSlow)
                let posted = await failure(
                    client,
                    request(
                        server.endpoint, .post, body: .stream(length: 3, BytesReader(Bytes("abc"))), timeouts: timeouts)
                )
                #expect(posted == .timedOut)
            }
        }
    }

    @Test func `a server that stops reading ends the upload`() async throws {
        let script: @Sendable (RawPeer, Int) async throws -> Void = { peer, _ in
            _ = try await peer.receive(upTo: "\r\n\r\n")
            try await EventLoop.sleep(for: .seconds(60))
        }
        try await ScriptedServer.run(script: script) { server, loops in
            try await withClient(on: loops) { client in
                let timeouts = ClientTimeouts(idle: .milliseconds(100))
                let body = ClientBody.stream(length: 1 << 40, Pattern(length: 1 << 40))
                #expect(
                    await failure(client, request(server.endpoint, .put, body: body, timeouts: timeouts)) == .timedOut)
            }
        }
    }

    @Test func `a name that does not resolve and a port where nobody listens: the request did not arrive`() async throws
    {
        try await ScriptedServer.run(script: { _, _ in }) { _, loops in
            try await withClient(on: loops) { client in
                let unresolved = await failure(
                    client, request(Endpoint(scheme: .http, host: "sluice.invalid", port: 80)))
                guard case .unresolved(host: "sluice.invalid", _)? = unresolved else {
                    Issue.record("\(String(describing: unresolved))")
                    return
                }
                #expect(unresolved?.mayHaveArrived == false)
                let refused = await failure(client, request(Endpoint(scheme: .http, host: "127.0.0.1", port: 1)))
                #expect(refused == .connect(evidence: "connect: Connection refused (111)"))
                #expect(refused?.mayHaveArrived == false)
            }
        }
    }

    @Test func `a source that fails, ends early or goes on too long never makes a whole request`() async throws {
        let seen = Mutex<[String]>([])
        let answer: @Sendable (Request) async -> Response = { request in
            do throws(BodyError) {
                _ = try await request.body.collect(limit: 1 << 24)
                seen.withLock { $0.append("whole") }
            } catch {
                seen.withLock { $0.append("\(error)") }
            }
            return text(200, "")
        }
        try await withServer(answer: answer) { served in
            try await withClient(on: served.loops) { client in
                let sources: [(Pattern, BodyError)] = [
                    (Pattern(length: 300_000, failure: .source("disk")), .source("disk")),
                    (Pattern(length: 300_000), .truncated),
                    (Pattern(length: 600_000), .tooLong),
                ]
                for (index, (source, cause)) in sources.enumerated() {
                    let error = await failure(
                        client, request(served.endpoint(), .put, body: .stream(length: 500_050, source)))
                    #expect(error == .bodyFailed(cause))
                    let isSeen = try await eventually { seen.withLock { $0.count } == index + 1 }
                    #expect(isSeen)
                }
            }
        }
        #expect(seen.withLock { $0 } == ["truncated", "truncated", "truncated"])
    }

    @Test func `cancelling a request ends it at once`() async throws {
        let script: @Sendable (RawPeer, Int) async throws -> Void = { peer, _ in _ = try await peer.receiveAll() }
        try await ScriptedServer.run(script: script) { server, loops in
            try await withClient(on: loops) { client in
                for body in [ClientBody.empty, .stream(length: 1 << 40, Pattern(length: 1 << 40))] {
                    let seen = Mutex<ClientError?>(nil)
                    let count = server.accepted.value
                    let task = loops.loops[0].spawn {
                        let error = await failure(client, request(server.endpoint, .put, body: body))
                        seen.withLock { $0 = error }
                    }
                    let isAccepted = try await eventually { server.accepted.value > count }
                    #expect(isAccepted)
                    task.cancel()
                    await task.value
                    #expect(seen.withLock { $0 } == .cancelled)
                }
            }
        }
    }
}
