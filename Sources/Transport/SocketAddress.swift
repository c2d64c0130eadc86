import Glibc

/// Where a service is: scheme, host and port.
package struct Endpoint: Hashable, Sendable {
    package enum Scheme: String, Sendable { case http, https }
    package let scheme: Scheme
    package let host: String
    package let port: Int

    package init(scheme: Scheme, host: String, port: Int) {
        self.scheme = scheme
        self.host = host
        self.port = port
    }

    /// Nil unless `url` is `http://HOST[:PORT]` or `https://HOST[:PORT]`.
    package init?(url: String) {
        let scheme: Scheme
        let rest: Substring
        if url.hasPrefix("https://") {
            (scheme, rest) = (.https, url.dropFirst(8))
        } else if url.hasPrefix("http://") {
            (scheme, rest) = (.http, url.dropFirst(7))
        } else {
            return nil
        }
        let authority = rest.hasSuffix("/") ? rest.dropLast() : rest
        guard let address = SocketAddress(String(authority), defaultPort: scheme == .https ? 443 : 80) else {
            return nil
        }
        self.init(scheme: scheme, host: address.host, port: address.port)
    }

    /// The Host header: the port is left out where it is the scheme's own.
    package var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (scheme == .https ? 443 : 80) ? name : "\(name):\(port)"
    }
}

/// A host name or numeric address, and a port.
package struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
    package let host: String
    package let port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `HOST:PORT`, `[IPV6]:PORT`, or without a port where there is a default. Nil otherwise.
    package init?(_ text: String, defaultPort: Int? = nil) {
        var host = text
        var port = defaultPort
        if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]"),
            text.hasPrefix("[") || text.firstIndex(of: ":") == colon
        {
            guard let value = Int(text[text.index(after: colon)...]), (0...65_535).contains(value) else { return nil }
            host = String(text[..<colon])
            port = value
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty, let port, host.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x2F && $0 != 0x40 && $0 < 0x7F })
        else {
            return nil
        }
        self.init(host: host, port: port)
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// A resolved address as the kernel takes it.
struct RawAddress: Sendable {
    var storage: [UInt8]
    let family: CInt

    func withPointer<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        storage.withUnsafeBytes { bytes in
            body(bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
    }

    /// Blocks: getaddrinfo. The evidence is gai_strerror's.
    static func resolve(_ address: SocketAddress, passive: Bool) -> Result<[RawAddress], ResolveError> {
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : AI_ADDRCONFIG)
        var list: UnsafeMutablePointer<addrinfo>?
        var code = getaddrinfo(address.host, String(address.port), &hints, &list)
        if code != 0, !passive {
            // AI_ADDRCONFIG finds nothing on a machine with loopback only.
            hints.ai_flags = AI_NUMERICSERV
            code = getaddrinfo(address.host, String(address.port), &hints, &list)
        }
        guard code == 0 else { return .failure(ResolveError(evidence: String(cString: gai_strerror(code)))) }
        defer { freeaddrinfo(list) }
        var found: [RawAddress] = []
        var next = list
        while let one = next {
            if let pointer = one.pointee.ai_addr {
                let bytes = UnsafeRawBufferPointer(start: pointer, count: Int(one.pointee.ai_addrlen))
                found.append(RawAddress(storage: Array(bytes), family: one.pointee.ai_family))
            }
            next = one.pointee.ai_next
        }
        return .success(found)
    }

    /// The peer's address without its port, for logs; `unknown` if the connection is gone already.
    static func peer(of fd: CInt) -> String {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let code = withUnsafeMutablePointer(to: &address) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                getpeername(fd, pointer, &length) == 0
                    ? getnameinfo(pointer, length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) : -1
            }
        }
        guard code == 0 else { return "unknown" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Whether `host` needs no look-up.
    static func isNumeric(_ host: String) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 16)
        return inet_pton(AF_INET, host, &buffer) == 1 || inet_pton(AF_INET6, host, &buffer) == 1
    }
}

struct ResolveError: Error, Sendable { let evidence: String }
