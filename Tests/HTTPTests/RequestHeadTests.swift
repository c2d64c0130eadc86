import HTTP
import Testing

/// What a parse came to, in a form that two runs can be compared by.
enum Parse<Head: Equatable & Sendable>: Equatable, Sendable {
    case parsed(Head)
    case refused(Int)
    case needsMore
}

func parseRequest(_ bytes: [UInt8], scanned: inout Int) -> Parse<ParsedRequestHead> {
    do throws(HeadError) {
        let parsed = try Bytes(bytes).withUnsafeBytes { (bytes) throws(HeadError) in
            try HeadParser.request(bytes, scanned: &scanned)
        }
        return parsed.map { .parsed($0) } ?? .needsMore
    } catch {
        return .refused(error.status)
    }
}

func parseRequest(_ text: String) -> Parse<ParsedRequestHead> {
    var scanned = 0
    return parseRequest(Array(text.utf8), scanned: &scanned)
}

/// As a connection does it: one more byte at a time, until there is an answer.
func parseRequestByteByByte(_ bytes: [UInt8]) -> Parse<ParsedRequestHead> {
    var scanned = 0
    for count in 0...bytes.count {
        let parse = parseRequest(Array(bytes[..<count]), scanned: &scanned)
        if parse != .needsMore { return parse }
    }
    return .needsMore
}

@Suite struct RequestHeadTests {
    private func head(_ text: String) throws -> ParsedRequestHead {
        guard case .parsed(let head) = parseRequest(text) else {
            throw HeadError(0, "\(parseRequest(text)) for \(text)")
        }
        return head
    }

    @Test func `a head yields method, raw target, fields in order, and its length`() throws {
        let text = "GET /a%2Fb//c?list-type=2&p=%20 HTTP/1.1\r\nHost: h:9000\r\nx-A:  v 1\t\r\nX-a:\r\n\r\n"
        let parsed = try head(text + "body")
        #expect(parsed.head.method == .get)
        #expect(parsed.head.target == "/a%2Fb//c?list-type=2&p=%20")
        #expect(parsed.head.rawPath == "/a%2Fb//c")
        #expect(parsed.head.rawQuery == "list-type=2&p=%20")
        #expect(parsed.head.fields.all.map(\.name) == ["Host", "x-A", "X-a"])
        #expect(parsed.head.fields.values("X-A") == ["v 1", ""])
        #expect(parsed.length == text.utf8.count)
        #expect(parsed.framing == .none)
        #expect(parsed.keepsAlive)
        #expect(!parsed.expectsContinue)
    }

    @Test(arguments: [
        ("", Framing.none),
        ("Content-Length: 0\r\n", .none),
        ("Content-Length: 5\r\n", .length(5)),
        ("content-length: 999999999999999999\r\n", .length(999_999_999_999_999_999)),
        ("Transfer-Encoding: chunked\r\n", .chunked),
        ("Transfer-Encoding: Chunked\r\n", .chunked),
    ])
    func `framing comes from exactly one field`(fields: String, framing: Framing) throws {
        #expect(try head("PUT / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n").framing == framing)
    }

    @Test(arguments: [
        ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: keep-alive, Close\r\n", false),
        ("HTTP/1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("HTTP/1.0", "", false), ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
    ])
    func `a connection persists as version and Connection say`(version: String, fields: String, keepsAlive: Bool) throws
    {
        #expect(try head("GET / \(version)\r\nHost: h\r\n\(fields)\r\n").keepsAlive == keepsAlive)
    }

    @Test func `only HTTP 1.1 clients can wait for a 100`() throws {
        #expect(try head("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n\r\n").expectsContinue)
        #expect(try !head("PUT / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\n\r\n").expectsContinue)
    }

    @Test func `absolute form keeps the target and yields the path behind the host`() throws {
        let parsed = try head("GET http://H:9000/b/k?x=/ HTTP/1.1\r\nHost: h:9000\r\n\r\n")
        #expect(parsed.head.target == "http://H:9000/b/k?x=/")
        #expect(parsed.head.rawPath == "/b/k")
        #expect(parsed.head.rawQuery == "x=/")
        #expect(try head("GET https://h?a HTTP/1.1\r\nHost: h\r\n\r\n").head.rawPath == "/")
        #expect(try head("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").head.rawPath == "*")
    }

    @Test(arguments: ["h", "h:80", "127.0.0.1:9000", "[::1]:9000", "[fe80::1]", "a-b.example.com", "x_y"])
    func `hosts with and without a port are taken`(host: String) throws {
        #expect(try head("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n").head.fields["host"] == host)
    }

    /// Each of these has been the way in for request smuggling or header injection somewhere.
    @Test(arguments: [
        ("Content-Length with Transfer-Encoding", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("repeated Content-Length", "Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("differing Content-Length", "Content-Length: 5\r\ncontent-length: 6\r\n", 400),
        ("a list of lengths", "Content-Length: 5, 5\r\n", 400),
        ("a sign", "Content-Length: +5\r\n", 400),
        ("a negative length", "Content-Length: -1\r\n", 400),
        ("a hexadecimal length", "Content-Length: 0x5\r\n", 400),
        ("an empty length", "Content-Length:\r\n", 400),
        ("a length beyond 64 bits", "Content-Length: 99999999999999999999\r\n", 400),
        ("another coding", "Transfer-Encoding: gzip\r\n", 501),
        ("a list of codings", "Transfer-Encoding: gzip, chunked\r\n", 501),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
        ("chunked with a parameter", "Transfer-Encoding: chunked;x\r\n", 501),
        ("a vertical tab before chunked", "Transfer-Encoding: \u{0B}chunked\r\n", 400),
        ("space before the colon", "Content-Length : 5\r\n", 400),
        ("tab before the colon", "X\t: 5\r\n", 400),
        ("obs-fold", "X: 5\r\n folded\r\n", 400),
        ("a leading space", " X: 5\r\n", 400),
        ("no colon", "nonsense\r\n", 400),
        ("no name", ": v\r\n", 400),
        ("NUL in a value", "X: a\u{0}b\r\n", 400),
        ("a control character in a value", "X: a\u{7}b\r\n", 400),
        ("DEL in a value", "X: a\u{7F}b\r\n", 400),
        ("bare CR in a value", "X: a\rContent-Length: 5\r\n", 400),
        ("bare LF after a field", "X: a\nContent-Length: 5\r\n", 400),
        ("a non-ASCII name", "Ä: a\r\n", 400),
        ("a second Host", "Host: h\r\n", 400),
    ])
    func `ambiguous or malformed fields are refused`(what: String, fields: String, status: Int) {
        let text = "PUT /b/k HTTP/1.1\r\nHost: h\r\n\(fields)\r\n"
        #expect(parseRequest(text) == .refused(status), "\(what)")
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\nHost: h\n\n", 400), ("GET / HTTP/1.1\r\nHost: h\n\r\n", 400), ("\r\nGET / HTTP/1.1\r\n", 400),
        ("GET / HTTP/1.1\rHost: h\r\n\r\n", 400), ("GET /\r\nHost: h\r\n\r\n", 400),
        ("GET  HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400), ("GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400), (" GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400), ("GET /\u{0} HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET /ä HTTP/1.1\r\nHost: h\r\n\r\n", 400), ("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET a/b HTTP/1.1\r\nHost: h\r\n\r\n", 400), ("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 400),
        ("GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505), ("GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505),
        ("GET / http/1.1\r\nHost: h\r\n\r\n", 400), ("GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: h:8x\r\n\r\n", 400),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400), ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ])
    func `malformed first lines and hosts are refused`(text: String, status: Int) {
        #expect(parseRequest(text) == .refused(status))
    }

    @Test func `a bare LF is refused before the head is complete`() {
        #expect(parseRequest("GET / HTTP/1.1\nHost") == .refused(400))
    }

    @Test func `a head of 32 KiB is the largest, complete or not`() {
        func text(fieldBytes: Int) -> String {
            "GET / HTTP/1.1\r\nHost: h\r\nX: " + String(repeating: "a", count: fieldBytes) + "\r\n\r\n"
        }
        let frame = text(fieldBytes: 0).utf8.count
        guard case .parsed(let largest) = parseRequest(text(fieldBytes: HeadLimits.bytesMax - frame)) else {
            Issue.record("32 KiB refused")
            return
        }
        #expect(largest.length == HeadLimits.bytesMax)
        #expect(parseRequest(text(fieldBytes: HeadLimits.bytesMax - frame + 1)) == .refused(431))
        #expect(parseRequest(String(text(fieldBytes: 40_000).prefix(35_000))) == .refused(431))
    }

    @Test func `a request line beyond its limit is 414`() {
        let line = "GET /" + String(repeating: "a", count: HeadLimits.requestLineMax)
        #expect(parseRequest(line) == .refused(414))
        #expect(parseRequest(line + " HTTP/1.1\r\nHost: h\r\n\r\n") == .refused(414))
    }

    @Test func `128 fields are taken and 129 refused`() {
        func text(_ count: Int) -> String {
            "GET / HTTP/1.1\r\nHost: h\r\n" + String(repeating: "X: y\r\n", count: count - 1) + "\r\n"
        }
        guard case .parsed = parseRequest(text(128)) else {
            Issue.record("128 fields refused")
            return
        }
        #expect(parseRequest(text(129)) == .refused(431))
    }

    @Test(arguments: [
        "GET /a?b=c HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n",
        "PUT /k HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
        "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
        "GET / HTTP/3\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n",
    ])
    func `split at every byte a head gives the same result`(text: String) {
        #expect(parseRequestByteByByte(Array(text.utf8)) == parseRequest(text))
    }
}
