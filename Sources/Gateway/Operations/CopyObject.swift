import Catalog
import HTTP
import S3

/// Where a copy comes from: x-amz-copy-source, decoded once.
struct CopySource: Sendable, Equatable {
    var bucket: String
    var key: String

    /// `[/]BUCKET/KEY[?versionId=null]`, percent-encoded.
    init(_ header: String) throws(OperationFailure) {
        let invalid = OperationFailure.refused(
            .invalidArgument, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            ["ArgumentName": "x-amz-copy-source"])
        // By scalars: a slash with a combining accent behind it is one Character.
        let halves = header.unicodeScalars.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
            .map { String($0) }
        if halves.count == 2, halves[1] != "versionId=null" {
            throw .refused(.invalidArgument, "Invalid version id specified", ["ArgumentName": "x-amz-copy-source"])
        }
        guard let path = PercentCoding.decode(halves[0])?.unicodeScalars else { throw invalid }
        let parts = (path.first == "/" ? path.dropFirst() : path[...])
            .split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map { String($0) }
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { throw invalid }
        bucket = parts[0]
        let rest = parts[1]
        key = try refusing { () throws(S3Error) in try Router.checked(rest) }
    }
}

extension GatewayOperations {
    /// The copy has its own bytes, names and checks. Where the backends that a write would go to have the source and can copy
    /// within, they do, and no byte moves; else it is read through Transfer and written as any PUT.
    func copyObject(_ target: ObjectTarget, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response
    {
        let fields = request.fields
        try WriteHeaders.refuseUnsupported(fields)
        let (source, placed) = try await source(request)
        let replaces = try GatewayOperations.replacesMetadata(fields)
        if source.object == target.object, source.key.utf8.elementsEqual(target.key.utf8), !replaces {
            throw .refused(
                .invalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
                    + "metadata, storage class, website redirect location or encryption attributes.")
        }
        guard placed.version.size <= GatewayLimits.objectBytesMax else {
            throw .refused(
                .invalidRequest,
                "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
        }
        let order = WriteOrder(
            bucket: target.bucket, key: target.key,
            headers: try GatewayOperations.copyHeaders(
                fields, of: placed.version, to: target.bucket, replaces: replaces),
            precondition: WriteHeaders.precondition(fields))
        let algorithms = try GatewayOperations.copyChecksums(fields, placed.version)
        return try await patient(request, resource: "/\(target.bucket.name)/\(target.key)") {
            () async throws(OperationFailure) in
            if let digests = GatewayOperations.keptDigests(placed.version, algorithms) {
                let copied = try await transferCall { () async throws(TransferFailure) in
                    try await services.transfer.copy(order, from: placed, digests: digests, in: request.snapshot)
                }
                if let copied { return GatewayOperations.copyDocument("CopyObjectResult", copied) }
            }
            let body = try await self.body(of: placed, range: nil, algorithms, request)
            let written = try await transferCall { () async throws(TransferFailure) in
                try await services.transfer.write(order, body: body, in: request.snapshot)
            }
            return GatewayOperations.copyDocument("CopyObjectResult", written)
        }
    }

    func uploadPartCopy(
        _ target: ObjectTarget, _ request: AuthenticatedRequest, _ upload: String, _ number: Int
    ) async throws(OperationFailure) -> Response {
        let open = try await openUpload(target, upload)
        let (_, placed) = try await source(request)
        let range = try GatewayOperations.copyRange(request.fields, placed.version.size)
        guard range?.length ?? placed.version.size <= GatewayLimits.objectBytesMax else {
            throw .refused(.entityTooLarge, "A part must not be larger than 5 GiB.")
        }
        return try await patient(request, resource: "/\(target.bucket.name)/\(target.key)") {
            () async throws(OperationFailure) in
            let body = try await self.body(of: placed, range: range, UploadChecksum.algorithms(open), request)
            let part = try await transferCall { () async throws(TransferFailure) in
                try await services.transfer.writePart(open, number: number, body: body, in: request.snapshot)
            }
            let digests = ContentDigests(etag: part.etag, checksums: part.checksums)
            let modified = part.modifiedAt == 0 ? environment.now().seconds * 1_000_000 : part.modifiedAt
            return GatewayOperations.copyDocument(
                "CopyPartResult", Written(digests: digests, size: part.size, committedAt: modified))
        }
    }

    /// Of a copy that nobody reads: what is known of the source already; nil if another checksum is asked for.
    private static func keptDigests(_ source: Version, _ algorithms: [ChecksumAlgorithm]) -> ContentDigests? {
        var kept: [String: String] = [:]
        for algorithm in algorithms {
            guard let value = source.digests.checksums[algorithm.rawValue] else { return nil }
            kept[algorithm.rawValue] = value
        }
        let type = kept.isEmpty ? nil : source.digests.checksumType
        guard type == nil || type == "FULL_OBJECT" else { return nil }
        return ContentDigests(etag: source.digests.etag, checksums: kept, checksumType: type)
    }

    /// The source, if the credential may read it and the request's conditions on it hold.
    private func source(_ request: AuthenticatedRequest) async throws(OperationFailure) -> (ObjectTarget, PlacedVersion)
    {
        let source = try CopySource(request.fields["x-amz-copy-source"] ?? "")
        let target = try request.target(source.bucket, source.key, .read)
        let placed = try await current(target, request)
        var conditions = Fields()
        let prefix = "x-amz-copy-source-if-"
        for field in request.fields.all where field.name.lowercased().hasPrefix(prefix) {
            conditions.append("if-" + field.name.lowercased().dropFirst(prefix.count), field.value)
        }
        let modified = WallTime(seconds: WallTime(microseconds: placed.version.committedAt).seconds)
        guard ReadConditions(conditions).verdict(etag: placed.version.digests.etag, modified: modified) == .passes
        else {
            throw .s3(OperationFailure.preconditionFailed)
        }
        return (target, placed)
    }

    private func body(
        of placed: PlacedVersion, range: ByteRange?, _ algorithms: [ChecksumAlgorithm], _ request: AuthenticatedRequest
    ) async throws(OperationFailure) -> IncomingBody {
        let length = range?.length ?? placed.version.size
        var reader: any BodyReader = BytesReader(.empty)
        if length > 0 {
            reader = try await transferCall { () async throws(TransferFailure) in
                try await services.transfer.read(placed, range: range, in: request.snapshot)
            }
        }
        return IncomingBody(
            reader: VerifyingReader(reader, BodyExpectation(length: length, additional: algorithms)), length: length)
    }

    private static func replacesMetadata(_ fields: Fields) throws(OperationFailure) -> Bool {
        switch fields["x-amz-metadata-directive"] {
        case nil, "COPY": return false
        case "REPLACE": return true
        case .some(let other):
            throw .refused(
                .invalidArgument, "Unknown metadata directive.",
                ["ArgumentName": "x-amz-metadata-directive", "ArgumentValue": other])
        }
    }

    /// The metadata directive says whose headers count, the tagging directive whose tags; the ACL is never copied.
    private static func copyHeaders(
        _ fields: Fields, of source: Version, to bucket: ServedBucket, replaces: Bool
    ) throws(OperationFailure) -> ObjectHeaders {
        var headers = replaces ? try WriteHeaders.content(fields) : source.headers
        switch fields["x-amz-tagging-directive"] {
        case nil, "COPY": headers.tagging = source.headers.tagging
        case "REPLACE": headers.tagging = try WriteHeaders.tagging(fields)
        case .some(let other):
            throw .refused(
                .invalidArgument, "Unknown tagging directive.",
                ["ArgumentName": "x-amz-tagging-directive", "ArgumentValue": other])
        }
        headers.acl = try ACLHeaders.forObject(fields, in: bucket)
        return headers
    }

    private static func copyChecksums(_ fields: Fields, _ version: Version) throws(OperationFailure)
        -> [ChecksumAlgorithm]
    {
        if fields["x-amz-checksum-algorithm"] != nil { return try UploadChecksum.declared(fields).0.map { [$0] } ?? [] }
        return version.digests.checksums.keys.compactMap(ChecksumAlgorithm.init(rawValue:)).sorted {
            $0.rawValue < $1.rawValue
        }
    }

    /// x-amz-copy-source-range: `bytes=FIRST-LAST`, both within the source, unlike a Range header.
    private static func copyRange(_ fields: Fields, _ size: Int64) throws(OperationFailure) -> ByteRange? {
        guard let header = fields["x-amz-copy-source-range"] else { return nil }
        let invalid = OperationFailure.refused(
            .invalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last within the source object",
            ["ArgumentName": "x-amz-copy-source-range", "ArgumentValue": header])
        let bounds =
            header.hasPrefix("bytes=")
            ? header.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false) : []
        guard bounds.count == 2, let first = Int64(bounds[0]), let last = Int64(bounds[1]), 0 <= first, first <= last
        else { throw invalid }
        guard last < size else {
            throw .refused(
                .invalidRange, "Range specified is not valid for source object of size: \(size)",
                ["RangeRequested": header, "ActualObjectSize": "\(size)"])
        }
        return ByteRange(first, last + 1)
    }

    private static func copyDocument(_ name: String, _ written: Written) -> String {
        var writer = XMLWriter()
        writer.element(name, namespaced: true) { writer in
            writer.text("LastModified", WallTime(seconds: WallTime(microseconds: written.committedAt).seconds).rfc3339)
            writer.text("ETag", ETag.quoted(written.digests.etag))
            for (algorithm, value) in written.digests.checksums.sorted(by: { $0.key < $1.key }) {
                if let known = ChecksumAlgorithm(rawValue: algorithm) { writer.text(known.elementName, value) }
            }
        }
        return writer.document
    }
}
