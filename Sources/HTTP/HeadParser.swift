/// Why a head was refused, with the status to answer with.
package struct HeadError: Error, Sendable, Equatable {
    package let status: Int
    /// Evidence for logs, never sent to the peer.
    package let reason: String
    package init(_ status: Int, _ reason: String) {
        self.status = status
        self.reason = reason
    }
}

/// How a body is delimited (RFC 9112 §6).
package enum Framing: Sendable, Equatable {
    case none
    case length(Int64)
    case chunked
    /// Until the connection closes; responses only.
    case untilClose
}

/// Bounds of a head.
package enum HeadLimits {
    /// Bytes of the whole head.
    package static let bytesMax = 32 * 1024
    /// Bytes of the request line: an S3 key of 1,024 bytes, all escaped, and a presigned query with a session token fit well.
    package static let requestLineMax = 16 * 1024
    package static let fieldsMax = 128
}

package struct ParsedRequestHead: Sendable, Equatable {
    package var head: RequestHead
    package var framing: Framing
    package var keepsAlive: Bool
    package var expectsContinue: Bool
    /// How many bytes of the input the head took.
    package var length: Int
}

package struct ParsedResponseHead: Sendable, Equatable {
    package var status: Status
    package var fields: Fields
    package var framing: Framing
    package var keepsAlive: Bool
    package var length: Int
}

/// Strict HTTP/1.1 heads on raw bytes (RFC 9112). Whatever two implementations could read differently is refused: bare LF,
/// obs-fold, white space before a colon, Content-Length beside Transfer-Encoding, differing lengths, control characters.
package enum HeadParser {
    /// Nil while the head is not complete. Call again with more of the same input; `scanned` avoids looking twice.
    package static func request(
        _ input: UnsafeRawBufferPointer, scanned: inout Int
    ) throws(HeadError) -> ParsedRequestHead? {
        guard let end = try endOfHead(input, &scanned, tooLarge: 431, lineMax: HeadLimits.requestLineMax) else {
            return nil
        }
        var lines = LineCursor(input, end: end)
        let (method, target, isVersion11) = try requestLine(lines.next())
        let fields = try self.fields(&lines)
        let framing = try requestFraming(fields, isVersion11: isVersion11)
        try checkHost(fields.values("host"), target: target, isVersion11: isVersion11)
        return ParsedRequestHead(
            head: RequestHead(method: Method(method), target: target, fields: fields), framing: framing,
            keepsAlive: keepsAlive(fields, isVersion11: isVersion11),
            expectsContinue: isVersion11 && (fields["expect"].map { Fields.same($0, "100-continue") } ?? false),
            length: end)
    }

    /// - Parameter method: of the request that this answers, since it decides whether a body follows
    package static func response(
        _ input: UnsafeRawBufferPointer, scanned: inout Int, to method: Method
    ) throws(HeadError) -> ParsedResponseHead? {
        guard let end = try endOfHead(input, &scanned, tooLarge: 502, lineMax: HeadLimits.bytesMax) else { return nil }
        var lines = LineCursor(input, end: end)
        let (status, isVersion11) = try statusLine(lines.next())
        let fields = try self.fields(&lines)
        let framing = try responseFraming(fields, status: status, method: method, isVersion11: isVersion11)
        return ParsedResponseHead(
            status: Status(status), fields: fields, framing: framing,
            keepsAlive: framing != .untilClose && keepsAlive(fields, isVersion11: isVersion11), length: end)
    }

    /// Fields of a trailer section, without the empty line that ends it.
    package static func trailers(_ input: UnsafeRawBufferPointer) throws(HeadError) -> Fields {
        var lines = LineCursor(input, end: input.count)
        return try fields(&lines)
    }

    // MARK: The end

    /// The index behind the empty line, or nil. A bare LF or CR is refused as soon as it is seen.
    private static func endOfHead(
        _ input: UnsafeRawBufferPointer, _ scanned: inout Int, tooLarge: Int, lineMax: Int
    ) throws(HeadError) -> Int? {
        var index = scanned
        while index < input.count {
            let byte = input[index]
            if byte == 0x0A {
                guard index > 0, input[index - 1] == 0x0D else { throw HeadError(400, "bare LF in head") }
                if index == 1 { throw HeadError(400, "empty line before the head") }
                if index >= 3, input[index - 2] == 0x0A {
                    try checkSize(input, index, tooLarge, lineMax)
                    return index + 1
                }
            } else if index > 0, input[index - 1] == 0x0D {
                throw HeadError(400, "bare CR in head")
            }
            index += 1
        }
        scanned = index
        try checkSize(input, index, tooLarge, lineMax)
        return nil
    }

    /// - Parameter count: how many bytes of `input` are known to belong to the head
    private static func checkSize(
        _ input: UnsafeRawBufferPointer, _ count: Int, _ tooLarge: Int, _ lineMax: Int
    ) throws(HeadError) {
        if count > lineMax, !input[..<lineMax].contains(0x0A) { throw HeadError(414, "request line too long") }
        guard count < HeadLimits.bytesMax else { throw HeadError(tooLarge, "head too large") }
    }

    // MARK: First lines

    private static func requestLine(_ line: UnsafeRawBufferPointer?) throws(HeadError) -> (String, String, Bool) {
        guard let line, let space = line.firstIndex(of: 0x20), let last = line.lastIndex(of: 0x20), space < last else {
            throw HeadError(400, "malformed request line")
        }
        let method = UnsafeRawBufferPointer(rebasing: line[..<space])
        let target = UnsafeRawBufferPointer(rebasing: line[(space + 1)..<last])
        guard !method.isEmpty, method.count <= 32, method.allSatisfy(isToken) else {
            throw HeadError(400, "malformed method")
        }
        // ASCII only (RFC 3986 §2), also because Swift would see `?` with a combining mark behind it as another character.
        guard !target.isEmpty, target.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x23 }) else {
            throw HeadError(400, "malformed request target")
        }
        let text = String(decoding: target, as: UTF8.self)
        guard target[0] == 0x2F || text == "*" || RequestHead.authority(ofTarget: text) != nil else {
            throw HeadError(400, "request target in a form that is not served")
        }
        let version = try self.version(UnsafeRawBufferPointer(rebasing: line[(last + 1)...]))
        return (String(decoding: method, as: UTF8.self), text, version)
    }

    /// Exactly one, well-formed, and equal to the authority of a target in absolute form (RFC 9112 §3.2): two opinions about
    /// the host are how requests get past a check.
    private static func checkHost(_ hosts: [String], target: String, isVersion11: Bool) throws(HeadError) {
        if hosts.isEmpty, !isVersion11 { return }
        guard hosts.count == 1 else { throw HeadError(400, "\(hosts.count) Host fields") }
        guard isAuthority(hosts[0]) else { throw HeadError(400, "malformed Host") }
        if let authority = RequestHead.authority(ofTarget: target), !Fields.same(String(authority), hosts[0]) {
            throw HeadError(400, "Host differs from the request target")
        }
    }

    /// `uri-host [ ":" port ]` (RFC 3986 §3.2), without user information; an address in brackets is checked for its characters.
    private static func isAuthority(_ text: String) -> Bool {
        var host = Array(text.utf8)[...]
        if let colon = host.lastIndex(of: 0x3A), host.last != 0x5D {
            let port = host[(colon + 1)...]
            guard port.count <= 5, port.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return false }
            host = host[..<colon]
        }
        if host.first == 0x5B {
            let inside = host.dropFirst().dropLast()
            return host.last == 0x5D && !inside.isEmpty
                && inside.allSatisfy { $0 == 0x3A || PercentCoding.isUnreserved($0) }
        }
        return !host.isEmpty && host.allSatisfy { PercentCoding.isUnreserved($0) || "%!$&'()*+,;=".utf8.contains($0) }
    }

    private static func version(_ bytes: UnsafeRawBufferPointer) throws(HeadError) -> Bool {
        if bytes.elementsEqual("HTTP/1.1".utf8) { return true }
        if bytes.elementsEqual("HTTP/1.0".utf8) { return false }
        throw HeadError(bytes.starts(with: Array("HTTP/".utf8)) ? 505 : 400, "unknown protocol version")
    }

    private static func statusLine(_ line: UnsafeRawBufferPointer?) throws(HeadError) -> (Int, Bool) {
        guard let line, line.count >= 12, line[8] == 0x20, line.count == 12 || line[12] == 0x20 else {
            throw HeadError(502, "malformed status line")
        }
        let isVersion11 = try version(UnsafeRawBufferPointer(rebasing: line[..<8]))
        guard let status = decimal(UnsafeRawBufferPointer(rebasing: line[9..<12])), status >= 100, status < 600 else {
            throw HeadError(502, "malformed status code")
        }
        return (Int(status), isVersion11)
    }

    // MARK: Fields

    private static func fields(_ lines: inout LineCursor) throws(HeadError) -> Fields {
        var fields = Fields()
        var count = 0
        while let line = lines.next(), !line.isEmpty {
            count += 1
            guard count <= HeadLimits.fieldsMax else { throw HeadError(431, "too many fields") }
            guard let colon = line.firstIndex(of: 0x3A), colon > 0 else { throw HeadError(400, "field without a name") }
            let name = UnsafeRawBufferPointer(rebasing: line[..<colon])
            // Also catches obs-fold, which begins with white space, and white space before the colon.
            guard name.allSatisfy(isToken) else { throw HeadError(400, "malformed field name") }
            let value = trimmed(UnsafeRawBufferPointer(rebasing: line[(colon + 1)...]))
            guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
                throw HeadError(400, "control character in a field value")
            }
            fields.append(String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
        }
        return fields
    }

    private static func trimmed(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var start = 0
        var end = bytes.count
        while start < end, bytes[start] == 0x20 || bytes[start] == 0x09 { start += 1 }
        while end > start, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    }

    /// RFC 9110 §5.6.2.
    static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x21, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E, 0x5F, 0x60, 0x7C, 0x7E: true
        default: false
        }
    }

    // MARK: Framing

    private static func requestFraming(_ fields: Fields, isVersion11: Bool) throws(HeadError) -> Framing {
        let encodings = fields.values("transfer-encoding")
        let lengths = fields.values("content-length")
        if !encodings.isEmpty {
            guard lengths.isEmpty else { throw HeadError(400, "Content-Length with Transfer-Encoding") }
            guard isVersion11 else { throw HeadError(400, "Transfer-Encoding in HTTP/1.0") }
            guard encodings.count == 1, Fields.same(encodings[0], "chunked") else {
                throw HeadError(501, "Transfer-Encoding other than chunked")
            }
            return .chunked
        }
        guard let length = try contentLength(lengths, status: 400) else { return .none }
        return length == 0 ? .none : .length(length)
    }

    private static func responseFraming(
        _ fields: Fields, status: Int, method: Method, isVersion11: Bool
    ) throws(HeadError) -> Framing {
        if method == .head || status < 200 || status == 204 || status == 304 { return .none }
        let encodings = fields.values("transfer-encoding")
        let lengths = fields.values("content-length")
        if !encodings.isEmpty {
            guard isVersion11, lengths.isEmpty, encodings.count == 1, Fields.same(encodings[0], "chunked") else {
                throw HeadError(502, "ambiguous framing")
            }
            return .chunked
        }
        guard let length = try contentLength(lengths, status: 502) else { return .untilClose }
        return length == 0 ? .none : .length(length)
    }

    private static func contentLength(_ values: [String], status: Int) throws(HeadError) -> Int64? {
        guard let first = values.first else { return nil }
        guard values.count == 1 else { throw HeadError(status, "repeated Content-Length") }
        var text = first
        let length = text.withUTF8 { decimal(UnsafeRawBufferPointer($0)) }
        guard let length else { throw HeadError(status, "malformed Content-Length") }
        return length
    }

    /// Digits only, at most 18 of them.
    static func decimal(_ bytes: UnsafeRawBufferPointer) -> Int64? {
        guard !bytes.isEmpty, bytes.count <= 18 else { return nil }
        var value: Int64 = 0
        for byte in bytes {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            value = value * 10 + Int64(byte - 0x30)
        }
        return value
    }

    private static func keepsAlive(_ fields: Fields, isVersion11: Bool) -> Bool {
        let options = fields.values("connection").flatMap { $0.split(separator: ",") }.map {
            String($0.drop { $0 == " " || $0 == "\t" }.prefix { $0 != " " && $0 != "\t" })
        }
        if options.contains(where: { Fields.same($0, "close") }) { return false }
        return isVersion11 || options.contains { Fields.same($0, "keep-alive") }
    }
}

/// Lines that end with CRLF, without it.
struct LineCursor {
    private let input: UnsafeRawBufferPointer
    private let end: Int
    private var position = 0

    init(_ input: UnsafeRawBufferPointer, end: Int) {
        self.input = input
        self.end = end
    }

    mutating func next() -> UnsafeRawBufferPointer? {
        guard position < end else { return nil }
        var index = position
        while index < end, input[index] != 0x0A { index += 1 }
        // The last line of a trailer section has no CRLF of its own here.
        let stop = index < end ? index - 1 : index
        defer { position = index + 1 }
        return UnsafeRawBufferPointer(rebasing: input[position..<max(position, stop)])
    }
}
