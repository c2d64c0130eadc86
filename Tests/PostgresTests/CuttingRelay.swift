import Foundation
import Glibc
import Synchronization

/// A relay before a real Postgres that ends the connection between a statement's rows and the message that says that its
/// transaction is over (PostgreSQL documentation, "Message Flow", ReadyForQuery).
final class CuttingRelay: Sendable {
    struct Failure: Error { let evidence: String }

    let folder: String
    private let listener: CInt
    private let serverPath: String
    private let isArmed = Atomic<Bool>(false)
    private let cuts = Atomic<Int>(0)

    /// From the next statement on.
    func arm() { isArmed.store(true, ordering: .sequentiallyConsistent) }
    var cutCount: Int { cuts.load(ordering: .sequentiallyConsistent) }

    init(before serverPath: String) throws {
        self.serverPath = serverPath
        var template = Array("/tmp/sluice-relay-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(evidence: "mkdtemp: errno \(errno)") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        listener = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        guard CuttingRelay.with(folder + "/.s.PGSQL.5432", { bind(listener, $0, $1) }) == 0, listen(listener, 16) == 0
        else { throw Failure(evidence: "bind: errno \(errno)") }
        Thread.detachNewThread { [self] in accept() }
    }

    func close() {
        shutdown(listener, CInt(SHUT_RDWR))
        try? FileManager.default.removeItem(atPath: folder)
    }

    private static func with(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    private func accept() {
        while true {
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0 else { return }
            let server = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
            guard CuttingRelay.with(serverPath, { connect(server, $0, $1) }) == 0 else {
                Glibc.close(client)
                continue
            }
            Thread.detachNewThread { CuttingRelay.copy(client, server) }
            Thread.detachNewThread { [self] in answers(server, client) }
        }
    }

    private static func copy(_ from: CInt, _ to: CInt) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(from, &buffer, buffer.count, 0)
            guard count > 0, send(buffer[..<count], to) else { break }
        }
        shutdown(to, CInt(SHUT_RDWR))
    }

    private static func send(_ bytes: ArraySlice<UInt8>, _ to: CInt) -> Bool {
        let bytes = Array(bytes)
        return Glibc.send(to, bytes, bytes.count, CInt(MSG_NOSIGNAL)) == bytes.count
    }

    private static func exactly(_ count: Int, _ from: CInt) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var got = 0
        while got < count {
            let more = bytes.withUnsafeMutableBytes { recv(from, $0.baseAddress?.advanced(by: got), count - got, 0) }
            guard more > 0 else { return nil }
            got += more
        }
        return bytes
    }

    /// Message by message: one byte of type, four of length.
    private func answers(_ server: CInt, _ client: CInt) {
        while let head = CuttingRelay.exactly(5, server) {
            let length = head[1...].reduce(0) { $0 << 8 | Int($1) } - 4
            guard let body = length > 0 ? CuttingRelay.exactly(length, server) : [] else { break }
            if head[0] == UInt8(ascii: "Z"), isArmed.exchange(false, ordering: .sequentiallyConsistent) {
                cuts.add(1, ordering: .sequentiallyConsistent)
                break
            }
            guard CuttingRelay.send((head + body)[...], client) else { break }
        }
        shutdown(client, CInt(SHUT_RDWR))
        shutdown(server, CInt(SHUT_RDWR))
    }
}
