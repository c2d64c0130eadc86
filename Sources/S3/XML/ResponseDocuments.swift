import HTTP

/// The answers of an S3 service that a client reads.
package enum ResponseDocuments {
    package struct ErrorDocument: Sendable, Equatable {
        package var code: String
        package var message: String
    }

    /// Nil if the body is no S3 error.
    package static func error(_ body: [UInt8]) -> ErrorDocument? {
        guard let root = parsed(body), root.name == "Error", let code = root["Code"]?.text else { return nil }
        return ErrorDocument(code: code, message: root["Message"]?.text ?? "")
    }

    package static func uploadID(_ body: [UInt8]) -> String? { parsed(body)?["UploadId"]?.text }

    /// Nil for an error, which may come with status 200 (AWS, CompleteMultipartUpload).
    package static func completedETag(_ body: [UInt8]) -> String? {
        guard let root = parsed(body), root.name == "CompleteMultipartUploadResult" else { return nil }
        return root["ETag"].map { ETag.unquoted($0.text) }
    }

    package static func listing(_ body: [UInt8]) -> StoreListing? {
        guard let root = parsed(body), root.name == "ListBucketResult" else { return nil }
        // Servers that do not know encoding-type leave the element out and send keys as they are.
        let isEncoded = root["EncodingType"]?.text == "url"
        var entries: [StoreListing.Entry] = []
        for element in root.all("Contents") {
            guard let text = element["Key"]?.text, let key = isEncoded ? PercentCoding.decode(text, plusIsSpace: true) : text,
                let size = element["Size"].flatMap({ Int64($0.text) })
            else { return nil }
            entries.append(
                StoreListing.Entry(
                    key: key, size: size, etag: ETag.unquoted(element["ETag"]?.text ?? ""),
                    modified: element["LastModified"].flatMap { WallTime(rfc3339: $0.text) }))
        }
        return StoreListing(entries: entries, isTruncated: root["IsTruncated"]?.text == "true")
    }

    package static func uploads(_ body: [UInt8]) -> [OpenUpload]? {
        guard let root = parsed(body), root.name == "ListMultipartUploadsResult" else { return nil }
        let isEncoded = root["EncodingType"]?.text == "url"
        var uploads: [OpenUpload] = []
        for element in root.all("Upload") {
            guard let text = element["Key"]?.text, let key = isEncoded ? PercentCoding.decode(text, plusIsSpace: true) : text,
                let id = element["UploadId"]?.text
            else { return nil }
            uploads.append(OpenUpload(key: key, uploadID: id))
        }
        return uploads
    }

    private static func parsed(_ body: [UInt8]) -> XMLElement? {
        do throws(XMLError) { return try XMLReader.parse(body) } catch { return nil }
    }
}
