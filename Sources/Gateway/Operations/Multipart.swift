import Catalog
import HTTP
import S3

extension GatewayOperations {
    func createUpload(_ target: ObjectTarget, _ request: AuthenticatedRequest) async throws(OperationFailure)
        -> Response
    {
        let fields = request.fields
        try WriteHeaders.refuseUnsupported(fields)
        let (algorithm, type) = try UploadChecksum.declared(fields)
        let write = WriteOrder(
            bucket: target.bucket, key: target.key, headers: try WriteHeaders.headers(fields, for: target.bucket),
            precondition: .none)
        try await refuseLost(target.bucket)
        let order = UploadOrder(write: write, checksumAlgorithm: algorithm, checksumType: type)
        let id = try await transferCall { () async throws(TransferFailure) in
            try await services.transfer.createUpload(order, in: request.snapshot)
        }
        var answer = Fields()
        if let algorithm { answer.append("x-amz-checksum-algorithm", algorithm.rawValue.uppercased()) }
        if let type { answer.append("x-amz-checksum-type", type) }
        var writer = XMLWriter()
        writer.element("InitiateMultipartUploadResult", namespaced: true) { writer in
            writer.text("Bucket", target.bucket.name)
            writer.text("Key", target.key)
            writer.text("UploadId", id.description)
        }
        return .document(writer.document, answer)
    }

    /// A bucket that a client made may have been removed through another instance. Complete finds out in its transaction; this
    /// spares the client the parts before it.
    private func refuseLost(_ bucket: ServedBucket) async throws(OperationFailure) {
        guard bucket.owner != nil else { return }
        let record = try await catalogCall { () async throws(CatalogError) in
            try await services.buckets.bucket(bucket.name)
        }
        guard record?.id == bucket.id else {
            throw .refused(.noSuchBucket, "The specified bucket does not exist.", ["BucketName": bucket.name])
        }
    }

    func uploadPart(
        _ target: ObjectTarget, _ request: AuthenticatedRequest, _ upload: String, _ number: Int
    ) async throws(OperationFailure) -> Response {
        let open = try await openUpload(target, upload)
        let body = try IncomingBody(
            try await request.measured(), bytesMax: GatewayLimits.objectBytesMax,
            additional: UploadChecksum.algorithms(open))
        let part = try await transferCall { () async throws(TransferFailure) in
            try await services.transfer.writePart(open, number: number, body: body, in: request.snapshot)
        }
        var answer = Fields([("ETag", ETag.quoted(part.etag))])
        for (algorithm, value) in part.checksums.sorted(by: { $0.key < $1.key }) {
            answer.append("x-amz-checksum-\(algorithm)", value)
        }
        return .empty(.ok, answer)
    }

    /// The upload, if it takes parts.
    func openUpload(_ target: ObjectTarget, _ text: String) async throws(OperationFailure) -> Upload {
        guard let upload = try await findUpload(target, text), upload.state == .open else {
            throw .transfer(.noSuchUpload)
        }
        return upload
    }

    func findUpload(_ target: ObjectTarget, _ text: String) async throws(OperationFailure) -> Upload? {
        guard let id = ID128(base32: text).map(UploadID.init) else { throw .transfer(.noSuchUpload) }
        return try await catalogCall { () async throws(CatalogError) in
            try await services.uploads.find(id, object: target.object)
        }
    }

    func abortUpload(
        _ target: ObjectTarget, _ request: AuthenticatedRequest, _ text: String
    ) async throws(OperationFailure) -> Response {
        guard let id = ID128(base32: text).map(UploadID.init) else { throw .transfer(.noSuchUpload) }
        // Also while a Complete is under way, which then ends at the fence: one that can never succeed would hold its bytes for days.
        let aborted = try await catalogCall { () async throws(CatalogError) in
            try await services.uploads.abort(id, object: target.object)
        }
        guard aborted else { throw .transfer(.noSuchUpload) }
        return .empty(.noContent)
    }

    func completeUpload(
        _ target: ObjectTarget, _ request: AuthenticatedRequest, _ text: String
    ) async throws(OperationFailure) -> Response {
        guard let upload = try await findUpload(target, text), upload.state != .aborted, upload.state != .creating
        else {
            throw .transfer(.noSuchUpload)
        }
        let xml = try await IncomingBody.document(request, checksumsAreOfBody: false)
        let document = try refusing { () throws(S3Error) in try CompleteDocument(xml: xml) }
        // A repeated Complete finds its parts gone; its result was kept.
        if upload.state == .open {
            try await check(document, of: upload, request.fields)
            try await refuseEarly(target, WriteHeaders.precondition(request.fields))
        }
        let order = CompleteOrder(
            bucket: target.bucket, key: target.key, upload: upload.id,
            chosen: document.parts.map { ChosenPart(number: $0.number, etag: $0.etag) },
            precondition: WriteHeaders.precondition(request.fields), digests: MultipartDigests.digests)
        let location = "/\(target.bucket.name)/\(PercentCoding.encode(target.key, keepingSlash: true))"
        return try await patient(request, resource: location) { () async throws(OperationFailure) in
            let written = try await transferCall { () async throws(TransferFailure) in
                try await services.transfer.completeUpload(order, in: request.snapshot)
            }
            return GatewayOperations.completeDocument(target, location, written)
        }
    }

    /// What can be refused before anything is sealed: unknown parts, wrong ETags and checksums, parts that are too small.
    private func check(
        _ document: CompleteDocument, of upload: Upload, _ fields: Fields
    ) async throws(OperationFailure) {
        let parts = try await allParts(upload.id)
        var size: Int64 = 0
        for (index, chosen) in document.parts.enumerated() {
            guard let part = parts[chosen.number], part.etag == chosen.etag else {
                throw .transfer(.invalidPart(number: chosen.number))
            }
            for (algorithm, value) in chosen.checksums where part.checksums[algorithm].map({ $0 != value }) ?? false {
                throw .transfer(.invalidPart(number: chosen.number))
            }
            if index < document.parts.count - 1, part.size < GatewayLimits.partBytesMin {
                throw .refused(
                    .entityTooSmall, "Your proposed upload is smaller than the minimum allowed object size.",
                    [
                        "ProposedSize": "\(part.size)", "MinSizeAllowed": "\(GatewayLimits.partBytesMin)",
                        "PartNumber": "\(part.number)", "ETag": part.etag,
                    ])
            }
            size += part.size
        }
        if let declared = fields["x-amz-mp-object-size"], declared != "\(size)" {
            throw .refused(.invalidRequest, "The x-amz-mp-object-size header does not match the parts' sizes.")
        }
        try UploadChecksum.check(fields, upload, document.parts.compactMap { parts[$0.number] })
    }

    private func allParts(_ id: UploadID) async throws(OperationFailure) -> [Int: UploadPart] {
        var parts: [Int: UploadPart] = [:]
        var after = 0
        // Ten pages at most: part numbers end at 10,000.
        while after < GatewayLimits.partNumberMax {
            let position = after
            let page = try await catalogCall { () async throws(CatalogError) in
                try await services.uploads.parts(id, after: position, limit: 1000)
            }
            for part in page { parts[part.number] = part }
            guard page.count == 1000, let last = page.last, last.number > after else { break }
            after = last.number
        }
        return parts
    }

    private static func completeDocument(_ target: ObjectTarget, _ location: String, _ written: Written) -> String {
        var writer = XMLWriter()
        writer.element("CompleteMultipartUploadResult", namespaced: true) { writer in
            writer.text("Location", location)
            writer.text("Bucket", target.bucket.name)
            writer.text("Key", target.key)
            writer.text("ETag", ETag.quoted(written.digests.etag))
            for (algorithm, value) in written.digests.checksums.sorted(by: { $0.key < $1.key }) {
                if let known = ChecksumAlgorithm(rawValue: algorithm) { writer.text(known.elementName, value) }
            }
            if let type = written.digests.checksumType { writer.text("ChecksumType", type) }
        }
        return writer.document
    }

    /// Runs `work` beyond the request. What is quick is answered as usual; what takes longer is answered with an early 200,
    /// white space, and then the document, or the error in its place (S3.md 15).
    func patient(
        _ request: AuthenticatedRequest, resource: String,
        _ work: @escaping @Sendable () async throws(OperationFailure) -> String
    ) async throws(OperationFailure) -> Response {
        let pending = Pending<Result<String, OperationFailure>>()
        environment.spawn {
            do throws(OperationFailure) {
                pending.finish(.success(try await work()))
            } catch {
                pending.finish(.failure(error))
            }
        }
        switch await pending.value(within: GatewayLimits.earlyAnswerAfter, sleep: environment.sleep) {
        case .success(let document): return .document(document)
        case .failure(let error): throw error
        case nil:
            let body = PatientBody(pending, interval: GatewayLimits.earlyAnswerAfter, sleep: environment.sleep) {
                result in
                switch result {
                case .success(let document): document
                case .failure(let error): error.answer.error.document(resource: resource, requestID: request.id)
                }
            }
            return Response(
                ResponseHead(.ok, fields: Fields([("Content-Type", "application/xml")])),
                body: .stream(length: nil, body))
        }
    }
}
