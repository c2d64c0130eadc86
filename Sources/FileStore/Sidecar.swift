import HTTP
import S3

/// The metadata file beside an object: `name: value` lines, values percent-encoded; readable by a person.
enum Sidecar {
    static let bytesMax = 64 * 1024
    private static let firstLine = "sluice-metadata 1"

    static func encode(_ metadata: StoredMetadata) throws(StoreError) -> [UInt8] {
        var text = firstLine + "\n"
        if let type = metadata.contentType {
            text += "content-type: \(PercentCoding.encode(type, keepingSlash: true))\n"
        }
        for (name, value) in metadata.entries.sorted(by: { $0.key < $1.key }) {
            text += "meta \(PercentCoding.encode(name)): \(PercentCoding.encode(value, keepingSlash: true))\n"
        }
        guard text.utf8.count <= bytesMax else {
            throw StoreError(.rejected, mayArriveLate: false, evidence: "\(text.utf8.count) bytes of metadata")
        }
        return Array(text.utf8)
    }

    /// Lines of kinds that it does not know are left out, for a later version may write more; a malformed file is `corrupt`.
    static func decode(_ bytes: [UInt8], _ path: String) throws(StoreError) -> StoredMetadata {
        let corrupt = StoreError(.corrupt, mayArriveLate: false, evidence: "\(path) is not a metadata file")
        let lines = bytes.split(separator: UInt8(ascii: "\n"))
        guard bytes.last == UInt8(ascii: "\n"), lines.first?.elementsEqual(firstLine.utf8) == true else {
            throw corrupt
        }
        var metadata = StoredMetadata()
        for line in lines.dropFirst() {
            let halves = String(decoding: line, as: UTF8.self).split(
                separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard halves.count == 2, let value = PercentCoding.decode(halves[1].drop { $0 == " " }) else {
                throw corrupt
            }
            if halves[0] == "content-type" {
                metadata.contentType = value
            } else if halves[0].hasPrefix("meta ") {
                guard let name = PercentCoding.decode(halves[0].dropFirst(5)) else { throw corrupt }
                metadata.entries[name] = value
            }
        }
        return metadata
    }
}
