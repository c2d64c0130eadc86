package import Crypto
package import EventLoop
import Glibc
package import HTTP
import Synchronization
package import Telemetry

/// Bounds of a server; each protects against a kind of client.
package struct ServerLimits: Sendable {
    /// From the first byte of a head to its last.
    package var headTimeout: Duration = .seconds(10)
    /// Between two requests.
    package var idleTimeout: Duration = .seconds(60)
    /// Within a body, without any byte.
    package var bodyIdleTimeout: Duration = .seconds(30)
    /// Of every `bodyRateWindow` that the server spent waiting for the body.
    package var bodyBytesPerSecondMin = 1024
    package var bodyRateWindow: Duration = .seconds(10)
    /// A response that makes no progress for so long is cut.
    package var writeStall: Duration = .seconds(60)
    package var connectionsMax = 10_000
    /// What is read and thrown away of a body that nobody wanted, to keep the connection.
    package var drainMax = 64 * 1024
    package var drainTimeout: Duration = .seconds(5)
    /// What is thrown away of the input after the last response, so that the client gets to read it.
    package var lingerMax = 64 * 1024 * 1024
    package var lingerTimeout: Duration = .seconds(5)
    package init() {}
}

package enum ListenError: Error, Sendable, Equatable {
    case inUse(SocketAddress)
    case failed(SocketAddress, evidence: String)
}

/// Serves HTTP/1.1 on one address: a listener per loop with SO_REUSEPORT, one task per connection.
package final class HTTPServer: Sendable {
    private struct Open {
        let connection: ServerConnection
        /// Nil for the moment between admission and start.
        var task: Task<Void, Never>?
    }

    private struct State {
        var listeners: [Descriptor] = []
        var isStopping = false
        var nextID: UInt64 = 0
        var connections: [UInt64: Open] = [:]
        var emptied: [Waiter] = []
    }

    /// After its task was cancelled and its socket reset, a connection has so long to end by itself.
    private static let cutTimeout: Duration = .seconds(5)

    private let handler: any RequestHandler
    private let limits: ServerLimits
    private let tls: TLSContext?
    private let logger: Logger
    private let errorResponse: @Sendable (Int) -> Response
    private let dateLine = DateLine()
    private let state = Mutex(State())

    /// - Parameter errorResponse: the answer to a request that never reached the handler, by status: a head that was refused or
    ///   too slow, or a response that failed before its head was sent
    package init(
        handler: any RequestHandler, limits: ServerLimits = ServerLimits(), tls: TLSContext? = nil, logger: Logger,
        errorResponse: @escaping @Sendable (Int) -> Response = { Response(ResponseHead(Status($0))) }
    ) {
        self.handler = handler
        self.limits = limits
        self.tls = tls
        self.logger = logger
        self.errorResponse = errorResponse
    }

    /// How many connections are open, idle ones included.
    package var connectionCount: Int { state.withLock { $0.connections.count } }

    /// Binds on every loop of the group and begins to accept. Returns the port, which the system chose if it was 0.
    ///
    /// The address is bound once without SO_REUSEPORT first, so that a second server on it is told.
    @discardableResult
    package func start(_ address: SocketAddress, on group: LoopGroup) throws(ListenError) -> Int {
        guard case .success(let found) = RawAddress.resolve(address, passive: true), let raw = found.first else {
            throw .failed(address, evidence: "the host name has no address")
        }
        // Between the two bindings of a port that the system chose, somebody else may get it: then it chooses again.
        for _ in 0..<(address.port == 0 ? HTTPServer.portChoicesMax - 1 : 0) {
            do throws(ListenError) { return try start(address, raw, on: group) } catch .inUse { continue } catch {
                throw error
            }
        }
        return try start(address, raw, on: group)
    }

    private static let portChoicesMax = 16

    private func start(_ address: SocketAddress, _ raw: RawAddress, on group: LoopGroup) throws(ListenError) -> Int {
        var bound = raw
        let probe = try HTTPServer.listener(address, raw, reusesPort: false)
        let port = HTTPServer.port(of: probe)
        Glibc.close(probe)
        bound.storage[2] = UInt8(port >> 8)
        bound.storage[3] = UInt8(port & 255)
        do throws(ListenError) {
            for loop in group.loops { try listen(address, bound, on: loop) }
        } catch {
            for listener in state.withLock({ state in
                defer { state.listeners = [] }
                return state.listeners
            }) { listener.close() }
            throw error
        }
        return port
    }

    private func listen(_ address: SocketAddress, _ raw: RawAddress, on loop: EventLoop) throws(ListenError) {
        let fd = try HTTPServer.listener(address, raw, reusesPort: true)
        do throws(SystemError) {
            let descriptor = try loop.watch(fd, .edge)
            state.withLock { $0.listeners.append(descriptor) }
            loop.spawn { await self.accept(on: descriptor, loop) }
        } catch {
            Glibc.close(fd)
            throw .failed(address, evidence: error.description)
        }
    }

    private static func listener(_ address: SocketAddress, _ raw: RawAddress, reusesPort: Bool) throws(ListenError)
        -> CInt
    {
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let fd = socket(raw.family, type, 0)
        guard fd >= 0 else { throw .failed(address, evidence: SystemError("socket").description) }
        var one: CInt = 1
        let size = socklen_t(MemoryLayout<CInt>.size)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, size)
        if reusesPort { setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, size) }
        guard raw.withPointer({ bind(fd, $0, $1) }) == 0, Glibc.listen(fd, 1024) == 0 else {
            let error = SystemError("bind")
            Glibc.close(fd)
            throw error.errno == EADDRINUSE ? .inUse(address) : .failed(address, evidence: error.description)
        }
        return fd
    }

    private static func port(of fd: CInt) -> Int {
        var storage = [UInt8](repeating: 0, count: 128)
        var length = socklen_t(storage.count)
        storage.withUnsafeMutableBytes { bytes in
            _ = getsockname(fd, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length)
        }
        return Int(storage[2]) << 8 | Int(storage[3])
    }

    private func accept(on listener: Descriptor, _ loop: EventLoop) async {
        while true {
            switch listener.acceptConnection() {
            case .success(let fd): admit(fd, loop)
            case .failure(let error):
                switch error.errno {
                // The rest are errors of a connection that died in the queue (accept(2)).
                case EINTR, ECONNABORTED, EPROTO, ENOPROTOOPT, ENETDOWN, EHOSTDOWN, EHOSTUNREACH, ENETUNREACH,
                    EOPNOTSUPP, EPERM:
                    continue
                case EAGAIN:
                    listener.drainedReadable()
                    do throws(WaitError) { try await listener.readable() } catch { return }
                case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                    logger.error(
                        "cannot accept a connection; raise the limit of open files",
                        [("error", .string(error.description))])
                    do throws(CancellationError) { try await loop.sleep(for: .milliseconds(100)) } catch { return }
                default: return
                }
            }
        }
    }

    private func admit(_ fd: CInt, _ loop: EventLoop) {
        let peer = RawAddress.peer(of: fd)
        let stream: SocketStream
        do {
            let session = try tls.map { try TLSSession($0, fd: fd, hostname: nil) }
            stream = try SocketStream(fd: fd, loop: loop, session: session)
        } catch {
            logger.error("cannot serve a connection", [("peer", .string(peer)), ("error", .string("\(error)"))])
            Glibc.close(fd)
            return
        }
        let connection = ServerConnection(
            stream, handler: handler, limits: limits, peer: peer, dateLine: dateLine, errorResponse: errorResponse)
        let id: UInt64? = state.withLock { state in
            guard !state.isStopping, state.connections.count < limits.connectionsMax else { return nil }
            state.nextID += 1
            state.connections[state.nextID] = Open(connection: connection)
            return state.nextID
        }
        guard let id else { return stream.close() }
        let task = loop.spawn {
            await connection.run()
            self.forget(id)
        }
        state.withLock { $0.connections[id]?.task = task }
    }

    private func forget(_ id: UInt64) {
        let waiters: [Waiter] = state.withLock { state in
            state.connections[id] = nil
            return state.connections.isEmpty ? state.emptied : []
        }
        for waiter in waiters { waiter.resume(.ready) }
    }

    /// Stops accepting, ends idle connections at once, lets requests under way finish for `grace`, then cancels their handlers
    /// and resets their connections.
    package func shutdown(grace: Duration) async {
        let (listeners, connections): ([Descriptor], [Open]) = state.withLock { state in
            state.isStopping = true
            defer { state.listeners = [] }
            return (state.listeners, Array(state.connections.values))
        }
        for listener in listeners { listener.close() }
        for open in connections { open.connection.stop() }
        if await becomesEmpty(within: grace) { return }
        for open in state.withLock({ Array($0.connections.values) }) {
            open.task?.cancel()
            open.connection.cut()
        }
        _ = await becomesEmpty(within: HTTPServer.cutTimeout)
    }

    private func becomesEmpty(within limit: Duration) async -> Bool {
        let waiter = Waiter()
        let isEmpty = state.withLock { state in
            state.emptied.append(waiter)
            return state.connections.isEmpty
        }
        if isEmpty { return true }
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                do throws(CancellationError) {
                    try await EventLoop.sleep(for: limit)
                    waiter.resume(.timedOut)
                } catch { return }
            }
            let outcome = await waiter.wait()
            group.cancelAll()
            return outcome == .ready
        }
    }
}
