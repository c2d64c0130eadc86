package import Crypto
package import EventLoop
import Glibc
package import HTTP
import Synchronization

/// Bounds of a client's connections.
package struct ClientLimits: Sendable {
    /// Idle connections that are kept per endpoint and loop.
    package var idleMax = 32
    package var idleTimeout: Duration = .seconds(30)
    /// Connections in use per endpoint and loop; further requests wait, for as long as a connect may take.
    package var connectionsMax = 256
    /// Requests that wait for a connection, per endpoint and loop; further ones fail at once.
    package var waitingMax = 4096
    package init() {}
}

package struct ClientTimeouts: Sendable {
    package var connect: Duration
    /// From the end of the request to the response's head.
    package var firstByte: Duration
    /// Without progress while a body moves.
    package var idle: Duration
    package init(connect: Duration = .seconds(5), firstByte: Duration = .seconds(60), idle: Duration = .seconds(30)) {
        self.connect = connect
        self.firstByte = firstByte
        self.idle = idle
    }
}

package enum ClientBody: Sendable {
    case empty
    case bytes(Bytes)
    case stream(length: Int64, any BodyReader)
}

package struct ClientRequest: Sendable {
    package var endpoint: Endpoint
    /// Without Host, Content-Length and Connection, which the client adds.
    package var head: RequestHead
    package var body: ClientBody
    package var timeouts: ClientTimeouts
    /// Waits a second for `100 Continue` before the body is sent.
    package var expectsContinue: Bool
    package init(
        endpoint: Endpoint, head: RequestHead, body: ClientBody = .empty, timeouts: ClientTimeouts = ClientTimeouts(),
        expectsContinue: Bool = false
    ) {
        self.endpoint = endpoint
        self.head = head
        self.body = body
        self.timeouts = timeouts
        self.expectsContinue = expectsContinue
    }
}

package struct ClientResponse: Sendable {
    package let status: Status
    package let fields: Fields
    /// Nil when it is chunked or ends with the connection.
    package let contentLength: Int64?
    /// Dropped unread, it ends the connection.
    package let body: any BodyReader
}

package enum ClientError: Error, Sendable, Equatable {
    case unresolved(host: String, evidence: String)
    case connect(evidence: String)
    case tls(evidence: String)
    /// The request was sent, in part or whole, and no answer came in time.
    case timedOut
    case reset
    case malformed(reason: String)
    /// The body that was to be sent failed on its own side.
    case bodyFailed(BodyError)
    case cancelled

    /// False only if the request certainly did not reach the server.
    package var mayHaveArrived: Bool {
        switch self {
        case .unresolved, .connect, .tls: false
        case .timedOut, .reset, .malformed, .bodyFailed, .cancelled: true
        }
    }
}

/// HTTP/1.1 requests over pooled connections, which stay on the loop that made them.
package final class HTTPClient: Sendable {
    private struct PoolKey: Hashable {
        let loop: ObjectIdentifier
        let endpoint: Endpoint
    }
    private struct Idle {
        let stream: SocketStream
        let until: ContinuousClock.Instant
    }
    private struct State {
        var idle: [PoolKey: [Idle]] = [:]
        var inUse: [PoolKey: Int] = [:]
        var waiting: [PoolKey: [Waiter]] = [:]
        var isSweepDue = false
    }

    /// Addresses of one name that are tried, in the order of the resolver.
    private static let addressesMax = 4

    private let limits: ClientLimits
    private let pool: BlockingPool
    private let tls: TLSContext?
    private let fallbackLoop: EventLoop
    private let state = Mutex(State())

    /// - Parameters:
    ///   - pool: for name look-ups
    ///   - tls: for https endpoints
    ///   - loop: for callers that are on no loop
    package init(limits: ClientLimits = ClientLimits(), pool: BlockingPool, tls: TLSContext?, loop: EventLoop) {
        self.limits = limits
        self.pool = pool
        self.tls = tls
        fallbackLoop = loop
    }

    /// Sends the request and returns when the response's head is there. On the current loop, so far as there is one.
    package func send(_ request: ClientRequest) async throws(ClientError) -> ClientResponse {
        let loop = EventLoop.current ?? fallbackLoop
        let key = PoolKey(loop: ObjectIdentifier(loop), endpoint: request.endpoint)
        try await enter(key, loop, within: request.timeouts.connect)
        let slot = Slot { [weak self] in self?.leave(key) }
        while let stream = takeIdle(key) {
            let exchange = exchange(stream, request, key, loop)
            do throws(ClientError) {
                return try await exchange.run(slot)
            } catch {
                stream.close()
                // A server may close an idle connection at any moment; a request that can be sent again is.
                guard error == .reset, exchange.isRepeatable else { throw error }
            }
        }
        let stream = try await connect(request.endpoint, loop, within: request.timeouts.connect)
        let exchange = exchange(stream, request, key, loop)
        do throws(ClientError) {
            return try await exchange.run(slot)
        } catch {
            stream.close()
            if error == .reset, !exchange.hasSent { throw .connect(evidence: "closed before the request was sent") }
            throw error
        }
    }

    private func exchange(_ stream: SocketStream, _ request: ClientRequest, _ key: PoolKey, _ loop: EventLoop)
        -> ClientExchange
    {
        ClientExchange(stream, request) { [weak self] in
            guard let self else { return stream.close() }
            self.giveBack(stream, key, loop)
        }
    }

    // MARK: Pool

    private func enter(_ key: PoolKey, _ loop: EventLoop, within limit: Duration) async throws(ClientError) {
        enum Entry {
            case granted, refused
            case wait(Waiter)
        }
        let entry = state.withLock { state in
            if state.inUse[key, default: 0] < limits.connectionsMax {
                state.inUse[key, default: 0] += 1
                return Entry.granted
            }
            guard state.waiting[key, default: []].count < limits.waitingMax else { return .refused }
            let waiter = Waiter()
            state.waiting[key, default: []].append(waiter)
            return .wait(waiter)
        }
        let waiter: Waiter
        switch entry {
        case .granted: return
        case .refused: throw .connect(evidence: "\(limits.waitingMax) requests wait for a connection already")
        case .wait(let one): waiter = one
        }
        let timer = loop.timer(limit) { waiter.resume(.timedOut) }
        let outcome = await withTaskCancellationHandler {
            await waiter.wait()
        } onCancel: {
            waiter.resume(.cancelled)
        }
        timer.cancel()
        guard outcome == .ready else {
            state.withLock { $0.waiting[key]?.removeAll { $0 === waiter } }
            throw outcome == .cancelled
                ? .cancelled : .connect(evidence: "all \(limits.connectionsMax) connections are in use")
        }
    }

    private func leave(_ key: PoolKey) {
        while true {
            let next: Waiter? = state.withLock { state in
                if let waiter = state.waiting[key]?.first {
                    state.waiting[key]?.removeFirst()
                    return waiter
                }
                state.inUse[key, default: 1] -= 1
                return nil
            }
            guard let next else { return }
            if next.resumed(.ready) { return }
        }
    }

    private func takeIdle(_ key: PoolKey) -> SocketStream? {
        while let one = state.withLock({ $0.idle[key]?.popLast() }) {
            if one.until > .now, one.stream.isQuiet { return one.stream }
            one.stream.close()
        }
        return nil
    }

    private func giveBack(_ stream: SocketStream, _ key: PoolKey, _ loop: EventLoop) {
        let until = ContinuousClock.now + limits.idleTimeout
        let (surplus, mustSchedule): (SocketStream?, Bool) = state.withLock { state in
            state.idle[key, default: []].append(Idle(stream: stream, until: until))
            let isOver = state.idle[key, default: []].count > limits.idleMax
            defer { state.isSweepDue = true }
            return (isOver ? state.idle[key]?.removeFirst().stream : nil, !state.isSweepDue)
        }
        surplus?.close()
        if mustSchedule { scheduleSweep(loop) }
    }

    /// Idle connections that nobody asks for again are closed when their time is over.
    private func scheduleSweep(_ loop: EventLoop) {
        _ = loop.timer(limits.idleTimeout) { [weak self] in self?.sweep(loop) }
    }

    private func sweep(_ loop: EventLoop) {
        let now = ContinuousClock.now
        let (expired, isMoreLeft): ([SocketStream], Bool) = state.withLock { state in
            var expired: [SocketStream] = []
            for (key, list) in state.idle {
                // The list is in the order of its ends.
                let old = list.prefix { $0.until <= now }
                expired += old.map(\.stream)
                state.idle[key] = old.count == list.count ? nil : Array(list[old.count...])
            }
            state.isSweepDue = !state.idle.isEmpty
            return (expired, state.isSweepDue)
        }
        for stream in expired { stream.close() }
        if isMoreLeft { scheduleSweep(loop) }
    }

    /// Ends the idle connections.
    package func close() {
        let all = state.withLock { state in
            defer { state.idle = [:] }
            return state.idle.values.flatMap { $0 }
        }
        for one in all { one.stream.close() }
    }

    // MARK: Connections

    private func connect(
        _ endpoint: Endpoint, _ loop: EventLoop, within limit: Duration
    ) async throws(ClientError) -> SocketStream {
        let deadline = ContinuousClock.now + limit
        let addresses = try await resolve(endpoint, loop, deadline).prefix(HTTPClient.addressesMax)
        var last = ClientError.unresolved(host: endpoint.host, evidence: "no address")
        for (index, raw) in addresses.enumerated() {
            // A silent address must leave time for those behind it.
            let share = ContinuousClock.now.duration(to: deadline) / (addresses.count - index)
            do throws(ClientError) {
                return try await connect(raw, endpoint, loop, deadline: .now + share)
            } catch {
                if error == .cancelled { throw error }
                last = error
            }
        }
        throw last
    }

    private func resolve(
        _ endpoint: Endpoint, _ loop: EventLoop, _ deadline: ContinuousClock.Instant
    ) async throws(ClientError) -> [RawAddress] {
        let address = SocketAddress(host: endpoint.host, port: endpoint.port)
        let found: Result<[RawAddress], ResolveError>
        if RawAddress.isNumeric(endpoint.host) {
            found = RawAddress.resolve(address, passive: false)
        } else {
            do throws(WaitError) {
                found = try await pool.run(until: deadline, on: loop) { RawAddress.resolve(address, passive: false) }
            } catch {
                throw error == .cancelled
                    ? .cancelled : .unresolved(host: endpoint.host, evidence: "no answer from the resolver")
            }
        }
        do throws(ResolveError) { return try found.get() } catch {
            throw .unresolved(host: endpoint.host, evidence: error.evidence)
        }
    }

    private func connect(
        _ raw: RawAddress, _ endpoint: Endpoint, _ loop: EventLoop, deadline: ContinuousClock.Instant
    ) async throws(ClientError) -> SocketStream {
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let fd = socket(raw.family, type, 0)
        guard fd >= 0 else { throw .connect(evidence: SystemError("socket").description) }
        guard raw.withPointer({ Glibc.connect(fd, $0, $1) }) == 0 || errno == EINPROGRESS else {
            let error = SystemError("connect")
            Glibc.close(fd)
            throw .connect(evidence: error.description)
        }
        let stream = try watch(fd, endpoint, loop)
        do throws(ClientError) {
            try await establish(stream, endpoint, deadline)
        } catch {
            stream.close()
            throw error
        }
        return stream
    }

    private func watch(_ fd: CInt, _ endpoint: Endpoint, _ loop: EventLoop) throws(ClientError) -> SocketStream {
        do {
            var session: TLSSession?
            if endpoint.scheme == .https {
                guard let tls else { throw ClientError.tls(evidence: "no trust is configured") }
                session = try TLSSession(tls, fd: fd, hostname: endpoint.host)
            }
            return try SocketStream(fd: fd, loop: loop, session: session)
        } catch {
            Glibc.close(fd)
            throw error as? ClientError ?? .connect(evidence: "\(error)")
        }
    }

    private func establish(
        _ stream: SocketStream, _ endpoint: Endpoint, _ deadline: ContinuousClock.Instant
    ) async throws(ClientError) {
        do throws(WaitError) {
            try await stream.descriptor.writable(deadline: deadline)
        } catch {
            throw error == .cancelled ? .cancelled : .connect(evidence: "no answer from \(endpoint.authority)")
        }
        let code = stream.descriptor.withOpenFD { fd in
            var code: CInt = 0
            var size = socklen_t(MemoryLayout<CInt>.size)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size)
            return code
        }
        guard code == 0 else { throw .connect(evidence: SystemError("connect", errno: code ?? EBADF).description) }
        do throws(StreamError) {
            try await stream.handshake(deadline: deadline)
        } catch {
            throw error == .cancelled ? .cancelled : .tls(evidence: "\(error)")
        }
    }
}

/// Gives a place in the pool back when the last reference goes: with the response's body.
final class Slot: Sendable {
    private let release: @Sendable () -> Void
    init(_ release: @escaping @Sendable () -> Void) { self.release = release }
    deinit { release() }
}
