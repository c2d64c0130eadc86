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
    package var bodyBytesPerSecondMin = 1024
    /// A response that makes no progress for so long is cut.
    package var writeStall: Duration = .seconds(60)
    package var connectionsMax = 10_000
    /// What is read and thrown away of a body that nobody wanted, to keep the connection.
    package var drainMax = 64 * 1024
    package init() {}
}

package enum ListenError: Error, Sendable, Equatable {
    case inUse(SocketAddress)
    case failed(SocketAddress, evidence: String)
}

/// Serves HTTP/1.1 on one address: a listener per loop with SO_REUSEPORT, one task per connection.
package final class HTTPServer: Sendable {
    private struct State {
        var listeners: [Descriptor] = []
        var isStopping = false
        var nextID: UInt64 = 0
        var connections: [UInt64: ServerConnection] = [:]
        var emptied: Waiter?
    }

    private let handler: any RequestHandler
    private let limits: ServerLimits
    private let tls: TLSContext?
    private let logger: Logger
    private let state = Mutex(State())

    package init(handler: any RequestHandler, limits: ServerLimits = ServerLimits(), tls: TLSContext? = nil, logger: Logger) {
        self.handler = handler
        self.limits = limits
        self.tls = tls
        self.logger = logger
    }

    /// Binds on every loop of the group and begins to accept. Returns the port, which the system chose if it was 0.
    ///
    /// The address is bound once without SO_REUSEPORT first, so that a second server on it is told.
    @discardableResult
    package func start(_ address: SocketAddress, on group: LoopGroup) throws(ListenError) -> Int {
        guard case .success(let found) = RawAddress.resolve(address, passive: true), let raw = found.first else {
            throw .failed(address, evidence: "the host name has no address")
        }
        var bound = raw
        let probe = try HTTPServer.listener(address, raw, reusesPort: false)
        let port = HTTPServer.port(of: probe)
        Glibc.close(probe)
        bound.storage[2] = UInt8(port >> 8)
        bound.storage[3] = UInt8(port & 255)
        for loop in group.loops {
            let fd = try HTTPServer.listener(address, bound, reusesPort: true)
            do throws(SystemError) {
                let descriptor = try loop.watch(fd, .edge)
                state.withLock { $0.listeners.append(descriptor) }
                loop.spawn { await self.accept(on: descriptor, loop) }
            } catch {
                Glibc.close(fd)
                throw .failed(address, evidence: error.description)
            }
        }
        return port
    }

    private static func listener(_ address: SocketAddress, _ raw: RawAddress, reusesPort: Bool) throws(ListenError) -> CInt {
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let fd = socket(raw.family, type, 0)
        guard fd >= 0 else { throw .failed(address, evidence: SystemError("socket").description) }
        var one: CInt = 1
        let size = socklen_t(MemoryLayout<CInt>.size)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, size)
        if reusesPort { setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, size) }
        guard raw.withPointer({ bind(fd, $0, $1) }) == 0, listen(fd, 1024) == 0 else {
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
            let fd = listener.acceptConnection()
            if fd >= 0 {
                admit(fd, loop)
                continue
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EAGAIN:
                listener.drainedReadable()
                do throws(WaitError) { try await listener.readable() } catch { return }
            case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                logger.error("cannot accept a connection; raise the limit of open files", [("error", .string(SystemError("accept4").description))])
                do throws(CancellationError) { try await loop.sleep(for: .milliseconds(100)) } catch { return }
            default: return
            }
        }
    }

    private func admit(_ fd: CInt, _ loop: EventLoop) {
        let stream: SocketStream
        do {
            let session = try tls.map { try TLSSession($0, fd: fd, hostname: nil) }
            stream = try SocketStream(fd: fd, loop: loop, session: session)
        } catch {
            Glibc.close(fd)
            return
        }
        let admitted: (UInt64, ServerConnection)? = state.withLock { state in
            guard !state.isStopping, state.connections.count < limits.connectionsMax else { return nil }
            state.nextID += 1
            let connection = ServerConnection(stream, handler: handler, limits: limits, peer: HTTPServer.peer(of: fd))
            state.connections[state.nextID] = connection
            return (state.nextID, connection)
        }
        guard let (id, connection) = admitted else { return stream.close() }
        loop.spawn {
            await connection.run()
            self.forget(id)
        }
    }

    private func forget(_ id: UInt64) {
        let waiter: Waiter? = state.withLock { state in
            state.connections[id] = nil
            return state.connections.isEmpty ? state.emptied : nil
        }
        waiter?.resume(.ready)
    }

    private static func peer(of fd: CInt) -> String {
        var storage = [UInt8](repeating: 0, count: 128)
        var length = socklen_t(storage.count)
        let code = storage.withUnsafeMutableBytes { bytes in
            getpeername(fd, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length)
        }
        guard code == 0, length >= 8 else { return "unknown" }
        guard storage[0] == UInt8(AF_INET) else { return "ipv6" }
        return storage[4..<8].map(String.init).joined(separator: ".")
    }

    /// Stops accepting, ends idle connections at once, lets requests under way finish for `grace`, then cuts the rest.
    package func shutdown(grace: Duration) async {
        let waiter = Waiter()
        let (listeners, connections): ([Descriptor], [ServerConnection]) = state.withLock { state in
            state.isStopping = true
            defer { state.listeners = [] }
            if !state.connections.isEmpty { state.emptied = waiter }
            return (state.listeners, Array(state.connections.values))
        }
        for listener in listeners { listener.close() }
        for connection in connections { connection.stop() }
        guard !connections.isEmpty else { return }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                do throws(CancellationError) {
                    try await EventLoop.sleep(for: grace)
                    waiter.resume(.timedOut)
                } catch { return }
            }
            _ = await waiter.wait()
            group.cancelAll()
        }
        for connection in state.withLock({ Array($0.connections.values) }) { connection.cut() }
    }
}
