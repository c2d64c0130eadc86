package import Catalog
import Crypto
package import S3

/// What clients see of a multipart object, computed from its parts (AWS, "Checking object integrity for data uploads").
package enum MultipartDigests {
    /// `md5(md5s)-N`, and the checksum that was declared at Create, if every part has it.
    package static func digests(_ upload: Upload, _ parts: [UploadPart]) -> ContentDigests {
        let md5s = parts.flatMap { Hex.decode($0.etag) ?? [] }
        var digests = ContentDigests(etag: Hex.encode(Digest.hash(.md5, md5s)) + "-\(parts.count)")
        guard let algorithm = upload.checksumAlgorithm.flatMap(ChecksumAlgorithm.init(rawValue:)) else {
            return digests
        }
        let values = parts.compactMap { part in part.checksums[algorithm.rawValue].flatMap { Base64.decode($0) } }
        guard values.count == parts.count, !parts.isEmpty else { return digests }
        if upload.checksumType == "FULL_OBJECT" {
            guard let combiner = CRCCombiner(algorithm) else { return digests }
            let pairs = zip(values, parts).map { (value: $0, length: $1.size) }
            digests.checksums[algorithm.rawValue] = Base64.encode(combiner.combine(pairs))
        } else {
            digests.checksums[algorithm.rawValue] = composite(algorithm, values) + "-\(parts.count)"
        }
        digests.checksumType = upload.checksumType ?? "COMPOSITE"
        digests.partChecksums = values.map { Base64.encode($0) }
        return digests
    }

    /// The checksum of the parts' checksums.
    private static func composite(_ algorithm: ChecksumAlgorithm, _ values: [[UInt8]]) -> String {
        let joined = values.flatMap { $0 }
        switch algorithm {
        case .sha1: return Base64.encode(Digest.hash(.sha1, joined))
        case .sha256: return Base64.encode(Digest.hash(.sha256, joined))
        case .crc32, .crc32c, .crc64nvme:
            guard let combiner = CRCCombiner(algorithm) else { return "" }
            return Base64.encode(combiner.checksum(of: joined))
        }
    }
}

/// Joins CRCs of adjacent runs to the CRC of the whole, without their bytes: multiplication by x^(8·length) modulo the
/// polynomial, in the reflected order of bits (Mark Adler, zlib's `crc32_combine`).
package struct CRCCombiner: Sendable {
    private let polynomial: UInt64
    private let width: Int

    /// Nil for digests, which cannot be joined.
    package init?(_ algorithm: ChecksumAlgorithm) {
        switch algorithm {
        case .crc32: (polynomial, width) = (0xEDB8_8320, 32)
        case .crc32c: (polynomial, width) = (0x82F6_3B78, 32)
        case .crc64nvme: (polynomial, width) = (0x9A6C_9329_AC4B_C9B5, 64)
        case .sha1, .sha256: return nil
        }
    }

    private var one: UInt64 { 1 << UInt64(width - 1) }

    /// a·b modulo the polynomial; the highest bit stands for x^0.
    private func multiply(_ a: UInt64, _ b: UInt64) -> UInt64 {
        var product: UInt64 = 0
        var b = b
        for bit in 0..<width {
            if a & (one >> UInt64(bit)) != 0 { product ^= b }
            b = b & 1 == 1 ? b >> 1 ^ polynomial : b >> 1
        }
        return product
    }

    /// x^(8·bytes) modulo the polynomial.
    private func shift(bytes: Int64) -> UInt64 {
        var power = one >> 8
        var result = one
        var left = bytes
        while left > 0 {
            if left & 1 == 1 { result = multiply(power, result) }
            power = multiply(power, power)
            left >>= 1
        }
        return result
    }

    package func combine(_ runs: [(value: [UInt8], length: Int64)]) -> [UInt8] {
        let total = runs.reduce(UInt64(0)) { sum, run in
            multiply(shift(bytes: run.length), sum) ^ run.value.reduce(0) { $0 << 8 | UInt64($1) }
        }
        return (0..<width / 8).reversed().map { UInt8(truncatingIfNeeded: total >> UInt64(8 * $0)) }
    }

    /// Bit by bit; for the few bytes of parts' checksums.
    func checksum(of bytes: [UInt8]) -> [UInt8] {
        let mask: UInt64 = width == 64 ? .max : (1 << UInt64(width)) - 1
        var state = mask
        for byte in bytes {
            state ^= UInt64(byte)
            for _ in 0..<8 { state = state & 1 == 1 ? state >> 1 ^ polynomial : state >> 1 }
        }
        state ^= mask
        return (0..<width / 8).reversed().map { UInt8(truncatingIfNeeded: state >> UInt64(8 * $0)) }
    }
}
