import HTTP
import S3

/// The metadata file beside an object: `name: value` lines, values percent-encoded; readable by a person.
enum Sidecar {
    static func encode(_ metadata: StoredMetadata) -> [UInt8] {
        var text = "sluice-metadata 1\n"
        if let type = metadata.contentType { text += "content-type: \(PercentCoding.encode(type, keepingSlash: true))\n" }
        for (name, value) in metadata.entries.sorted(by: { $0.key < $1.key }) {
            text += "meta \(PercentCoding.encode(name)): \(PercentCoding.encode(value, keepingSlash: true))\n"
        }
        return Array(text.utf8)
    }

    /// Lines that it does not know are left out.
    static func decode(_ bytes: [UInt8]) -> StoredMetadata {
        var metadata = StoredMetadata()
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let halves = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard halves.count == 2, let value = PercentCoding.decode(halves[1].drop { $0 == " " }) else { continue }
            if halves[0] == "content-type" {
                metadata.contentType = value
            } else if halves[0].hasPrefix("meta "), let name = PercentCoding.decode(halves[0].dropFirst(5)) {
                metadata.entries[name] = value
            }
        }
        return metadata
    }
}
