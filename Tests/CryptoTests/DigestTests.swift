import Crypto
import Testing

@Suite struct DigestTests {
    /// RFC 1321 §A.5, RFC 3174 §7.3, and NIST's examples for SHA-256 (FIPS 180-2 appendix B).
    @Test(arguments: [
        (Digest.Algorithm.md5, "", "d41d8cd98f00b204e9800998ecf8427e"),
        (.md5, "abc", "900150983cd24fb0d6963f7d28e17f72"),
        (.md5, "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
        (.sha1, "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        (.sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (.sha256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (.sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            .sha256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func `digests match the published vectors`(algorithm: Digest.Algorithm, text: String, expected: String) {
        #expect(Hex.encode(Digest.hash(algorithm, text)) == expected)
        #expect(Digest.hash(algorithm, Array(text.utf8)).count == algorithm.byteCount)
    }

    @Test func `a million letters in pieces match the published vectors`() {
        let expected: [(Digest.Algorithm, String)] = [
            (.md5, "7707d6ae4e027c70eea2a935c2296f21"), (.sha1, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
            (.sha256, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        ]
        for (algorithm, text) in expected {
            let digest = Digest(algorithm)
            for _ in 0..<1000 { digest.update([UInt8](repeating: 0x61, count: 999)) }
            digest.update([UInt8](repeating: 0x61, count: 1000))
            #expect(Hex.encode(digest.finalize()) == text)
        }
    }
}

@Suite struct HMACSHA256Tests {
    /// RFC 4231 §4, cases 1, 2, 3, 4, 6 and 7.
    private static let vectors: [(key: [UInt8], message: [UInt8], code: String)] = [
        (
            [UInt8](repeating: 0x0B, count: 20), Array("Hi There".utf8),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            [UInt8](repeating: 0xAA, count: 20), [UInt8](repeating: 0xDD, count: 50),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
        ),
        (
            Array(1...25), [UInt8](repeating: 0xCD, count: 50),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
        ),
        (
            [UInt8](repeating: 0xAA, count: 131), Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
        (
            [UInt8](repeating: 0xAA, count: 131),
            Array(
                ("This is a test using a larger than block-size key and a larger than block-size data. "
                    + "The key needs to be hashed before being used by the HMAC algorithm.").utf8),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
        ),
    ]

    @Test func `codes match RFC 4231, with a key used once and again`() {
        for (bytes, message, code) in HMACSHA256Tests.vectors {
            #expect(Hex.encode(HMACSHA256.authenticate(message, key: bytes)) == code)
            let key = HMACSHA256.Key(bytes)
            _ = key.authenticate("another message")
            #expect(Hex.encode(key.authenticate(message)) == code)
            #expect(Hex.encode(key.authenticate(message)) == code)
        }
    }

    @Test func `an empty key and an empty message are allowed`() {
        #expect(
            Hex.encode(HMACSHA256.authenticate("", key: []))
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    }

    @Test func `keys are set up by many tasks at once`() async {
        let (bytes, message, code) = HMACSHA256Tests.vectors[1]
        await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<5_000).count { _ in Hex.encode(HMACSHA256.authenticate(message, key: bytes)) == code }
                }
            }
            for await right in group { #expect(right == 5_000) }
        }
    }

    @Test func `one key serves many tasks at once`() async {
        let key = HMACSHA256.Key(Array("Jefe".utf8))
        let expected = HMACSHA256Tests.vectors[1].code
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<500).allSatisfy { _ in Hex.encode(key.authenticate("what do ya want for nothing?")) == expected
                    }
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }
}

@Suite struct ConstantTimeTests {
    @Test func `equal is equal, and any difference is one`() {
        #expect(constantTimeEquals([], []))
        #expect(constantTimeEquals([1, 2, 3], [1, 2, 3]))
        #expect(!constantTimeEquals([1, 2, 3], [1, 2, 4]))
        #expect(!constantTimeEquals([1, 2, 3], [0, 2, 3]))
        #expect(!constantTimeEquals([1, 2, 3], [1, 2]))
    }
}

@Suite struct SystemRandomTests {
    @Test func `bytes are as many as asked for, and never the same`() {
        #expect(SystemRandom.bytes(0).isEmpty)
        #expect(SystemRandom.bytes(33).count == 33)
        #expect(Set((0..<1000).map { _ in SystemRandom.bytes(16) }).count == 1000)
        #expect(Set((0..<1000).map { _ in SystemRandom.word() }).count == 1000)
    }
}
