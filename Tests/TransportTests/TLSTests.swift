import Crypto
import EventLoop
import Foundation
import HTTP
import Synchronization
import Testing
import Transport

/// A key and a certificate that signs itself, for `localhost` and 127.0.0.1, in a directory that goes with the test.
private final class Certificate: Sendable {
    private let folder: String
    var file: String { folder + "/certificate.pem" }
    var key: String { folder + "/key.pem" }

    init() throws {
        folder = NSTemporaryDirectory() + "/sluice-tls-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let openssl = Process()
        openssl.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        openssl.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=sluice test",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder + "/key.pem", "-out",
            folder + "/certificate.pem",
        ]
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        openssl.waitUntilExit()
        guard openssl.terminationStatus == 0 else { throw TLSError.configuration(file: folder, evidence: "openssl") }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }
}

@Suite(.timeLimit(.minutes(2))) struct TLSTests {
    private func withTLS<R: Sendable>(
        trust: String? = nil, _ body: @escaping @Sendable (Served, HTTPClient) async throws -> R
    ) async throws -> R {
        let certificate = try Certificate()
        let server = try TLSContext(certificateFile: certificate.file, keyFile: certificate.key)
        let client = try TLSContext(trustFile: trust ?? certificate.file)
        let answer: @Sendable (Request) async -> Response = { request in
            guard request.isTLS, request.head.method == .put else { return text(200, "\(request.isTLS)") }
            let count = (try? await Pattern.check(request.body)) ?? nil
            guard let count else { return text(500, "") }
            return Response(ResponseHead(.ok), body: .stream(length: count, Pattern(length: count)))
        }
        return try await withServer(tls: server, answer: answer) { served in
            try await withClient(tls: client, on: served.loops) { try await body(served, $0) }
        }
    }

    private func send(
        _ client: HTTPClient, _ endpoint: Endpoint, _ method: HTTP.Method = .get, _ body: ClientBody = .empty
    ) async throws(ClientError) -> ClientResponse {
        try await client.send(
            ClientRequest(endpoint: endpoint, head: RequestHead(method: method, target: "/"), body: body))
    }

    @Test func `requests share a verified connection, by name and by address`() async throws {
        try await withTLS { served, client in
            for host in ["localhost", "127.0.0.1"] {
                for _ in 1...3 {
                    let response = try await send(client, served.endpoint(.https, host: host))
                    #expect(try await response.body.collect(limit: 10).text == "true")
                }
            }
            #expect(served.server.connectionCount == 2)
        }
    }

    @Test(arguments: [Int64(1), 16_384, 70_000, 5_000_001])
    func `bodies arrive byte for byte in both directions`(length: Int64) async throws {
        try await withTLS { served, client in
            for body in [
                ClientBody.stream(length: length, Pattern(length: length)),
                .bytes(try await Pattern(length: length).collect(limit: 1 << 24)),
            ] {
                let response = try await send(client, served.endpoint(.https), .put, body)
                #expect(response.status == .ok)
                #expect(try await Pattern.check(response.body) == length)
            }
            #expect(served.server.connectionCount == 1)
        }
    }

    @Test func `a connection that the server ended while it was idle is not used`() async throws {
        let certificate = try Certificate()
        let server = try TLSContext(certificateFile: certificate.file, keyFile: certificate.key)
        let trust = try TLSContext(trustFile: certificate.file)
        var limits = ServerLimits()
        limits.idleTimeout = .milliseconds(30)
        try await withServer(limits: limits, tls: server, answer: { _ in text(200, "ok") }) { served in
            try await withClient(tls: trust, on: served.loops) { client in
                for _ in 1...3 {
                    let body = ClientBody.stream(length: 3, BytesReader(Bytes("abc")))
                    let response = try await send(client, served.endpoint(.https), .put, body)
                    let answer = try await response.body.collect(limit: 10)
                    #expect(answer.text == "ok")
                    let isEnded = try await eventually { served.server.connectionCount == 0 }
                    #expect(isEnded)
                }
            }
        }
    }

    @Test func `an early refusal is seen through TLS`() async throws {
        let certificate = try Certificate()
        let server = try TLSContext(certificateFile: certificate.file, keyFile: certificate.key)
        let trust = try TLSContext(trustFile: certificate.file)
        try await withServer(tls: server, answer: { _ in text(403, "no") }) { served in
            try await withClient(tls: trust, on: served.loops) { client in
                let response = try await send(
                    client, served.endpoint(.https), .put, .stream(length: 1 << 40, Pattern(length: 1 << 40)))
                #expect(try await response.body.collect(limit: 10).text == "no")
            }
        }
    }

    @Test func `a certificate for another name, or of nobody that is trusted, is refused before a request is sent`()
        async throws
    {
        let handled = Mutex(0)
        let certificate = try Certificate()
        let stranger = try Certificate()
        let server = try TLSContext(certificateFile: certificate.file, keyFile: certificate.key)
        let answer: @Sendable (Request) async -> Response = { _ in
            handled.withLock { $0 += 1 }
            return text(200, "")
        }
        try await withServer(tls: server, listen: "::", answer: answer) { served in
            for (trust, host) in [
                (certificate.file, "::1"), (certificate.file, "ip6-localhost"), (stranger.file, "localhost"),
            ] {
                try await withClient(tls: TLSContext(trustFile: trust), on: served.loops) { client in
                    do throws(ClientError) {
                        _ = try await send(client, served.endpoint(.https, host: host))
                        Issue.record("\(host) was accepted")
                    } catch {
                        guard case .tls = error else {
                            // A machine need not know the name.
                            if case .unresolved = error, host == "ip6-localhost" { return }
                            Issue.record("\(error)")
                            return
                        }
                        #expect(!error.mayHaveArrived)
                    }
                }
            }
        }
        #expect(handled.withLock { $0 } == 0)
    }

    @Test func `plain text to a server that expects TLS is not answered, and TLS to a plain one fails`() async throws {
        try await withTLS { served, _ in
            let peer = try await served.peer()
            try await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            // Ended or reset, but not answered.
            let answer = (try? await peer.receiveAll()) ?? ""
            #expect(!answer.contains("HTTP/1.1 200"))
        }
        let certificate = try Certificate()
        let trust = try TLSContext(trustFile: certificate.file)
        try await withServer(answer: { _ in text(200, "") }) { served in
            try await withClient(tls: trust, on: served.loops) { client in
                do throws(ClientError) {
                    _ = try await send(client, served.endpoint(.https))
                    Issue.record("accepted")
                } catch {
                    guard case .tls = error else {
                        Issue.record("\(error)")
                        return
                    }
                }
            }
        }
    }

    @Test func `files that are no certificate or key are named`() throws {
        let certificate = try Certificate()
        #expect(throws: TLSError.self) { try TLSContext(certificateFile: "/nonexistent", keyFile: certificate.key) }
        #expect(throws: TLSError.self) { try TLSContext(certificateFile: certificate.file, keyFile: certificate.file) }
        #expect(throws: TLSError.self) { try TLSContext(certificateFile: certificate.file, keyFile: Certificate().key) }
        #expect(throws: TLSError.self) { try TLSContext(trustFile: certificate.key) }
    }
}
