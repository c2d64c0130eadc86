import Catalog
import HTTP
import S3

/// What a writing request's headers say about the object, read strictly.
enum WriteHeaders {
    static let standardNames = [
        "cache-control", "content-disposition", "content-encoding", "content-language", "expires",
    ]
    private static let metadataPrefix = "x-amz-meta-"

    /// All that the headers of a PUT say about the object, its tags and ACL included.
    static func headers(_ fields: Fields, for bucket: ServedBucket) throws(OperationFailure) -> ObjectHeaders {
        var headers = try content(fields)
        headers.tagging = try tagging(fields)
        headers.acl = try ACLHeaders.forObject(fields, in: bucket)
        return headers
    }

    static func tagging(_ fields: Fields) throws(OperationFailure) -> String? {
        guard let text = fields["x-amz-tagging"], !text.isEmpty else { return nil }
        return try refusing { () throws(S3Error) in try TagSet(header: text) }.stored
    }

    /// - Throws: MetadataTooLarge
    static func content(_ fields: Fields) throws(OperationFailure) -> ObjectHeaders {
        var headers = ObjectHeaders(contentType: fields["content-type"].flatMap { $0.isEmpty ? nil : $0 })
        for name in standardNames {
            guard let value = fields[name], !value.isEmpty else { continue }
            headers.standard[name] = value
        }
        if let coding = headers.standard["content-encoding"] {
            headers.standard["content-encoding"] = withoutChunked(coding)
        }
        var bytes = 0
        for field in fields.all {
            let name = field.name.lowercased()
            guard name.hasPrefix(metadataPrefix), name.utf8.count > metadataPrefix.utf8.count else { continue }
            let key = String(name.dropFirst(metadataPrefix.count))
            headers.user[key] = headers.user[key].map { $0 + "," + field.value } ?? field.value
            bytes += key.utf8.count + field.value.utf8.count
        }
        guard bytes <= GatewayLimits.userMetadataBytesMax else {
            throw .refused(
                .metadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size",
                ["Size": "\(bytes)", "MaxSizeAllowed": "\(GatewayLimits.userMetadataBytesMax)"])
        }
        return headers
    }

    /// `aws-chunked` says how the bytes travelled, not what they are; nil if nothing else is left.
    private static func withoutChunked(_ coding: String) -> String? {
        let codings = coding.split(separator: ",").map { $0.trimmingSpaces() }
        let rest = codings.filter { $0.lowercased() != "aws-chunked" }
        // As it was sent if nothing of it is ours.
        guard rest.count < codings.count else { return coding }
        return rest.isEmpty ? nil : rest.joined(separator: ", ")
    }

    /// Of a DELETE: also its size and time.
    static func deletePrecondition(_ fields: Fields) throws(OperationFailure) -> WritePrecondition {
        var condition = precondition(fields)
        if let text = fields["x-amz-if-match-size"] { condition.ifSize = try size(text) }
        if let text = fields["x-amz-if-match-last-modified-time"] { condition.ifModifiedAt = try time(text) }
        return condition
    }

    static func size(_ text: String) throws(OperationFailure) -> Int64 {
        guard let size = Int64(text), size >= 0 else {
            throw .refused(
                .invalidArgument, "The size that a delete depends on is not a number of bytes.", ["ArgumentValue": text]
            )
        }
        return size
    }

    /// Seconds since 1970. SDKs send RFC 9110's date in the header and ISO 8601 in the document.
    static func time(_ text: String) throws(OperationFailure) -> Int64 {
        guard let time = WallTime(httpDate: text) ?? WallTime(rfc3339: text) else {
            throw .refused(
                .invalidArgument, "The time that a delete depends on is not a date.", ["ArgumentValue": text])
        }
        return time.seconds
    }

    /// If-Match and If-None-Match, decided in the commit.
    static func precondition(_ fields: Fields) -> WritePrecondition {
        func match(_ name: String) -> WritePrecondition.Match? {
            let values = fields.values(name)
            guard !values.isEmpty else { return nil }
            let etags = values.flatMap { $0.split(separator: ",") }.map { ETag.unquoted($0) }
            return etags.contains("*") ? .any : .etags(etags)
        }
        return WritePrecondition(ifMatch: match("if-match"), ifNoneMatch: match("if-none-match"))
    }

    /// Headers that ask for something that Sluice would not do are refused: accepting them would be a lie.
    static func refuseUnsupported(_ fields: Fields) throws(OperationFailure) {
        for field in fields.all {
            let name = field.name.lowercased()
            let asks =
                switch name {
                case "x-amz-website-redirect-location", "x-amz-server-side-encryption", "x-amz-write-offset-bytes": true
                default:
                    name.hasPrefix("x-amz-object-lock-")
                        || name.hasPrefix("x-amz-server-side-encryption-")
                        || name.hasPrefix("x-amz-copy-source-server-side-encryption-")
                }
            if name == "x-amz-storage-class", field.value != "STANDARD" {
                throw .refused(.invalidStorageClass, "The storage class you specified is not valid: only STANDARD is.")
            }
            guard !asks else {
                throw .s3(Router.notImplemented("the header '\(name)' with this value"))
            }
        }
    }
}

extension Fields {
    /// The checksums of an object as response headers.
    mutating func appendChecksums(_ digests: ContentDigests) {
        for (algorithm, value) in digests.checksums.sorted(by: { $0.key < $1.key }) {
            append("x-amz-checksum-\(algorithm)", value)
        }
        if let type = digests.checksumType, !digests.checksums.isEmpty { append("x-amz-checksum-type", type) }
    }
}
