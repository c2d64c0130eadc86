package import Catalog
import Crypto
import HTTP

/// The name of a copy on its backend (DESIGN §5): `{keyPrefix}{bucket}/{key}~{version}.{random}`.
///
/// Readable on purpose, and used once. Safe for backends that keep objects as files: segments that are empty, `.` or `..`,
/// control characters and `~` are percent-encoded, and so is `%`, so that the name can be read back. All of it works on bytes:
/// to Swift a slash with a combining accent behind it is another character, to a file system it is a slash.
package struct PhysicalName: Sendable, Equatable {
    /// A segment longer than this, or a name longer than `nameMax` bytes, replaces the key by its hash.
    package static let segmentMax = 200
    package static let nameMax = 1_000
    /// `~`, 26 characters, `.`, 6 characters.
    private static let tailLength = 34
    private static let long = Array("~long/".utf8)
    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
    private static let digits = Array("0123456789ABCDEF".utf8)

    package let text: String

    package init(keyPrefix: String, bucket: String, key: String, version: VersionID, suffix: UInt32) {
        let tail = Array("~\(version.raw.base32).".utf8) + PhysicalName.suffixText(suffix)
        let front = Array("\(keyPrefix)\(bucket)/".utf8)
        let segments = key.utf8.split(separator: 0x2F, omittingEmptySubsequences: false).map {
            PhysicalName.encoded(Array($0))
        }
        var middle = Array(segments.joined(separator: [0x2F]))
        let fits =
            front.count + middle.count + tail.count <= PhysicalName.nameMax
            && segments.allSatisfy { $0.count <= PhysicalName.segmentMax }
        if !fits { middle = PhysicalName.long + Array(Hex.encode(Digest.hash(.sha256, key)).utf8) }
        text = String(decoding: front + middle + tail, as: UTF8.self)
    }

    private static func encoded(_ segment: [UInt8]) -> [UInt8] {
        if segment.isEmpty { return [0x25] }
        let isDots = segment == [0x2E] || segment == [0x2E, 0x2E]
        var output: [UInt8] = []
        for byte in segment {
            if isDots || byte < 0x20 || byte == 0x7F || byte == 0x7E || byte == 0x25 {
                output += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            } else {
                output.append(byte)
            }
        }
        return output
    }

    /// 30 bits as six characters.
    private static func suffixText(_ value: UInt32) -> [UInt8] {
        (0..<6).map { alphabet[Int(value >> UInt32(25 - 5 * $0)) & 31] }
    }
}

extension PhysicalName {
    /// What a name says; the inventory and a rebuild of the catalog read it.
    package struct Parts: Sendable, Equatable {
        package enum Key: Sendable, Equatable {
            case plain(String)
            /// SHA-256 in hex; the key itself is in the copy's metadata.
            case hashed(String)
        }
        package var bucket: String
        package var key: Key
        package var version: VersionID
    }

    /// Whether a listed name is one that we could have given; what is not is foreign and never touched.
    package static func isOurs(_ name: String, keyPrefix: String) -> Bool { parse(name, keyPrefix: keyPrefix) != nil }

    /// Nil unless `init` could have made this name.
    package static func parse(_ name: String, keyPrefix: String) -> Parts? {
        let bytes = Array(name.utf8)
        let prefix = Array(keyPrefix.utf8)
        guard bytes.starts(with: prefix), bytes.count > prefix.count + tailLength else { return nil }
        let head = bytes[prefix.count..<(bytes.count - tailLength)]
        let tail = Array(bytes.suffix(tailLength))
        guard tail[0] == 0x7E, tail[27] == 0x2E, tail[28...].allSatisfy({ alphabet.contains($0) }),
            let version = ID128(base32: String(decoding: tail[1..<27], as: UTF8.self)),
            let slash = head.firstIndex(of: 0x2F), slash > head.startIndex
        else { return nil }
        let bucket = String(decoding: head[..<slash], as: UTF8.self)
        guard let key = key(Array(head[(slash + 1)...])), !bucket.utf8.contains(0x7E) else { return nil }
        return Parts(bucket: bucket, key: key, version: VersionID(version))
    }

    private static func key(_ middle: [UInt8]) -> Parts.Key? {
        if middle.starts(with: long) {
            let hash = middle.dropFirst(long.count)
            guard hash.count == 64, hash.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else {
                return nil
            }
            return .hashed(String(decoding: hash, as: UTF8.self))
        }
        var decoded: [[UInt8]] = []
        for segment in middle.split(separator: 0x2F, omittingEmptySubsequences: false).map(Array.init) {
            if segment == [0x25] {
                decoded.append([])
                continue
            }
            guard let text = PercentCoding.decode(String(decoding: segment, as: UTF8.self)) else { return nil }
            // One key has one name: what was not encoded as we do it is not ours.
            guard encoded(Array(text.utf8)) == segment else { return nil }
            decoded.append(Array(text.utf8))
        }
        guard let text = String(validating: decoded.joined(separator: [0x2F]), as: UTF8.self) else { return nil }
        return .plain(text)
    }
}
