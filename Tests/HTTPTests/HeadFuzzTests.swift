import HTTP
import Testing

/// SplitMix64: a failure is replayed by its seed.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }
}

@Suite struct HeadFuzzTests {
    private static let heads = [
        "GET /b/k?x=1 HTTP/1.1\r\nHost: h:9000\r\nConnection: close\r\nX-Amz-Date: 20260101T000000Z\r\n\r\nrest",
        "PUT http://h/b HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n",
        "PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    ]
    private static let bodies = ["5\r\nhello\r\n0\r\n\r\n", "a;x=y\r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\nnext"]
    /// What framing turns on, so that mutations meet the branches.
    private static let spice = Array("\r\n :,;\t\0+-0123456789aAfFxX%/?#[]@\u{7F}".utf8) + [0x80, 0xC3, 0xFF]

    private static func mutated(_ text: String, _ random: inout SeededRandom) -> [UInt8] {
        var bytes = Array(text.utf8)
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let index = Int.random(in: 0..<max(1, bytes.count), using: &random)
            let byte = spice.randomElement(using: &random) ?? 0
            switch Int.random(in: 0..<4, using: &random) {
            case 0 where index < bytes.count: bytes[index] = byte
            case 1 where index < bytes.count: bytes.remove(at: index)
            case 2 where index < bytes.count:
                let end = Int.random(in: index...bytes.count, using: &random)
                bytes.insert(contentsOf: bytes[index..<end].prefix(40), at: index)
            default: bytes.insert(byte, at: min(index, bytes.count))
            }
        }
        return bytes
    }

    /// An independent reading of what must never come out of the parser.
    private static func isSafe(_ parsed: ParsedRequestHead, _ input: [UInt8]) -> Bool {
        let head = input[..<parsed.length]
        let lengths = parsed.head.fields.values("content-length").count
        let encodings = parsed.head.fields.values("transfer-encoding").count
        return head.suffix(4).elementsEqual([13, 10, 13, 10]) && !head.contains(0)
            && head.filter { $0 == 13 }.count == head.filter { $0 == 10 }.count
            && lengths + encodings <= 1 && (parsed.framing == .none || lengths + encodings == 1)
            && parsed.head.fields.all.allSatisfy {
                !$0.name.contains(" ") && !$0.value.utf8.contains { $0 < 32 && $0 != 9 }
            }
    }

    @Test func `mutated heads are refused or unambiguous, and the same in pieces`() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed)
        for round in 0..<4_000 {
            let input = HeadFuzzTests.mutated(HeadFuzzTests.heads.randomElement(using: &random) ?? "", &random)
            var scanned = 0
            let whole = parseRequest(input, scanned: &scanned)
            if case .parsed(let parsed) = whole {
                #expect(HeadFuzzTests.isSafe(parsed, input), "seed \(seed), round \(round)")
            }
            guard round % 16 == 0 else { continue }
            let pieces = parseRequestByteByByte(input)
            switch (whole, pieces) {
            // Which of two mistakes is named first may differ.
            case (.refused, .refused): break
            default: #expect(whole == pieces, "seed \(seed), round \(round)")
            }
        }
    }

    @Test func `mutated chunked bodies end the same way in pieces`() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed)
        for round in 0..<4_000 {
            let input = HeadFuzzTests.mutated(HeadFuzzTests.bodies.randomElement(using: &random) ?? "", &random)
            let piece = Int.random(in: 1...7, using: &random)
            #expect(dechunk(input) == dechunk(input, piece: piece), "seed \(seed), round \(round), pieces of \(piece)")
        }
    }

    @Test func `random bytes never crash the parsers`() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed)
        for _ in 0..<2_000 {
            let input = (0..<Int.random(in: 0...200, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            var scanned = 0
            if case .parsed = parseRequest(input, scanned: &scanned) {
                Issue.record("noise taken for a head, seed \(seed)")
            }
            _ = dechunk(input, piece: 3)
        }
    }
}
