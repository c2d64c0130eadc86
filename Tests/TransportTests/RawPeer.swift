import EventLoop
import Glibc
import HTTP
import Synchronization
import Transport

/// A bare TCP connection, for what a well-behaved client or server would not do.
final class RawPeer: Sendable {
    enum Failure: Error, Equatable {
        case reset, timedOut
        case other(CInt)
    }
    private static let patience: Duration = .seconds(20)

    private let descriptor: Descriptor
    private let received = Mutex<[UInt8]>([])

    init(_ fd: CInt, on loop: EventLoop) throws { descriptor = try loop.watch(fd, .edge) }

    static func connect(port: Int, on loop: EventLoop) async throws -> RawPeer {
        let fd = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        _ = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        let peer = try RawPeer(fd, on: loop)
        try await peer.descriptor.writable(deadline: .now + patience)
        return peer
    }

    func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) async throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor.fd, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN {
                descriptor.drainedWritable()
                try await descriptor.writable(deadline: .now + RawPeer.patience)
            } else {
                throw errno == ECONNRESET || errno == EPIPE ? Failure.reset : .other(errno)
            }
        }
    }

    /// A byte every ten milliseconds, until the other side or the test has enough.
    func trickle() async {
        while true {
            do {
                try await send("X")
                try await EventLoop.sleep(for: .milliseconds(10))
            } catch { return }
        }
    }

    /// False at the end of the stream.
    private func receive() async throws -> Bool {
        while true {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor.fd, &buffer, buffer.count, 0)
            if count > 0 {
                received.withLock { $0 += buffer[..<count] }
                return true
            }
            if count == 0 { return false }
            guard errno == EAGAIN else { throw errno == ECONNRESET ? Failure.reset : .other(errno) }
            descriptor.drainedReadable()
            do throws(WaitError) {
                try await descriptor.readable(deadline: .now + RawPeer.patience)
            } catch {
                throw Failure.timedOut
            }
        }
    }

    /// Everything up to and with `end`, which must come.
    func receive(upTo end: String) async throws -> String {
        let mark = Array(end.utf8)
        while true {
            let found: [UInt8]? = received.withLock { bytes in
                guard let start = bytes.indices.first(where: { bytes[$0...].starts(with: mark) }) else { return nil }
                let taken = Array(bytes[..<(start + mark.count)])
                bytes.removeFirst(taken.count)
                return taken
            }
            if let found { return String(decoding: found, as: UTF8.self) }
            guard try await receive() else { throw Failure.other(0) }
        }
    }

    /// Everything up to the end of the stream.
    func receiveAll() async throws -> String {
        while try await receive() {}
        return received.withLock { bytes in
            defer { bytes = [] }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    func finishWriting() { shutdown(descriptor.fd, CInt(SHUT_WR)) }
    func close() { descriptor.close() }

    func reset() {
        var hard = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor.fd, SOL_SOCKET, SO_LINGER, &hard, socklen_t(MemoryLayout<linger>.size))
        descriptor.close()
    }

    deinit { descriptor.close() }
}

/// A server that does what a script says, connection by connection.
struct ScriptedServer: Sendable {
    let port: Int
    private let listener: Descriptor
    /// Connections that were accepted.
    let accepted = Counter()

    final class Counter: Sendable {
        private let count = Atomic<Int>(0)
        var value: Int { count.load(ordering: .sequentiallyConsistent) }
        func increase() -> Int { count.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue }
    }

    var endpoint: Endpoint { Endpoint(scheme: .http, host: "127.0.0.1", port: port) }

    private init(on loop: EventLoop) throws {
        let fd = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(fd, $0, length)
                Glibc.listen(fd, 64)
                getsockname(fd, $0, &length)
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        listener = try loop.watch(fd, .edge)
    }

    /// - Parameter script: called with each connection and its number, from 1
    static func run<R: Sendable>(
        script: @escaping @Sendable (RawPeer, Int) async throws -> Void,
        _ body: @escaping @Sendable (ScriptedServer, LoopGroup) async throws -> R
    ) async throws -> R {
        try await onLoop { loops in
            let server = try ScriptedServer(on: loops.loops[0])
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await server.accept(loops.loops[0], script) }
                defer {
                    server.listener.close()
                    group.cancelAll()
                }
                return try await body(server, loops)
            }
        }
    }

    private func accept(_ loop: EventLoop, _ script: @escaping @Sendable (RawPeer, Int) async throws -> Void) async {
        await withTaskGroup(of: Void.self) { group in
            while true {
                switch listener.acceptConnection() {
                case .success(let fd):
                    guard let peer = try? RawPeer(fd, on: loop) else { return }
                    let number = accepted.increase()
                    // A script that fails shows in what its client sees.
                    group.addTask { try? await script(peer, number) }
                case .failure(let error):
                    guard error.errno == EAGAIN else { return group.cancelAll() }
                    listener.drainedReadable()
                    do { try await listener.readable() } catch { return group.cancelAll() }
                }
            }
        }
    }
}
