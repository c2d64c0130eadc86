import HTTP
import Testing

@Suite struct HeadEncoderTests {
    @Test func `a request head is read back as it was`() {
        let head = RequestHead(
            method: .put, target: "/b/k%20?partNumber=1", fields: Fields([("Host", "h:1"), ("x-amz-meta-a", "b  c")]))
        var output: [UInt8] = []
        HeadEncoder.request(head, into: &output)
        var scanned = 0
        guard case .parsed(let parsed) = parseRequest(output, scanned: &scanned) else {
            Issue.record("refused: \(String(decoding: output, as: UTF8.self))")
            return
        }
        #expect(parsed.head == head)
        #expect(parsed.length == output.count)
    }

    @Test(arguments: ["a\r\nSet-Cookie: x", "a\nB: c", "a\rB: c", "a\u{0}b", "\r\n\r\nHTTP/1.1 200 OK"])
    func `no value can add a line`(value: String) {
        var output: [UInt8] = []
        HeadEncoder.field("X", value, into: &output)
        HeadEncoder.field(value, "y", into: &output)
        #expect(output.filter { $0 == 0x0A }.count == 2)
        #expect(output.filter { $0 == 0x0D }.count == 2)
        #expect(!output.contains(0))
    }

    @Test func `neither a method nor a target can add a line or a word`() {
        var output: [UInt8] = []
        let head = RequestHead(
            method: Method("GET /x HTTP/1.1\r\nA:"), target: "/a b HTTP/1.1\r\nX: y\u{0}\t", fields: Fields())
        HeadEncoder.request(head, into: &output)
        #expect(output.filter { $0 == 0x0A }.count == 2)
        #expect(output.filter { $0 == 0x20 }.count == 2)
    }

    @Test func `a response head waits for its framing fields`() {
        var output: [UInt8] = []
        HeadEncoder.response(ResponseHead(.noContent, fields: Fields([("A", "b")])), into: &output)
        HeadEncoder.end(into: &output)
        #expect(String(decoding: output, as: UTF8.self) == "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n")
    }
}
