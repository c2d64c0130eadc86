import Catalog
import HTTP
import S3

extension GatewayOperations {
    private static let known = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]

    /// GetObjectAttributes: only what was asked for, and without quotes around the ETag, as AWS has it.
    func objectAttributes(_ target: ObjectTarget, _ request: AuthenticatedRequest) async throws(OperationFailure)
        -> Response
    {
        let wanted = Set(
            request.fields.values("x-amz-object-attributes").flatMap { $0.split(separator: ",") }.map {
                $0.trimmingSpaces()
            })
        guard !wanted.isEmpty else {
            throw .refused(
                .invalidRequest,
                "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty"
            )
        }
        guard wanted.allSatisfy({ GatewayOperations.known.contains($0) }) else {
            throw .refused(
                .invalidArgument, "Invalid attribute name specified.", ["ArgumentName": "x-amz-object-attributes"])
        }
        let limit = try GatewayOperations.number(request.fields, "x-amz-max-parts") ?? GatewayLimits.listingKeysMax
        let marker = try GatewayOperations.number(request.fields, "x-amz-part-number-marker") ?? 0
        let version = try await current(target, request).version
        _ = try ReadAnswer(version, request.fields, part: nil)
        var partChecksums: [String] = []
        if wanted.contains("ObjectParts"), !version.partSizes.isEmpty {
            partChecksums = try await catalogCall { () async throws(CatalogError) in
                try await services.index.partChecksums(version.id)
            }
        }
        var writer = XMLWriter()
        writer.element("GetObjectAttributesResponse", namespaced: true) { writer in
            if wanted.contains("ETag") { writer.text("ETag", version.digests.etag) }
            if wanted.contains("Checksum"), !version.digests.checksums.isEmpty {
                writer.element("Checksum") { writer in
                    for (algorithm, value) in version.digests.checksums.sorted(by: { $0.key < $1.key }) {
                        if let known = ChecksumAlgorithm(rawValue: algorithm) { writer.text(known.elementName, value) }
                    }
                    if let type = version.digests.checksumType { writer.text("ChecksumType", type) }
                }
            }
            if wanted.contains("ObjectParts"), !version.partSizes.isEmpty {
                let page = PartsPage(
                    version, partChecksums, after: marker, limit: min(limit, GatewayLimits.listingKeysMax))
                writer.element("ObjectParts") { page.write(&$0) }
            }
            if wanted.contains("StorageClass") { writer.text("StorageClass", "STANDARD") }
            if wanted.contains("ObjectSize") { writer.text("ObjectSize", version.size) }
        }
        let modified = WallTime(microseconds: version.committedAt).httpDate
        return .document(writer.document, Fields([("Last-Modified", modified)]))
    }

    private static func number(_ fields: Fields, _ name: String) throws(OperationFailure) -> Int? {
        guard let text = fields[name] else { return nil }
        guard let value = Int(text), (0...Int(Int32.max)).contains(value) else {
            throw .refused(.invalidArgument, "\(name) is not a number.", ["ArgumentName": name, "ArgumentValue": text])
        }
        return value
    }
}

/// A page of a multipart object's parts. Parts are numbered from 1 in the order of Complete.
private struct PartsPage {
    let version: Version
    let checksums: [String]
    let marker: Int
    let limit: Int

    init(_ version: Version, _ checksums: [String], after marker: Int, limit: Int) {
        self.version = version
        self.checksums = checksums
        self.marker = marker
        self.limit = limit
    }

    func write(_ writer: inout XMLWriter) {
        let count = version.partSizes.count
        let first = min(marker, count)
        let end = min(first + limit, count)
        writer.text("PartNumberMarker", Int64(marker))
        writer.text("NextPartNumberMarker", Int64(end))
        writer.text("MaxParts", Int64(limit))
        writer.text("IsTruncated", end < count)
        // AWS's own spelling differs from its SDKs' models; both clients read this one.
        writer.text("PartsCount", Int64(count))
        let algorithm = version.digests.checksums.keys.first.flatMap { ChecksumAlgorithm(rawValue: $0) }
        for index in first..<max(first, end) {
            writer.element("Part") { writer in
                writer.text("PartNumber", Int64(index + 1))
                writer.text("Size", version.partSizes[index])
                if let algorithm, index < checksums.count { writer.text(algorithm.elementName, checksums[index]) }
            }
        }
    }
}
