package import Catalog
import HTTP
package import S3

/// What a stored copy says about itself, so that it can be read and found again without Postgres (DESIGN §2.7).
///
/// Values are percent-encoded ASCII. S3 allows 2 KB of user metadata: what goes beyond is left out, longest user metadata first,
/// and marked; bucket, key, version and size always fit.
package enum CopyMetadata {
    package static let bytesMax = 1_900

    package static func make(
        bucket: String, key: String, version: VersionID, size: Int64?, headers: ObjectHeaders
    ) -> StoredMetadata {
        var entries = [
            "sluice-format": "1", "sluice-bucket": bucket, "sluice-version": version.raw.base32,
            "sluice-key": PercentCoding.encode(key, keepingSlash: true),
        ]
        if let size { entries["sluice-size"] = String(size) }
        var room = bytesMax - entries.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        let optional =
            headers.standard.map { ("sluice-header-\($0.key)", PercentCoding.encode($0.value, keepingSlash: true)) }
            + headers.user.map { ("sluice-user-\(PercentCoding.encode($0.key).lowercased())", PercentCoding.encode($0.value, keepingSlash: true)) }
        for (name, value) in optional.sorted(by: { ($0.0.count + $0.1.count, $0.0) < ($1.0.count + $1.1.count, $1.0) }) {
            let cost = name.utf8.count + value.utf8.count
            guard cost <= room else {
                entries["sluice-truncated"] = "1"
                break
            }
            entries[name] = value
            room -= cost
        }
        return StoredMetadata(contentType: headers.contentType, entries: entries)
    }
}
