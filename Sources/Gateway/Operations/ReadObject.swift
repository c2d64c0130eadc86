import Catalog
import HTTP
import S3

extension GatewayOperations {
    /// GET and HEAD. A read whose copies are gone looks the placement up again before it fails: an overwrite may have moved on.
    func readObject(
        _ target: ObjectTarget, _ request: AuthenticatedRequest, part: Int?, isHead: Bool
    ) async throws(OperationFailure) -> Response {
        let overrides = try ReadOverrides.fields(request)
        var last: OperationFailure = .transfer(.noSuchKey)
        for _ in 0..<GatewayLimits.readAttemptsMax {
            let placed = try await current(target, request)
            var answer = try ReadAnswer(placed.version, request.fields, part: part)
            let wantsChecksums = request.fields["x-amz-checksum-mode"]?.uppercased() == "ENABLED"
            if wantsChecksums, let part, answer.partsCount != nil {
                let values = try await catalogCall { () async throws(CatalogError) in
                    try await services.index.partChecksums(placed.version.id)
                }
                answer.partChecksum = values.count >= part ? values[part - 1] : nil
            }
            let head = answer.head(overrides, wantsChecksums: wantsChecksums)
            guard answer.status != .notModified else { return Response(head) }
            if isHead { return Response(head, body: .none(declaredLength: answer.length)) }
            guard answer.length > 0 else { return Response(head) }
            do throws(TransferFailure) {
                let body = try await services.transfer.read(placed, range: answer.range, in: request.snapshot)
                return Response(head, body: .stream(length: answer.length, body))
            } catch {
                last = .transfer(error)
                guard case .unreadable = error else { throw last }
            }
        }
        throw last
    }

    /// The one way to an object that a client reads: what its bucket does not grant, its own ACL must.
    func current(_ target: ObjectTarget, _ request: AuthenticatedRequest) async throws(OperationFailure)
        -> PlacedVersion
    {
        let found = try await catalogCall { () async throws(CatalogError) in
            try await services.index.current(target.object)
        }
        if !target.isGranted {
            let acl = found?.version.headers.acl.flatMap { CannedACL(rawValue: $0) } ?? .isPrivate
            // Who may not list must not learn which keys there are.
            let mayLearn = found == nil && request.allows(target.bucket, .list, covering: target.key)
            guard target.bucket.effective(acl).allowsRead(request.principal) || mayLearn else {
                throw AuthenticatedRequest.denied
            }
        }
        guard let found else {
            throw .refused(.noSuchKey, "The specified key does not exist.", ["Key": target.key])
        }
        return found
    }
}

/// The response-* parameters of a presigned download link.
enum ReadOverrides {
    static func fields(_ request: AuthenticatedRequest) throws(OperationFailure) -> [(String, String)] {
        var fields: [(String, String)] = []
        for (parameter, header) in SubResource.responseOverrides {
            guard let value = request.query[parameter] else { continue }
            // Anybody's link could otherwise make a browser take a public object for a page of this origin.
            guard request.principal.credential != nil else {
                throw .refused(
                    .invalidRequest, "Request specific response headers cannot be used for anonymous GET requests.",
                    ["ArgumentName": parameter])
            }
            guard HeaderText.isValue(value) else {
                throw .refused(
                    .invalidArgument, "A header must not contain control characters.", ["ArgumentName": parameter])
            }
            fields.append((header, value))
        }
        return fields
    }
}

/// What a read answers, decided from the version and the headers alone.
struct ReadAnswer {
    let version: Version
    let status: Status
    /// nil: all bytes.
    let range: ByteRange?
    /// With ?partNumber: how many there are.
    let partsCount: Int?
    /// Of the part that was asked for, by the algorithm of the whole object.
    var partChecksum: String?

    var length: Int64 { range?.length ?? version.size }

    init(_ version: Version, _ fields: Fields, part: Int?) throws(OperationFailure) {
        self.version = version
        let modified = WallTime(seconds: WallTime(microseconds: version.committedAt).seconds)
        switch ReadConditions(fields).verdict(etag: version.digests.etag, modified: modified) {
        case .passes: break
        case .failed: throw .s3(OperationFailure.preconditionFailed)
        case .notModified:
            (status, range, partsCount) = (.notModified, nil, nil)
            return
        }
        let header = ReadAnswer.holdsIfRange(fields, version, modified) ? fields["range"] : nil
        if let part {
            guard header == nil else {
                throw .refused(.invalidRequest, "Cannot specify both Range header and partNumber query parameter")
            }
            range = try ReadAnswer.range(ofPart: part, version)
            partsCount = version.partSizes.isEmpty ? nil : version.partSizes.count
            status = range == nil ? .ok : .partialContent
            return
        }
        partsCount = nil
        switch RangeRequest(header: header, size: version.size) {
        case .whole: (status, range) = (.ok, nil)
        case .part(let part): (status, range) = (.partialContent, part)
        case .unsatisfiable:
            throw .refused(
                .invalidRange, "The requested range is not satisfiable",
                ["ActualObjectSize": "\(version.size)", "RangeRequested": header ?? ""])
        }
    }

    /// RFC 9110 §13.1.5: a range of another version than the one known is answered with the whole.
    private static func holdsIfRange(_ fields: Fields, _ version: Version, _ modified: WallTime) -> Bool {
        guard let condition = fields["if-range"] else { return true }
        if let date = WallTime(httpDate: condition) { return date == modified }
        return !condition.hasPrefix("W/") && ETag.unquoted(condition) == version.digests.etag
    }

    private static func range(ofPart part: Int, _ version: Version) throws(OperationFailure) -> ByteRange? {
        let sizes = version.partSizes.isEmpty ? [version.size] : version.partSizes
        guard part <= sizes.count else {
            throw .refused(
                .invalidPart, "The requested partnumber is not satisfiable",
                ["PartNumberRequested": "\(part)", "ActualPartCount": "\(sizes.count)"])
        }
        let start = sizes.prefix(part - 1).reduce(0, +)
        return sizes[part - 1] == 0 ? nil : ByteRange(start, start + sizes[part - 1])
    }

    func head(_ overrides: [(String, String)], wantsChecksums: Bool) -> ResponseHead {
        var fields = Fields([
            ("ETag", ETag.quoted(version.digests.etag)),
            ("Last-Modified", WallTime(microseconds: version.committedAt).httpDate),
        ])
        for (name, value) in version.headers.standard.sorted(by: { $0.key < $1.key }) {
            fields.append(ReadAnswer.spelled(name), value)
        }
        guard status != .notModified else { return ResponseHead(status, fields: fields) }
        fields.append("Accept-Ranges", "bytes")
        fields.append("Content-Type", version.headers.contentType ?? "binary/octet-stream")
        for (name, value) in version.headers.user.sorted(by: { $0.key < $1.key }) {
            fields.append("x-amz-meta-\(name)", value)
        }
        if let tags = version.headers.tagging.flatMap({ TagSet(stored: $0) }) {
            fields.append("x-amz-tagging-count", "\(tags.count)")
        }
        if let range {
            fields.append("Content-Range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(version.size)")
        }
        if let partChecksum, let algorithm = version.digests.checksums.keys.first {
            fields.append("x-amz-checksum-\(algorithm)", partChecksum)
            if let type = version.digests.checksumType { fields.append("x-amz-checksum-type", type) }
        } else if wantsChecksums, range == nil {
            // A checksum of the whole beside a part of the bytes would make clients refuse them.
            fields.appendChecksums(version.digests)
        }
        if let partsCount { fields.append("x-amz-mp-parts-count", "\(partsCount)") }
        for (name, value) in overrides { fields.set(name, value) }
        return ResponseHead(status, fields: fields)
    }

    private static func spelled(_ name: String) -> String {
        name.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined(separator: "-")
    }
}
