import HTTP
import Testing

/// What a chunked body came to.
enum Dechunked: Equatable, Sendable {
    /// Content, trailers, and how many bytes of the input the body took.
    case complete([UInt8], Fields, length: Int)
    case needsMore
    case refused(Int)
}

/// Feeds `input` in pieces of at most `piece` bytes.
func dechunk(_ input: [UInt8], piece: Int = .max) -> Dechunked {
    var decoder = ChunkedDecoder()
    var content: [UInt8] = []
    var start = 0
    while start < input.count {
        let part = Bytes(input[start..<min(input.count, start + min(piece, input.count))])
        var position = 0
        do throws(HeadError) {
            reading: while true {
                let step = try part.withUnsafeBytes { (bytes) throws(HeadError) in try decoder.step(bytes, &position) }
                switch step {
                case .content(let offset, let count): content += part[offset..<(offset + count)].array
                case .needsMore: break reading
                case .end(let offset): return .complete(content, decoder.trailers, length: start + offset)
                }
            }
        } catch {
            return .refused(error.status)
        }
        start += part.count
    }
    return .needsMore
}

@Suite struct ChunkedDecoderTests {
    private func dechunk(_ text: String, piece: Int = .max) -> Dechunked {
        HTTPTests.dechunk(Array(text.utf8), piece: piece)
    }

    @Test func `chunks are joined, and the next message begins behind the end`() {
        let text = "5\r\nhello\r\nA;name=value\r\n 0123456789\r\n0\r\n\r\n"
        #expect(dechunk(text) == .refused(400), "eleven bytes in a chunk of ten")
        let exact = "5\r\nhello\r\nb;n=v\r\n 0123456789\r\n0\r\n\r\nGET /"
        #expect(dechunk(exact) == .complete(Array("hello 0123456789".utf8), Fields(), length: exact.utf8.count - 5))
        #expect(dechunk("0\r\n\r\n") == .complete([], Fields(), length: 5))
    }

    @Test func `trailers are fields`() {
        let text = "1\r\nx\r\n0\r\nx-amz-checksum-crc32: AAAAAA==\r\nX-Two: 2\r\n\r\n"
        let trailers = Fields([("x-amz-checksum-crc32", "AAAAAA=="), ("X-Two", "2")])
        #expect(dechunk(text) == .complete(Array("x".utf8), trailers, length: text.utf8.count))
    }

    @Test(arguments: [
        "5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "\r\n",
        ";x\r\n",
        "0x5\r\nhello\r\n", "+5\r\nhello\r\n", "-1\r\n", " 5\r\nhello\r\n", "5 \r\nhello\r\n", "g\r\n",
        "5\r\r\nhello\r\n",
        "FFFFFFFFFFFFFFFF\r\n", "1000000000000000\r\n", "5;a\rb\r\nhello\r\n", "5;\u{0}\r\nhello\r\n",
        "0\r\nA: b\n\r\n", "0\r\n folded\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n", "0\r\nA : b\r\n\r\n", "0\r\nA: b\u{1}\r\n\r\n", "0\r\nno colon\r\n\r\n",
    ])
    func `malformed coding is refused`(text: String) {
        #expect(dechunk(text) == .refused(400))
        #expect(dechunk(text, piece: 1) == .refused(400))
    }

    @Test func `size lines, trailers and extensions are bounded`() {
        let long = String(repeating: "a", count: ChunkedDecoder.sizeLineMax)
        #expect(dechunk("5;\(long)") == .refused(400))
        #expect(dechunk("0\r\nA: \(String(repeating: "a", count: ChunkedDecoder.trailersMax))") == .refused(431))
        #expect(
            dechunk("0\r\n" + String(repeating: "A: b\r\n", count: HeadLimits.fieldsMax + 1) + "\r\n") == .refused(431))
        let padded = "1;\(String(repeating: "e", count: 200))\r\nx\r\n"
        #expect(dechunk(String(repeating: padded, count: 10) + "0\r\n\r\n") != .refused(400))
        #expect(dechunk(String(repeating: padded, count: 100) + "0\r\n\r\n") == .refused(400))
    }

    @Test func `a body that stops early is never complete`() {
        let text = "5\r\nhello\r\n0\r\nA: b\r\n\r\n"
        let bytes = Array(text.utf8)
        for count in bytes.indices {
            #expect(HTTPTests.dechunk(Array(bytes[..<count])) == .needsMore, "\(count) bytes")
        }
    }

    @Test(arguments: 1...9) func `pieces of any size give the same result`(piece: Int) {
        let text = "5\r\nhello\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\nnext"
        #expect(dechunk(text, piece: piece) == dechunk(text))
    }
}
