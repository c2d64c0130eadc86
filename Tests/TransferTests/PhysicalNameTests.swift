import Catalog
import Crypto
import TestSupport
import Testing
import Transfer

@Suite struct PhysicalNameTests {
    static let version = VersionID(ID128(high: 0x0192_0000_0000_7000, low: 42))

    private func name(_ key: String, suffix: UInt32 = 7, prefix: String = "sluice/") -> String {
        PhysicalName(keyPrefix: prefix, bucket: "photos", key: key, version: Self.version, suffix: suffix).text
    }

    @Test func `a plain key can be read in its name`() {
        #expect(name("2024/trip/a b.jpg") == "sluice/photos/2024/trip/a b.jpg~\(Self.version).000007")
        #expect(name("ü/+%~", prefix: "") == "photos/ü/+%25%7E~\(Self.version).000007")
    }

    @Test(arguments: [
        ("", "%"), ("a//b", "a/%/b"), ("/", "%/%"), ("./..", "%2E/%2E%2E"), ("...", "..."), ("a\nb", "a%0Ab"),
        ("%", "%25"),
        ("../\u{301}x", "%2E%2E/\u{301}x"), ("..\u{301}/y", "..\u{301}/y"), ("a/", "a/%"),
    ])
    func `segments are safe for directories`(key: String, expected: String) {
        #expect(Array(name(key).utf8) == Array("sluice/photos/\(expected)~\(Self.version).000007".utf8))
    }

    @Test func `a long segment or name is replaced by its hash`() {
        let hash = { (key: String) in
            "sluice/photos/~long/\(Hex.encode(Digest.hash(.sha256, key)))~\(Self.version).000007"
        }
        let segment = String(repeating: "s", count: 201)
        #expect(name(segment) == hash(segment))
        #expect(name(String(segment.dropLast())).hasPrefix("sluice/photos/sss"))
        let long = Array(repeating: "1234567890", count: 90).joined(separator: "/")
        #expect(name(long) == hash(long))
    }

    /// Keys made of the pieces that break naive encodings.
    private static func key(_ random: inout SimulatedRandom) -> String {
        let pieces = [
            "a", "b", "/", "/", ".", "..", "~", "%", "%25", "~long/", " ", "+", "\u{301}", "é", "e\u{301}", "\r\n",
            "\u{7F}", "日本", "%2E",
            String(repeating: "x", count: 70),
        ]
        return (0..<random.below(16)).map { _ in random.pick(pieces) ?? "" }.joined()
    }

    @Test(arguments: [UInt64(1), 2, 3, 8841])
    func `different copies have different names, all safe and readable back`(seed: UInt64) {
        var random = SimulatedRandom(seed: seed)
        var seen: [[UInt8]: [UInt8]] = [:]
        for _ in 0..<2_000 {
            let key = Self.key(&random)
            let text = name(key)
            let bytes = Array(text.utf8)
            #expect(seen[bytes] == nil || seen[bytes] == Array(key.utf8), "seed \(seed): \(key.debugDescription)")
            seen[bytes] = Array(key.utf8)
            #expect(bytes.count <= PhysicalName.nameMax)
            for segment in bytes.split(separator: 0x2F, omittingEmptySubsequences: false) {
                let isSafe =
                    !segment.isEmpty && Array(segment) != [0x2E] && Array(segment) != [0x2E, 0x2E]
                    && segment.count <= 255
                    && segment.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
                #expect(isSafe, "seed \(seed): \(text.debugDescription)")
            }
            let parts = PhysicalName.parse(text, keyPrefix: "sluice/")
            #expect(
                parts?.bucket == "photos" && parts?.version == Self.version, "seed \(seed): \(text.debugDescription)")
            switch parts?.key {
            case .plain(let read):
                #expect(Array(read.utf8) == Array(key.utf8), "seed \(seed): \(text.debugDescription)")
            case .hashed(let hash): #expect(hash == Hex.encode(Digest.hash(.sha256, key)), "seed \(seed)")
            case nil: Issue.record("seed \(seed): \(text.debugDescription) cannot be read back")
            }
        }
    }

    @Test func `each copy of a version has a name of its own`() {
        #expect(name("a", suffix: 1) != name("a", suffix: 2))
        #expect(name("a", suffix: 0x3FFF_FFFF).hasSuffix(".zzzzzz"))
    }

    @Test(arguments: [
        "sluice/photos/a", "sluice/.sluice/identity", "other/photos/a~\(version).000007", "sluice/a~\(version).000007",
        "sluice/photos/a~\(version).00000I", "sluice/photos/a~\(version)x.00007", "sluice/photos/a~b~\(version).000007",
        "sluice/photos/../a~\(version).000007", "sluice/photos/%61~\(version).000007",
        "sluice/photos/a//b~\(version).000007",
        "sluice/photos/~long/abc~\(version).000007", "sluice//a~\(version).000007", "",
    ])
    func `what we could not have written is foreign`(text: String) {
        #expect(!PhysicalName.isOurs(text, keyPrefix: "sluice/"))
    }
}
