import Crypto
import EventLoop
import Glibc
import HTTP
import Synchronization
import Telemetry
import Transport

/// Runs `body` as the root task of a loop of its own, and stops the loop.
func onLoop<R: Sendable>(_ body: @escaping @Sendable (LoopGroup) async throws -> R) async throws -> R {
    let loops = try LoopGroup(count: 1, name: "test")
    defer { loops.stop() }
    let outcome = Mutex<Result<R, any Error>?>(nil)
    let root = loops.loops[0].spawn {
        let result: Result<R, any Error>
        do { result = .success(try await body(loops)) } catch { result = .failure(error) }
        outcome.withLock { $0 = result }
    }
    await withTaskCancellationHandler {
        await root.value
    } onCancel: {
        root.cancel()
    }
    guard let result = outcome.withLock({ $0 }) else { throw CancellationError() }
    return try result.get()
}

/// Awaits what another task brings about.
func eventually(within limit: Duration = .seconds(10), _ condition: () -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + limit
    while !condition() {
        if .now > deadline { return false }
        try await EventLoop.sleep(for: .milliseconds(2))
    }
    return true
}

/// A handler from a closure.
struct Answers: RequestHandler {
    let answer: @Sendable (Request) async -> Response
    init(_ answer: @escaping @Sendable (Request) async -> Response) { self.answer = answer }
    func respond(to request: Request) async -> Response { await answer(request) }
}

/// A running server, and what a test needs to speak with it.
struct Served: Sendable {
    let server: HTTPServer
    let port: Int
    let loops: LoopGroup

    func peer() async throws -> RawPeer { try await RawPeer.connect(port: port, on: loops.loops[0]) }

    func endpoint(_ scheme: Endpoint.Scheme = .http, host: String = "127.0.0.1") -> Endpoint {
        Endpoint(scheme: scheme, host: host, port: port)
    }
}

func withServer<R: Sendable>(
    limits: ServerLimits = ServerLimits(), tls: TLSContext? = nil, listen: String = "127.0.0.1",
    errorResponse: @escaping @Sendable (Int) -> Response = { Response(ResponseHead(Status($0))) },
    answer: @escaping @Sendable (Request) async -> Response,
    _ body: @escaping @Sendable (Served) async throws -> R
) async throws -> R {
    try await onLoop { loops in
        let server = HTTPServer(
            handler: Answers(answer), limits: limits, tls: tls, logger: .silent, errorResponse: errorResponse)
        let port = try server.start(SocketAddress(host: listen, port: 0), on: loops)
        let result: Result<R, any Error>
        do {
            result = .success(try await body(Served(server: server, port: port, loops: loops)))
        } catch {
            result = .failure(error)
        }
        await server.shutdown(grace: .zero)
        return try result.get()
    }
}

/// Runs `body` with a client whose connections end with it.
func withClient<R>(
    limits: ClientLimits = ClientLimits(), tls: TLSContext? = nil, on loops: LoopGroup,
    _ body: (HTTPClient) async throws -> R
) async throws -> R {
    let pool = BlockingPool(threads: 1)
    let client = HTTPClient(limits: limits, pool: pool, tls: tls, loop: loops.loops[0])
    defer {
        client.close()
        pool.stop()
    }
    return try await body(client)
}

func text(_ status: Int, _ body: String) -> Response {
    Response(ResponseHead(Status(status)), body: .bytes(Bytes(body)))
}

/// A source of a known content, made as it is read.
final class Pattern: BodyReader {
    private struct State {
        var left: Int64
        var position: Int64 = 0
    }
    private let state: Mutex<State>
    private let runSize: Int
    private let failure: BodyError?
    /// Runs handed out so far.
    let pulls = Atomic<Int>(0)

    /// - Parameter failure: thrown in place of the end
    init(length: Int64, runSize: Int = 100_000, failure: BodyError? = nil) {
        state = Mutex(State(left: length))
        self.runSize = runSize
        self.failure = failure
    }

    static func byte(_ position: Int64) -> UInt8 { UInt8(truncatingIfNeeded: position &* 31 &+ position >> 13) }

    func next() async throws(BodyError) -> Bytes? {
        await Task.yield()
        if Task.isCancelled { throw .cancelled }
        pulls.wrappingAdd(1, ordering: .relaxed)
        let (position, count) = state.withLock { state in
            let count = min(Int64(runSize), state.left)
            defer {
                state.left -= count
                state.position += count
            }
            return (state.position, Int(count))
        }
        if count == 0 {
            if let failure { throw failure }
            return nil
        }
        return Bytes(capacity: count) { target in
            for index in 0..<count { target[index] = Pattern.byte(position + Int64(index)) }
            return count
        }
    }

    /// Reads to the end; how many bytes there were, or nil if one of them is wrong.
    static func check(_ body: any BodyReader) async throws(BodyError) -> Int64? {
        var position: Int64 = 0
        while let run = try await body.next() {
            let isSame = run.withUnsafeBytes { bytes in
                for index in 0..<bytes.count where bytes[index] != Pattern.byte(position + Int64(index)) {
                    return false
                }
                return true
            }
            guard isSame else { return nil }
            position += Int64(run.count)
        }
        return position
    }
}
