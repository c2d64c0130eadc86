/// `Delete`: the body of DeleteObjects.
package struct DeleteDocument: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        package var key: String
        package var etag: String?
        package var versionID: String?
        /// Bytes, as decimal text.
        package var size: String?
        /// As it came: ISO 8601 or RFC 9110's date.
        package var lastModified: String?
    }
    package var entries: [Entry]
    package var isQuiet: Bool

    /// Throws MalformedXML for anything but 1 to 1,000 objects.
    package init(xml: [UInt8]) throws(S3Error) {
        let root = try RequestDocument.root(xml, "Delete")
        entries = []
        for object in root.all("Object") {
            guard let key = object["Key"]?.text, !key.isEmpty else { throw RequestDocument.malformed }
            entries.append(
                Entry(
                    key: key, etag: object["ETag"].map { ETag.unquoted($0.text) }, versionID: object["VersionId"]?.text,
                    size: object["Size"]?.text, lastModified: object["LastModifiedTime"]?.text))
        }
        guard (1...1000).contains(entries.count) else { throw RequestDocument.malformed }
        isQuiet = root["Quiet"]?.text == "true"
    }
}

/// `CompleteMultipartUpload`.
package struct CompleteDocument: Sendable, Equatable {
    package struct Part: Sendable, Equatable {
        package var number: Int
        package var etag: String
        /// Algorithm in lower case to base64.
        package var checksums: [String: String]
    }
    package var parts: [Part]

    /// Throws MalformedXML without parts, InvalidPartOrder unless the numbers rise.
    package init(xml: [UInt8]) throws(S3Error) {
        let root = try RequestDocument.root(xml, "CompleteMultipartUpload")
        parts = []
        for part in root.all("Part") {
            guard let number = part["PartNumber"].flatMap({ Int($0.text) }), let etag = part["ETag"]?.text,
                (1...10_000).contains(number)
            else { throw RequestDocument.malformed }
            var checksums: [String: String] = [:]
            for algorithm in ChecksumAlgorithm.allCases {
                if let value = part[algorithm.elementName]?.text { checksums[algorithm.rawValue] = value }
            }
            parts.append(Part(number: number, etag: ETag.unquoted(etag), checksums: checksums))
        }
        guard (1...10_000).contains(parts.count) else { throw RequestDocument.malformed }
        for (one, next) in zip(parts, parts.dropFirst()) where one.number >= next.number {
            throw S3Error(.invalidPartOrder, "The parts are not in rising order of their numbers.")
        }
    }
}

package enum RequestDocument {
    package static let malformed = S3Error(
        .malformedXML, "The XML is not well-formed, or is not what this operation takes.")

    package static func root(_ xml: [UInt8], _ name: String) throws(S3Error) -> XMLElement {
        let root: XMLElement
        do throws(XMLError) { root = try XMLReader.parse(xml) } catch { throw malformed }
        guard root.name == name else { throw malformed }
        return root
    }
}
