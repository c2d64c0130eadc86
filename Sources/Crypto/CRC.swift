/// A reflected cyclic redundancy check, eight bytes a step by tables (Kounavis and Berry, "slicing-by-8").
package struct CRC: Sendable {
    package enum Algorithm: String, Sendable, CaseIterable {
        /// ISO 3309, as in zlib; check value CBF43926.
        case crc32
        /// Castagnoli, RFC 3720; check value E3069283.
        case crc32c
        /// NVM Express, as S3 uses it; check value AE8B14860A799888.
        case crc64nvme

        var polynomial: UInt64 {
            switch self {
            case .crc32: 0xEDB8_8320
            case .crc32c: 0x82F6_3B78
            case .crc64nvme: 0x9A6C_9329_AC4B_C9B5
            }
        }

        var mask: UInt64 {
            switch self {
            case .crc32, .crc32c: 0xFFFF_FFFF
            case .crc64nvme: .max
            }
        }

        package var byteCount: Int {
            switch self {
            case .crc32, .crc32c: 4
            case .crc64nvme: 8
            }
        }
    }

    /// Eight tables of 256 entries, one after the other.
    private static let tables: [Algorithm: [UInt64]] = Dictionary(
        uniqueKeysWithValues: Algorithm.allCases.map { ($0, makeTables($0.polynomial)) })

    private static func makeTables(_ polynomial: UInt64) -> [UInt64] {
        var tables = [UInt64](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            var value = UInt64(index)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ polynomial : value >> 1 }
            tables[index] = value
        }
        for index in 256..<(8 * 256) {
            let previous = tables[index - 256]
            tables[index] = previous >> 8 ^ tables[Int(previous & 255)]
        }
        return tables
    }

    package let algorithm: Algorithm
    private let table: [UInt64]
    private var state: UInt64

    package init(_ algorithm: Algorithm) {
        self.algorithm = algorithm
        // Every case has an entry: the dictionary is made from `allCases`.
        table = CRC.tables[algorithm] ?? []
        state = algorithm.mask
    }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var crc = state
        var index = 0
        table.withUnsafeBufferPointer { table in
            while index + 8 <= bytes.count {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)) ^ crc
                crc =
                    table[1792 + Int(word & 255)] ^ table[1536 + Int(word >> 8 & 255)]
                    ^ table[1280 + Int(word >> 16 & 255)] ^ table[1024 + Int(word >> 24 & 255)]
                    ^ table[768 + Int(word >> 32 & 255)] ^ table[512 + Int(word >> 40 & 255)]
                    ^ table[256 + Int(word >> 48 & 255)] ^ table[Int(word >> 56)]
                index += 8
            }
            while index < bytes.count {
                crc = crc >> 8 ^ table[Int((crc ^ UInt64(bytes[index])) & 255)]
                index += 1
            }
        }
        state = crc
    }

    package var value: UInt64 { (state ^ algorithm.mask) & algorithm.mask }

    /// Big-endian, as S3 writes it in base64.
    package var bytes: [UInt8] {
        (0..<algorithm.byteCount).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (algorithm.byteCount - 1 - $0))) }
    }
}
