import Crypto
import Testing

@Suite struct CRCTests {
    private func crc(_ algorithm: CRC.Algorithm, _ bytes: [UInt8]) -> CRC {
        var crc = CRC(algorithm)
        bytes.withUnsafeBytes { crc.update($0) }
        return crc
    }

    /// Check values of the catalogue of parametrised CRC algorithms, and RFC 3720 §B.4 for CRC-32C.
    @Test(
        arguments: [
            (CRC.Algorithm.crc32, Array("123456789".utf8), 0xCBF4_3926),
            (.crc32c, Array("123456789".utf8), 0xE306_9283),
            (.crc64nvme, Array("123456789".utf8), 0xAE8B_1486_0A79_9888),
            (.crc32, [], 0), (.crc32c, [], 0), (.crc64nvme, [], 0),
            (.crc32c, [UInt8](repeating: 0, count: 32), 0x8A91_36AA),
            (.crc32c, [UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
            (.crc32c, Array(0..<32), 0x46DD_794E),
            (.crc32, Array("The quick brown fox jumps over the lazy dog".utf8), 0x414F_A339),
        ] as [(CRC.Algorithm, [UInt8], UInt64)])
    func `values match the published ones`(algorithm: CRC.Algorithm, bytes: [UInt8], value: UInt64) {
        #expect(crc(algorithm, bytes).value == value)
    }

    @Test func `bytes are big-endian, as S3 sends them`() {
        #expect(crc(.crc32, Array("123456789".utf8)).bytes == [0xCB, 0xF4, 0x39, 0x26])
        #expect(Base64.encode(crc(.crc64nvme, Array("123456789".utf8)).bytes) == "rosUhgp5mIg=")
    }

    /// The oracle goes bit by bit, so a slip in the tables of eight cannot hide.
    private func bitwise(_ algorithm: CRC.Algorithm, _ bytes: [UInt8]) -> UInt64 {
        let (polynomial, mask): (UInt64, UInt64) =
            switch algorithm {
            case .crc32: (0xEDB8_8320, 0xFFFF_FFFF)
            case .crc32c: (0x82F6_3B78, 0xFFFF_FFFF)
            case .crc64nvme: (0x9A6C_9329_AC4B_C9B5, .max)
            }
        var value = mask
        for byte in bytes {
            value ^= UInt64(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ polynomial : value >> 1 }
        }
        return value ^ mask
    }

    @Test(arguments: CRC.Algorithm.allCases)
    func `any split of any length at any alignment gives the bitwise value`(algorithm: CRC.Algorithm) {
        let bytes = SystemRandom.bytes(300)
        for length in [0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 255, 300] {
            let whole = Array(bytes[..<length])
            let expected = bitwise(algorithm, whole)
            #expect(crc(algorithm, whole).value == expected, "\(length) bytes of \(bytes)")
            for split in stride(from: 0, through: length, by: 5) {
                var pieces = CRC(algorithm)
                whole.withUnsafeBytes { all in
                    pieces.update(UnsafeRawBufferPointer(rebasing: all[..<split]))
                    pieces.update(UnsafeRawBufferPointer(rebasing: all[split...]))
                }
                #expect(pieces.value == expected, "\(length) bytes split at \(split) of \(bytes)")
            }
        }
    }
}
