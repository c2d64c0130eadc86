import Crypto
import EventLoop
import HTTP
import S3
import S3Client
import Synchronization
import Telemetry
import TestSupport
import Transport

/// A client of S3 servers, with a loop of its own.
final class S3Harness: Sendable {
    let pool: BlockingPool
    let loops: LoopGroup
    let client: HTTPClient
    private let seen = Mutex<[String]>([])
    private let servers = Mutex<[HTTPServer]>([])

    init() throws {
        pool = BlockingPool(threads: 1)
        loops = try LoopGroup(count: 1, name: "s3-test")
        client = HTTPClient(pool: pool, tls: nil, loop: loops.next())
    }

    func stop() {
        client.close()
        loops.stop()
        pool.stop()
    }

    /// Runs `body` as the root task of the harness's loop, as the program does.
    static func run(_ body: @escaping @Sendable (S3Harness) async throws -> Void) async throws {
        let harness = try S3Harness()
        defer { harness.stop() }
        let outcome = Mutex<Result<Void, any Error>?>(nil)
        let root = harness.loops.loops[0].spawn {
            let result: Result<Void, any Error>
            do { result = .success(try await body(harness)) } catch { result = .failure(error) }
            harness.client.close()
            for server in harness.servers.withLock({ $0 }) { await server.shutdown(grace: .zero) }
            outcome.withLock { $0 = result }
        }
        await root.value
        try outcome.withLock { $0 }?.get()
    }

    /// The calls that were observed, as `Operation outcome`.
    var observed: [String] { seen.withLock { $0 } }

    func store(
        port: Int, bucket: String, secret: String = S3ServerProcess.secret, retries: ReadRetries = ReadRetries()
    ) -> NetworkStore {
        NetworkStore(
            client: client, endpoint: Endpoint(scheme: .http, host: "127.0.0.1", port: port), bucket: bucket,
            usesPathStyle: true,
            signer: RequestSigner(
                accessKeyID: S3ServerProcess.accessKeyID, secret: secret, region: S3ServerProcess.region),
            retries: retries, now: S3Harness.now,
            observe: { [weak self] operation, outcome, _ in self?.seen.withLock { $0.append("\(operation) \(outcome)") }
            })
    }

    /// A store on a server that answers as the script says; the script sees every request with its number, from 0.
    func scripted(
        retries: ReadRetries = ReadRetries(), _ script: @escaping @Sendable (Int, Request) async -> Response
    ) throws -> NetworkStore {
        let count = Atomic<Int>(0)
        let handler = Script { request in
            await script(count.wrappingAdd(1, ordering: .relaxed).oldValue, request)
        }
        let server = HTTPServer(handler: handler, logger: Logger(level: .error, now: { "" }, sink: { _ in }))
        let port = try server.start(SocketAddress(host: "127.0.0.1", port: 0), on: loops)
        servers.withLock { $0.append(server) }
        return store(port: port, bucket: "bucket", retries: retries)
    }

    private struct Script: RequestHandler {
        let answer: @Sendable (Request) async -> Response
        func respond(to request: Request) async -> Response { await answer(request) }
    }

    /// A store on a bucket of its own.
    func freshStore(_ server: S3ServerProcess, isVersioned: Bool = false) async throws -> NetworkStore {
        let bucket = "b" + Hex.encode(SystemRandom.bytes(6))
        try await call(.put, server.port, "/\(bucket)")
        if isVersioned {
            let body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
            try await call(.put, server.port, "/\(bucket)?versioning=", body: Bytes(body))
        }
        return store(port: server.port, bucket: bucket)
    }

    /// A signed request beside the store's own; its answer must be a success.
    @discardableResult
    func call(_ method: Method, _ port: Int, _ target: String, body: Bytes = .empty) async throws -> Bytes {
        let endpoint = Endpoint(scheme: .http, host: "127.0.0.1", port: port)
        var head = RequestHead(method: method, target: target, fields: Fields([("Host", endpoint.authority)]))
        RequestSigner(
            accessKeyID: S3ServerProcess.accessKeyID, secret: S3ServerProcess.secret, region: S3ServerProcess.region
        )
        .sign(&head, payload: .signed(Hex.encode(Digest.hash(.sha256, body.array))), now: S3Harness.now())
        let response = try await client.send(
            ClientRequest(endpoint: endpoint, head: head, body: body.isEmpty ? .empty : .bytes(body)))
        let answer = try await response.body.collect(limit: 1 << 20)
        guard response.status.code < 300 else {
            throw SetupFailure(description: "\(method) \(target): \(response.status) \(answer.text)")
        }
        return answer
    }

    struct SetupFailure: Error, CustomStringConvertible { let description: String }

    static func now() -> WallTime { WallTime(seconds: S3Clock.seconds()) }
}
