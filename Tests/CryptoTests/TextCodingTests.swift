import Crypto
import Testing

@Suite struct HexTests {
    @Test func `hexadecimal is lower case, and read in either`() {
        #expect(Hex.encode([0, 0x0F, 0xA5, 0xFF]) == "000fa5ff")
        #expect(Hex.decode("000fA5Ff") == [0, 0x0F, 0xA5, 0xFF])
        #expect(Hex.decode("") == [])
    }

    @Test(arguments: ["0", "0g", "+1", " 0", "0x", "ä", "１２"])
    func `anything else is refused`(text: String) { #expect(Hex.decode(text) == nil) }
}

@Suite struct Base64Tests {
    /// RFC 4648 §10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func `the vectors of RFC 4648 are written and read`(plain: String, coded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == coded)
        #expect(Base64.decode(coded) == Array(plain.utf8))
    }

    /// Two texts for the same bytes would let a checksum be written in two ways.
    @Test(arguments: [
        "Zg", "Zg=", "Zg===", "=", "====", "Z===", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9v", "Zm9v\n", "Zm9-", "Zm9_",
        "Zm=v", "äöüß",
    ])
    func `only the canonical text is read`(text: String) { #expect(Base64.decode(text) == nil) }

    @Test func `all bytes of all lengths come back`() {
        let bytes = SystemRandom.bytes(256) + Array(0...255)
        for length in [1, 2, 3, 4, 31, 32, 33, 511, 512] {
            let part = Array(bytes[..<length])
            #expect(Base64.decode(Base64.encode(part)) == part, "\(part)")
            #expect(Hex.decode(Hex.encode(part)) == part, "\(part)")
        }
    }
}
