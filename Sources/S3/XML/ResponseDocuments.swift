import HTTP

/// The answers of an S3 service that a client reads.
package enum ResponseDocuments {
    package struct ErrorDocument: Sendable, Equatable {
        package var code: String
        package var message: String
        package init(code: String, message: String) {
            self.code = code
            self.message = message
        }
    }

    /// Nil if the body is no S3 error.
    package static func error(_ body: [UInt8]) -> ErrorDocument? {
        guard let root = parsed(body), root.name == "Error", let code = root["Code"]?.text else { return nil }
        return ErrorDocument(code: code, message: root["Message"]?.text ?? "")
    }

    package static func uploadID(_ body: [UInt8]) -> String? { parsed(body)?["UploadId"]?.text }

    /// Nil for an error, which may come with status 200 (AWS, CompleteMultipartUpload). Not all servers give the document its
    /// right name.
    package static func completedETag(_ body: [UInt8]) -> String? {
        guard let root = parsed(body), root.name != "Error" else { return nil }
        return root["ETag"].map { ETag.unquoted($0.text) }
    }

    /// A page of ListObjectsV2.
    package struct Page: Sendable, Equatable {
        package var listing: StoreListing
        /// Opaque; only servers that keep their place in it need it.
        package var nextToken: String?
    }

    package static func listing(_ body: [UInt8]) -> StoreListing? { page(body)?.listing }

    package static func page(_ body: [UInt8]) -> Page? {
        guard let root = parsed(body), root.name == "ListBucketResult" else { return nil }
        var entries: [StoreListing.Entry] = []
        for element in root.all("Contents") {
            guard let key = key(element, in: root), let size = element["Size"].flatMap({ Int64($0.text) }), size >= 0
            else {
                return nil
            }
            entries.append(
                StoreListing.Entry(
                    key: key, size: size, etag: ETag.unquoted(element["ETag"]?.text ?? ""),
                    modified: element["LastModified"].flatMap { WallTime(rfc3339: $0.text) }))
        }
        let listing = StoreListing(entries: entries, isTruncated: root["IsTruncated"]?.text == "true")
        return Page(listing: listing, nextToken: root["NextContinuationToken"]?.text)
    }

    package static func uploads(_ body: [UInt8]) -> [OpenUpload]? {
        guard let root = parsed(body), root.name == "ListMultipartUploadsResult" else { return nil }
        var uploads: [OpenUpload] = []
        for element in root.all("Upload") {
            guard let key = key(element, in: root), let id = element["UploadId"]?.text else { return nil }
            uploads.append(OpenUpload(key: key, uploadID: id))
        }
        return uploads
    }

    package struct Version: Sendable, Equatable {
        package var key: String
        package var versionID: String
    }

    /// Versions and delete markers of ListObjectVersions.
    package static func versions(_ body: [UInt8]) -> [Version]? {
        guard let root = parsed(body), root.name == "ListVersionsResult" else { return nil }
        var versions: [Version] = []
        for element in root.children where element.name == "Version" || element.name == "DeleteMarker" {
            guard let key = key(element, in: root), let id = element["VersionId"]?.text else { return nil }
            versions.append(Version(key: key, versionID: id))
        }
        return versions
    }

    /// Servers that do not know encoding-type leave the element out and send keys as they are. AWS writes a space as `+`, others
    /// as `%20`; all write a plus as `%2B`.
    private static func key(_ element: XMLElement, in root: XMLElement) -> String? {
        guard let text = element["Key"]?.text else { return nil }
        return root["EncodingType"]?.text == "url" ? PercentCoding.decode(text, plusIsSpace: true) : text
    }

    /// A page of 1,000 keys of 1,024 bytes, percent-encoded.
    private static let bytesMax = 8 * 1024 * 1024

    private static func parsed(_ body: [UInt8]) -> XMLElement? {
        do throws(XMLError) { return try XMLReader.parse(body, bytesMax: bytesMax) } catch { return nil }
    }
}
