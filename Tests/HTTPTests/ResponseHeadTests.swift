import HTTP
import Testing

@Suite struct ResponseHeadTests {
    private func parse(_ text: String, to method: Method = .get) -> Parse<ParsedResponseHead> {
        var scanned = 0
        return parse(Array(text.utf8), to: method, scanned: &scanned)
    }

    private func parse(_ bytes: [UInt8], to method: Method, scanned: inout Int) -> Parse<ParsedResponseHead> {
        do throws(HeadError) {
            let parsed = try Bytes(bytes).withUnsafeBytes { (bytes) throws(HeadError) in
                try HeadParser.response(bytes, scanned: &scanned, to: method)
            }
            return parsed.map { .parsed($0) } ?? .needsMore
        } catch {
            return .refused(error.status)
        }
    }

    private func head(_ text: String, to method: Method = .get) throws -> ParsedResponseHead {
        guard case .parsed(let head) = parse(text, to: method) else { throw HeadError(0, "\(parse(text, to: method))") }
        return head
    }

    @Test(arguments: [
        (200, "Content-Length: 5\r\n", Method.get, Framing.length(5)),
        (200, "Content-Length: 0\r\n", .get, .none),
        (200, "Transfer-Encoding: chunked\r\n", .get, .chunked),
        (200, "", .get, .untilClose),
        (200, "Content-Length: 5\r\n", .head, .none),
        (200, "Transfer-Encoding: chunked\r\n", .head, .none),
        (404, "", .head, .none),
        (204, "", .delete, .none),
        (304, "Content-Length: 5\r\n", .get, .none),
        (100, "", .put, .none),
        (103, "Link: x\r\n", .get, .none),
    ])
    func `framing depends on status, request method and fields`(
        status: Int, fields: String, method: Method, framing: Framing
    ) throws {
        let parsed = try head("HTTP/1.1 \(status) Any Phrase\r\n\(fields)\r\n", to: method)
        #expect(parsed.framing == framing)
        #expect(parsed.status == Status(status))
    }

    @Test func `a phrase may be empty or absent`() throws {
        #expect(try head("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n").status == .ok)
        #expect(try head("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n").status == .ok)
    }

    @Test func `a body that ends with the connection is not followed by another`() throws {
        #expect(try !head("HTTP/1.1 200 OK\r\n\r\n").keepsAlive)
        #expect(try head("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n").keepsAlive)
        #expect(try !head("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n").keepsAlive)
        #expect(try !head("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n").keepsAlive)
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 600 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
    ])
    func `an answer that could be read in two ways is refused`(text: String) {
        guard case .refused = parse(text) else {
            Issue.record("taken: \(text)")
            return
        }
    }

    @Test func `split at every byte an answer gives the same result`() {
        let text = "HTTP/1.1 206 Partial Content\r\nContent-Length: 12\r\nETag: \"x\"\r\n\r\nbody"
        var scanned = 0
        var stepwise = Parse<ParsedResponseHead>.needsMore
        for count in 0...text.utf8.count where stepwise == .needsMore {
            stepwise = parse(Array(text.utf8.prefix(count)), to: .get, scanned: &scanned)
        }
        #expect(stepwise == parse(text))
    }
}
