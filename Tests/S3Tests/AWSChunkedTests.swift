import Crypto
import HTTP
import S3
import Testing

@Suite struct AWSChunkedTests {
    /// "Signature Calculations …: Transferring Payload in Multiple Chunks", and "… Including Trailing Headers", of the S3 API
    /// Reference: 65 KiB of `a` in chunks of 64 KiB.
    static let exampleChunks = [[UInt8](repeating: 0x61, count: 65_536), [UInt8](repeating: 0x61, count: 1024)]

    static func exampleWire(_ signatures: [String], trailer: String) -> [UInt8] {
        var wire: [UInt8] = []
        for (chunk, signature) in zip(exampleChunks + [[]], signatures) {
            wire += Array("\(String(chunk.count, radix: 16));chunk-signature=\(signature)\r\n".utf8) + chunk
            if !chunk.isEmpty { wire += Array("\r\n".utf8) }
        }
        return wire + Array((trailer + "\r\n").utf8)
    }

    static let signedExample = exampleWire(
        [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ], trailer: "")
    static let trailerExample = exampleWire(
        [
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ],
        trailer: "x-amz-checksum-crc32c:sOO8/Q==\r\n"
            + "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n")

    @Test func `the seed signatures of both examples are right`() {
        let expected = [
            (
                PayloadMode.streamingSigned(hasTrailer: false), "content-length", "66824",
                "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
            ),
            (
                .streamingSigned(hasTrailer: true), "x-amz-trailer", "x-amz-checksum-crc32c",
                "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
            ),
        ]
        for (mode, name, value, signature) in expected {
            let fields = Fields([
                ("Host", "s3.amazonaws.com"), ("x-amz-date", ChunkedWire.time),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                ("x-amz-content-sha256", mode.canonicalText), ("Content-Encoding", "aws-chunked"),
                ("x-amz-decoded-content-length", "66560"), (name, value),
            ])
            let canonical = CanonicalRequest.text(
                RequestHead(method: .put, target: "/examplebucket/chunkObject.txt", fields: fields),
                signedHeaders: fields.all.map { $0.name.lowercased() }.sorted(), payloadHash: mode.canonicalText,
                omittingSignature: false)
            let text = SignatureV4.stringToSign(canonicalRequest: canonical, time: ChunkedWire.time, ChunkedWire.scope)
            #expect(Hex.encode(SignatureV4.signature(text, key: ChunkedWire.key)) == signature)
        }
    }

    @Test func `AWS's example of a chunked upload decodes, and has the published length`() async {
        var wire = ChunkedWire(form: .signed)
        wire.seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
        #expect(AWSChunkedTests.signedExample.count == 66_824)
        let (content, error) = await wire.decoded(AWSChunkedTests.signedExample, length: 66_560)
        #expect(error == nil && content == AWSChunkedTests.exampleChunks.flatMap { $0 })
        #expect(wire.bytes(AWSChunkedTests.exampleChunks) == AWSChunkedTests.signedExample)
    }

    @Test func `AWS's example with a trailer decodes, and its checksum is that of the content`() async throws {
        let wire = ChunkedWire(form: .signedTrailer)
        let reader = wire.reader(AWSChunkedTests.trailerExample, length: 66_560)
        let content = try await reader.collect(limit: 1 << 20)
        #expect(content.array == AWSChunkedTests.exampleChunks.flatMap { $0 })
        #expect(reader.trailers[ChunkedWire.trailerName] == "sOO8/Q==")
        #expect(ChunkedWire.crc32c(content.array) == "sOO8/Q==")
    }

    @Test(arguments: ChunkedWire.Form.allCases)
    func `a body decodes alike however the network cuts it`(form: ChunkedWire.Form) async {
        let wire = ChunkedWire(form: form)
        let chunks: [[UInt8]] = [Array("hello\r\n".utf8), [0], Array("0;chunk\r\n\r\n".utf8)]
        let content = chunks.flatMap { $0 }
        let bytes = wire.bytes(chunks)
        for place in 0...bytes.count {
            let (decoded, error) = await wire.decoded(bytes, length: content.count, runs: [place])
            #expect(error == nil && decoded == content, "cut at \(place)")
        }
        let (decoded, error) = await wire.decoded(bytes, length: content.count, runs: Array(0..<bytes.count))
        #expect(error == nil && decoded == content)
    }

    @Test(arguments: ChunkedWire.Form.allCases)
    func `an empty body decodes to nothing`(form: ChunkedWire.Form) async {
        let (content, error) = await ChunkedWire(form: form).decoded(ChunkedWire(form: form).bytes([]), length: 0)
        #expect(error == nil && content.isEmpty)
    }

    @Test func `content comes out as slices of what went in`() throws {
        let wire = ChunkedWire(form: .unsignedTrailer)
        let input = Bytes(wire.bytes([[UInt8](repeating: 7, count: 100)]))
        var decoder = AWSChunkedDecoder(
            signing: nil, hasTrailer: true, declaredTrailers: [ChunkedWire.trailerName], declaredLength: 100)
        decoder.feed(input)
        guard case .content(let run) = try decoder.next() else { return #expect(Bool(false), "no content") }
        let isSlice = input.withUnsafeBytes { whole in
            run.withUnsafeBytes { part in
                guard let start = part.baseAddress, let base = whole.baseAddress else { return false }
                return start == base + 4
            }
        }
        #expect(run.count == 100 && isSlice)
        var step = try decoder.next()
        while step != .needsInput { step = try decoder.next() }
        try decoder.end()
        #expect(try decoder.next() == .finished)
    }

    @Test(arguments: ChunkedWire.Form.allCases)
    func `a body that is cut anywhere is never taken as complete`(form: ChunkedWire.Form) async {
        let wire = ChunkedWire(form: form)
        let chunks: [[UInt8]] = [Array("hello".utf8), Array("world".utf8)]
        let bytes = wire.bytes(chunks)
        // The empty line at the very end says nothing that is not known.
        for length in 0..<(bytes.count - 2) {
            let (content, error) = await wire.decoded(Array(bytes[..<length]), length: 10)
            #expect(error != nil && content.count < 10, "cut at \(length)")
        }
    }

    @Test(arguments: [ChunkedWire.Form.signed, .signedTrailer])
    func `no changed byte of a signed body passes`(form: ChunkedWire.Form) async {
        let wire = ChunkedWire(form: form)
        let chunks: [[UInt8]] = [Array("hello".utf8), Array("world".utf8)]
        let bytes = wire.bytes(chunks)
        for index in bytes.indices {
            for change in [UInt8(0x01), 0x80] {
                var spoilt = bytes
                spoilt[index] ^= change
                let (content, error) = await wire.decoded(spoilt, length: 10)
                #expect(error != nil && content.count < 10, "byte \(index)")
            }
        }
    }

    @Test func `chunks cannot be swapped, left out, repeated or taken from another request`() async {
        let wire = ChunkedWire(form: .signed)
        let (one, two): ([UInt8], [UInt8]) = (Array("aaaaa".utf8), Array("bbbbb".utf8))
        let first = wire.bytes([one, two])
        let frame = 1 + 17 + 64 + 2 + 5 + 2
        let (a, b, end) = (first[..<frame], first[frame..<(2 * frame)], first[(2 * frame)...])
        for spoilt in [Array(b + a + end), Array(a + end), Array(a + a + end), Array(a + b + b + end), Array(end)] {
            let (_, error) = await wire.decoded(spoilt, length: spoilt.count / frame * 5)
            #expect(
                error
                    == .contentMismatch(
                        code: "SignatureDoesNotMatch",
                        message: "The signature of a chunk or of the trailer does not match."))
        }
        var other = wire
        other.seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
        let (_, error) = await other.decoded(first, length: 10)
        #expect(error != nil)
    }

    @Test(arguments: ChunkedWire.Form.allCases)
    func `the decoded length must be exact`(form: ChunkedWire.Form) async {
        let wire = ChunkedWire(form: form)
        for length in [0, 4, 6, 1 << 40] {
            let (content, error) = await wire.decoded(wire.bytes([Array("hello".utf8)]), length: length)
            guard case .contentMismatch(let code, _) = error else {
                #expect(Bool(false), "length \(length): \(String(describing: error))")
                continue
            }
            #expect(code == "IncompleteBody" && content.isEmpty, "length \(length)")
        }
    }

    @Test(
        arguments: [
            "x-amz-checksum-crc32:AAAAAA==", "x-amz-meta-a:b", "x-amz-checksum-crc32c", ":",
            "x-amz-checksum-crc32c:a\u{1}b",
            "x-amz-checksum-crc32c:a\r\nx-amz-checksum-crc32c:b",
            "x-amz-checksum-crc32c:" + String(repeating: "a", count: 1100),
        ])
    func `only the declared trailer is taken, once and well-formed`(trailer: String) async {
        for form in [ChunkedWire.Form.signedTrailer, .unsignedTrailer] {
            let wire = ChunkedWire(form: form)
            let (content, error) = await wire.decoded(wire.bytes([Array("hello".utf8)], trailer: trailer), length: 5)
            #expect(error != nil && content.isEmpty)
        }
    }

    @Test func `a declared trailer must come`() async {
        let wire = Array("5\r\nhello\r\n0\r\n\r\n".utf8)
        let (content, error) = await ChunkedWire(form: .unsignedTrailer).decoded(wire, length: 5)
        guard case .contentMismatch(let code, _) = error else {
            return #expect(Bool(false), "\(String(describing: error))")
        }
        #expect(code == "MalformedTrailerError" && content.isEmpty)
    }

    @Test func `minio-go's line ends are understood`() async {
        let chunks: [[UInt8]] = [Array("hello".utf8)]
        var unsigned = ChunkedWire(form: .unsignedTrailer)
        unsigned.trailerEnd = "\n"
        unsigned.end = "\r\n\r\n"
        #expect(await unsigned.decoded(unsigned.bytes(chunks), length: 5).error == nil)
        var signed = ChunkedWire(form: .signedTrailer)
        signed.trailerEnd = "\n"
        signed.beforeSignature = "\r\n"
        #expect(await signed.decoded(signed.bytes(chunks), length: 5).error == nil)
        for form in ChunkedWire.Form.allCases {
            var short = ChunkedWire(form: form)
            short.end = ""
            #expect(
                await short.decoded(short.bytes(chunks), length: 5).error == nil, "no last line, as in AWS's examples")
        }
    }

    @Test(
        arguments: [
            "", "\r\n", "5\nhello\r\n", "-5\r\nhello\r\n", "+5\r\nhello\r\n", "0x5\r\nhello\r\n", " 5\r\nhello\r\n",
            "g\r\n",
            "5\r\nhello!\r\n", "5\r\nhelloX\r\n0\r\n", "ffffffffffffffff\r\n", "0000000000000000005\r\nhello\r\n",
            String(repeating: "5", count: 2000), ";chunk-signature=00\r\n",
        ])
    func `malformed framing is refused`(wire: String) async {
        for form in ChunkedWire.Form.allCases {
            let (content, error) = await ChunkedWire(form: form).decoded(Array(wire.utf8), length: 5)
            #expect(error != nil && content.isEmpty)
        }
    }

    @Test func `nothing but one empty line may follow`() async {
        for form in ChunkedWire.Form.allCases {
            for surplus in ["0", "\r", "\n", "\r\n\r\n", "\r\nx", "GET / HTTP/1.1\r\n"] {
                var wire = ChunkedWire(form: form)
                wire.end = "\r\n" + surplus
                for runs in [[], [wire.bytes([[1]]).count - surplus.utf8.count]] {
                    let (_, error) = await wire.decoded(wire.bytes([[1]]), length: 1, runs: runs)
                    #expect(error != nil, "\(form) \(surplus)")
                }
            }
        }
    }

    @Test(arguments: ChunkedWire.Form.allCases)
    func `mutated bodies end in the content or in an error, never in something else`(form: ChunkedWire.Form) async {
        let wire = ChunkedWire(form: form)
        let content = Array("hello, world".utf8)
        let bytes = wire.bytes([Array(content[..<5]), Array(content[5...])])
        for seed in UInt64(1)...2000 {
            var random = SeededRandom(seed: seed)
            let spoilt = random.mutate(bytes)
            let (decoded, error) = await wire.decoded(spoilt, length: 12, runs: [random.below(spoilt.count + 1)])
            if error == nil {
                #expect(decoded.count == 12, "seed \(seed)")
                if form != .unsignedTrailer { #expect(decoded == content, "seed \(seed)") }
            }
        }
    }

    @Test func `after an error every further call answers the same`() async {
        let reader = ChunkedWire(form: .signed).reader(Array("nonsense\r\n".utf8), length: 5)
        for _ in 0..<3 {
            await #expect(throws: BodyError.malformed("malformed chunk size")) { try await reader.next() }
        }
    }
}
