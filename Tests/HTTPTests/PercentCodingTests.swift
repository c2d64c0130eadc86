import HTTP
import Testing

@Suite struct PercentCodingTests {
    @Test func `only unreserved characters stay as they are`() {
        let all = String(decoding: (0x20...0x7E).map { UInt8($0) }, as: UTF8.self)
        let kept = PercentCoding.encode(all).split(separator: "%", omittingEmptySubsequences: false)
            .map { $0.dropFirst(2) }.joined()
        #expect(kept == "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~")
        #expect(PercentCoding.encode("a b+ä/ü") == "a%20b%2B%C3%A4%2F%C3%BC")
        #expect(PercentCoding.encode("a b/c", keepingSlash: true) == "a%20b/c")
        #expect(PercentCoding.encode("") == "")
    }

    @Test(arguments: ["%", "%2", "%zz", "%2g", "a%", "%%20", "%C3", "%FF", "%C3%28", "% 20", "%+1"])
    func `malformed escapes and what is not UTF-8 are refused`(text: String) {
        #expect(PercentCoding.decode(text) == nil)
    }

    @Test func `decoding happens once, and plus is a plus unless told`() {
        #expect(PercentCoding.decode("%2541") == "%41")
        #expect(PercentCoding.decode("a+b") == "a+b")
        #expect(PercentCoding.decode("a+b", plusIsSpace: true) == "a b")
        #expect(PercentCoding.decode("%c3%A4") == "ä")
        #expect(PercentCoding.decode("a%00b") == "a\u{0}b")
    }

    @Test func `what was encoded is decoded to the same text`() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed)
        for _ in 0..<500 {
            let text = String(
                String.UnicodeScalarView(
                    (0..<Int.random(in: 0...20, using: &random)).compactMap { _ in
                        Unicode.Scalar(UInt32.random(in: 0...0x2FFF, using: &random))
                    }))
            #expect(PercentCoding.decode(PercentCoding.encode(text)) == text, "seed \(seed)")
            #expect(PercentCoding.decode(PercentCoding.encode(text, keepingSlash: true)) == text, "seed \(seed)")
        }
    }
}

@Suite struct QueryTests {
    @Test func `pairs keep their order and are decoded once`() throws {
        let query = try #require(Query(raw: "prefix=a%2Fb&acl&x=1=2&x=&y=%2B+"))
        #expect(query.pairs.map(\.name) == ["prefix", "acl", "x", "x", "y"])
        #expect(query.pairs.map(\.value) == ["a/b", "", "1=2", "", "++"])
        #expect(query.has("acl"))
        #expect(!query.has("ACL"))
        #expect(query["x"] == "1=2")
    }

    @Test func `an absent query has no pairs, a malformed one is nil`() {
        #expect(Query(raw: nil) == .empty)
        #expect(Query(raw: "&&")?.pairs.isEmpty == true)
        #expect(Query(raw: "a=%f") == nil)
        #expect(Query(raw: "%=1") == nil)
    }
}
