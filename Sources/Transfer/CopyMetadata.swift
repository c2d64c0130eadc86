package import Catalog
import Crypto
import HTTP
package import S3

/// What a stored copy says about itself, so that it can be read and found again without Postgres (DESIGN §2.7).
///
/// Entries, all of them ASCII (values percent-encoded, RFC 3986):
/// `sluice-format` (1, or 2 where a value is in pieces), `sluice-bucket`, `sluice-key` (or, where that would be longer than 1,000 bytes, `sluice-key64` in Base64),
/// `sluice-version`, `sluice-size` (not with multipart, whose size Create does not know), `sluice-etag` (where the bytes were known
/// before: copies that repair and drains make), `sluice-header-NAME`, `sluice-user-NAME`.
///
/// OpenStack Swift takes values of 256 bytes and names of 128 (an underscore counts as three), 90 of them: longer values go on in
/// `sluice-2-key`, `sluice-3-key`, and so on with every name.
///
/// S3 allows 2 KB of user metadata. What goes beyond is left out, the longest first, and `sluice-truncated` says so; bucket, key,
/// version and size always fit. The catalog has everything; only a read without it would miss what was left out.
package enum CopyMetadata {
    package static let bytesMax = 1_900
    private static let plainKeyMax = 1_000
    static let valueBytesMax = 250
    static let nameBytesMax = 120
    static let entriesMax = 80
    private static let truncation = ("sluice-truncated", "1")

    package static func make(
        bucket: String, key: String, version: VersionID, size: Int64?, etag: String? = nil, headers: ObjectHeaders
    ) -> StoredMetadata {
        var entries = ["sluice-format": "1", "sluice-bucket": bucket, "sluice-version": version.raw.base32]
        let plain = PercentCoding.encode(key, keepingSlash: true)
        if plain.utf8.count <= plainKeyMax {
            entries["sluice-key"] = plain
        } else {
            entries["sluice-key64"] = Base64.encode(Array(key.utf8))
        }
        if let size { entries["sluice-size"] = String(size) }
        if let etag { entries["sluice-etag"] = etag }
        var all: [String: String] = [:]
        for (name, value) in entries { for piece in pieces(name, value) { all[piece.0] = piece.1 } }
        let room = bytesMax - all.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        var left = room - truncation.0.utf8.count - truncation.1.utf8.count
        for (name, value) in optional(headers) {
            let added = pieces(name, value)
            let cost = added.reduce(0) { $0 + $1.0.utf8.count + $1.1.utf8.count }
            guard cost <= left, all.count + added.count < entriesMax,
                added.allSatisfy({ nameCost($0.0) <= nameBytesMax })
            else {
                all[truncation.0] = truncation.1
                continue
            }
            for piece in added { all[piece.0] = piece.1 }
            left -= cost
        }
        // A release that knows no pieces must not take the first for the whole.
        if all.keys.contains(where: { isLater($0) }) { all["sluice-format"] = "2" }
        return StoredMetadata(contentType: headers.contentType, entries: all)
    }

    private static func nameCost(_ name: String) -> Int {
        name.utf8.reduce(0) { $0 + ($1 == UInt8(ascii: "_") ? 3 : 1) }
    }

    private static let start = "sluice-"

    /// `sluice-NAME`, `sluice-2-NAME`, …, each with a value that is short enough. No name of ours begins with a digit.
    private static func pieces(_ name: String, _ value: String) -> [(String, String)] {
        var pieces: [(String, String)] = []
        var rest = Substring(value)
        repeat {
            let number = pieces.count + 1
            pieces.append((number == 1 ? name : later(name, number), String(rest.prefix(valueBytesMax))))
            rest = rest.dropFirst(valueBytesMax)
        } while !rest.isEmpty
        return pieces
    }

    private static func later(_ name: String, _ number: Int) -> String {
        "\(start)\(number)-\(name.dropFirst(start.count))"
    }

    private static func isLater(_ name: String) -> Bool {
        name.hasPrefix(start) && name.dropFirst(start.count).first.map { ("0"..."9").contains($0) } ?? false
    }

    /// What was cut, in one again.
    private static func joined(_ entries: [String: String]) -> [String: String] {
        var whole: [String: String] = [:]
        for (name, value) in entries where !isLater(name) {
            var text = value
            var number = 2
            while let more = entries[later(name, number)] {
                text += more
                number += 1
            }
            whole[name] = text
        }
        return whole
    }

    /// Shortest first, so that as many as possible stay.
    private static func optional(_ headers: ObjectHeaders) -> [(String, String)] {
        let standard = headers.standard.map {
            ("sluice-header-\($0.key)", PercentCoding.encode($0.value, keepingSlash: true))
        }
        let user = headers.user.map { name, value in
            ("sluice-user-\(PercentCoding.encode(name).lowercased())", PercentCoding.encode(value, keepingSlash: true))
        }
        return (standard + user).sorted { a, b in
            let (x, y) = (a.0.utf8.count + a.1.utf8.count, b.0.utf8.count + b.1.utf8.count)
            return x != y ? x < y : a.0 < b.0
        }
    }

    /// A copy's own words.
    package struct Description: Sendable, Equatable {
        package var bucket: String
        package var key: String
        package var version: VersionID
        /// nil with multipart: the object's own size holds.
        package var size: Int64?
        /// As clients see it, where the copy says so.
        package var etag: String?
        package var headers: ObjectHeaders
        /// Some headers did not fit.
        package var isTruncated: Bool
        package init(
            bucket: String, key: String, version: VersionID, size: Int64?, etag: String? = nil, headers: ObjectHeaders,
            isTruncated: Bool
        ) {
            self.bucket = bucket
            self.key = key
            self.version = version
            self.size = size
            self.etag = etag
            self.headers = headers
            self.isTruncated = isTruncated
        }

        /// Whether it says what the name of its object says.
        package func describes(_ parts: PhysicalName.Parts) -> Bool {
            guard version == parts.version, bucket.utf8.elementsEqual(parts.bucket.utf8) else { return false }
            switch parts.key {
            case .plain(let name): return key.utf8.elementsEqual(name.utf8)
            case .hashed(let hash): return Hex.encode(Digest.hash(.sha256, key)) == hash
            }
        }
    }

    /// Nil unless the metadata is of a copy of ours, in a format that this release knows.
    package static func parse(_ metadata: StoredMetadata) -> Description? {
        let entries = joined(metadata.entries)
        guard entries["sluice-format"] == "1" || entries["sluice-format"] == "2", let bucket = entries["sluice-bucket"],
            let key = key(entries),
            let version = entries["sluice-version"].flatMap({ ID128(base32: $0) })
        else { return nil }
        var headers = ObjectHeaders(contentType: metadata.contentType)
        for (name, value) in entries {
            guard let decoded = PercentCoding.decode(value) else { return nil }
            if name.hasPrefix("sluice-header-") {
                headers.standard[String(name.dropFirst("sluice-header-".count))] = decoded
            } else if name.hasPrefix("sluice-user-") {
                guard let own = PercentCoding.decode(name.dropFirst("sluice-user-".count)) else { return nil }
                headers.user[own] = decoded
            }
        }
        return Description(
            bucket: bucket, key: key, version: VersionID(version), size: entries["sluice-size"].flatMap { Int64($0) },
            etag: entries["sluice-etag"], headers: headers,
            isTruncated: entries[truncation.0] != nil)
    }

    private static func key(_ entries: [String: String]) -> String? {
        if let plain = entries["sluice-key"] { return PercentCoding.decode(plain) }
        return entries["sluice-key64"].flatMap { Base64.decode($0) }.flatMap { String(validating: $0, as: UTF8.self) }
    }
}
