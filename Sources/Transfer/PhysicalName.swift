package import Catalog
import Crypto
import HTTP

/// The name of a copy on its backend (DESIGN §5): `{keyPrefix}{bucket}/{key}~{version}.{random}`.
///
/// Readable on purpose, and used once. Safe for backends that keep objects as files: segments that are empty, `.` or `..`,
/// control characters and `~` are percent-encoded, and so is `%`, so that the name can be read back.
package struct PhysicalName: Sendable, Equatable {
    /// A segment longer than this, or a name longer than `nameMax` bytes, replaces the key by its hash.
    package static let segmentMax = 200
    package static let nameMax = 1_000
    /// `~`, 26 characters, `.`, 6 characters.
    private static let suffixLength = 34

    package let text: String

    package init(keyPrefix: String, bucket: String, key: String, version: VersionID, suffix: UInt32) {
        let tail = "~\(version.raw.base32).\(PhysicalName.suffixText(suffix))"
        var segments = key.split(separator: "/", omittingEmptySubsequences: false).map { PhysicalName.encoded($0) }
        let plain = "\(keyPrefix)\(bucket)/\(segments.joined(separator: "/"))\(tail)"
        let fits = plain.utf8.count <= PhysicalName.nameMax && segments.allSatisfy { $0.utf8.count <= PhysicalName.segmentMax }
        if !fits { segments = ["~long", Hex.encode(Digest.hash(.sha256, key))] }
        text = fits ? plain : "\(keyPrefix)\(bucket)/\(segments.joined(separator: "/"))\(tail)"
    }

    /// Whether a listed name looks like one of ours below the prefix; what does not is foreign and never touched.
    package static func isOurs(_ name: String, keyPrefix: String) -> Bool {
        guard name.hasPrefix(keyPrefix), let tilde = name.lastIndex(of: "~") else { return false }
        let tail = name[name.index(after: tilde)...]
        let parts = tail.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 2 && ID128(base32: parts[0]) != nil && parts[1].utf8.count == 6
            && name[name.index(name.startIndex, offsetBy: keyPrefix.count)..<tilde].contains("/")
    }

    /// 30 bits as six characters.
    private static func suffixText(_ value: UInt32) -> String {
        let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
        return String(decoding: (0..<6).map { alphabet[Int(value >> UInt32(25 - 5 * $0)) & 31] }, as: UTF8.self)
    }

    private static func encoded(_ segment: Substring) -> String {
        if segment.isEmpty { return "%" }
        if segment == "." { return "%2E" }
        if segment == ".." { return "%2E%2E" }
        var output: [UInt8] = []
        for byte in segment.utf8 {
            if byte < 0x20 || byte == 0x7F || byte == 0x7E || byte == 0x25 {
                output += Array("%\(byte < 16 ? "0" : "")\(String(byte, radix: 16, uppercase: true))".utf8)
            } else {
                output.append(byte)
            }
        }
        return String(decoding: output, as: UTF8.self)
    }
}
