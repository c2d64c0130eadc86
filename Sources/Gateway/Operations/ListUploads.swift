import Catalog
import HTTP
import S3

extension GatewayOperations {
    func listParts(
        _ target: ObjectTarget, _ request: AuthenticatedRequest, _ text: String
    ) async throws(OperationFailure) -> Response {
        guard let upload = try await findUpload(target, text), upload.state == .open || upload.state == .completing
        else {
            throw .transfer(.noSuchUpload)
        }
        let limit = try ListingRequest.count(request.query, "max-parts", default: GatewayLimits.listingKeysMax)
        let after = try ListingRequest.number(request.query, "part-number-marker")
        let encodes = try ListingRequest.encoding(request.query)
        // One more than is shown tells whether the list is cut.
        let parts = try await catalogCall { () async throws(CatalogError) in
            try await services.uploads.parts(upload.id, after: after, limit: limit + 1)
        }
        let shown = parts.prefix(limit)
        var writer = XMLWriter()
        writer.element("ListPartsResult", namespaced: true) { writer in
            writer.text("Bucket", target.bucket.name)
            writer.text("Key", encodes ? PercentCoding.encode(target.key, keepingSlash: true) : target.key)
            writer.text("UploadId", upload.id.description)
            Owner.write(&writer, as: "Initiator")
            Owner.write(&writer)
            writer.text("StorageClass", "STANDARD")
            writer.text("PartNumberMarker", Int64(after))
            if let last = shown.last, parts.count > limit { writer.text("NextPartNumberMarker", Int64(last.number)) }
            writer.text("MaxParts", Int64(limit))
            writer.text("IsTruncated", parts.count > limit && limit > 0)
            if let algorithm = upload.checksumAlgorithm { writer.text("ChecksumAlgorithm", algorithm.uppercased()) }
            if let type = upload.checksumType { writer.text("ChecksumType", type) }
            for part in shown { GatewayOperations.write(part, &writer) }
        }
        return .document(writer.document)
    }

    private static func write(_ part: UploadPart, _ writer: inout XMLWriter) {
        writer.element("Part") { writer in
            writer.text("PartNumber", Int64(part.number))
            writer.text("LastModified", WallTime(seconds: WallTime(microseconds: part.modifiedAt).seconds).rfc3339)
            writer.text("ETag", ETag.quoted(part.etag))
            writer.text("Size", part.size)
            for algorithm in ChecksumAlgorithm.allCases {
                if let value = part.checksums[algorithm.rawValue] { writer.text(algorithm.elementName, value) }
            }
        }
    }

    /// Open uploads by key and id. Grouping by a delimiter is not there yet, and refused.
    func listUploads(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        let query = request.query
        let prefix = query["prefix"] ?? ""
        let bucket = try request.bucket(name, .inspect, covering: prefix)
        guard query["delimiter"] ?? "" == "" else {
            throw .s3(Router.notImplemented("the parameter 'delimiter' with ListMultipartUploads"))
        }
        let limit = try ListingRequest.count(query, "max-uploads", default: GatewayLimits.listingKeysMax)
        let encodes = try ListingRequest.encoding(query)
        let keyMarker = query["key-marker"].flatMap { $0.isEmpty ? nil : $0 }
        // Without a key marker, the upload id marker is ignored (AWS, ListMultipartUploads).
        let idMarker =
            keyMarker == nil ? nil : query["upload-id-marker"].flatMap { ID128(base32: $0) }.map(UploadID.init)
        let question = UploadQuery(
            bucket: bucket.id, prefix: prefix, afterKey: keyMarker, afterID: idMarker, limit: limit + 1)
        let uploads = try await catalogCall { () async throws(CatalogError) in try await services.uploads.list(question)
        }
        let shown = uploads.prefix(limit)
        func coded(_ text: String) -> String { encodes ? PercentCoding.encode(text, keepingSlash: true) : text }
        var writer = XMLWriter()
        writer.element("ListMultipartUploadsResult", namespaced: true) { writer in
            writer.text("Bucket", name)
            writer.text("KeyMarker", coded(keyMarker ?? ""))
            writer.text("UploadIdMarker", idMarker?.description ?? "")
            if let last = shown.last, uploads.count > limit {
                writer.text("NextKeyMarker", coded(last.object.key))
                writer.text("NextUploadIdMarker", last.id.description)
            }
            writer.text("Prefix", coded(prefix))
            if encodes { writer.text("EncodingType", "url") }
            writer.text("MaxUploads", Int64(limit))
            writer.text("IsTruncated", uploads.count > limit && limit > 0)
            for upload in shown {
                writer.element("Upload") { writer in
                    writer.text("Key", coded(upload.object.key))
                    writer.text("UploadId", upload.id.description)
                    Owner.write(&writer, as: "Initiator")
                    Owner.write(&writer)
                    writer.text("StorageClass", "STANDARD")
                    writer.text("Initiated", WallTime(microseconds: upload.createdAt).rfc3339)
                }
            }
        }
        return .document(writer.document)
    }
}

extension ListingRequest {
    /// A number that is 0 where it is absent.
    static func number(_ query: Query, _ name: String) throws(OperationFailure) -> Int {
        guard let text = query[name], !text.isEmpty else { return 0 }
        guard let value = Int(text), (0...Int(Int32.max)).contains(value) else {
            throw .refused(
                .invalidArgument, "Provided \(name) not an integer or within integer range", ["ArgumentName": name])
        }
        return value
    }
}
