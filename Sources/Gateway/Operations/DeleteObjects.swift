import Catalog
import HTTP
import S3
import Spec
import Transfer

extension GatewayOperations {
    /// 204 whether or not the key was there; no backend is on the way.
    func deleteObject(_ target: ObjectTarget, _ request: AuthenticatedRequest) async throws(OperationFailure)
        -> Response
    {
        let deletion = DeleteRequest(key: target.key, precondition: try WriteHeaders.deletePrecondition(request.fields))
        let outcomes = try await delete([deletion], in: target.bucket, request)
        switch outcomes.first {
        case .deleted: return .empty(.noContent)
        case .preconditionFailed: throw .s3(OperationFailure.preconditionFailed)
        case .noSuchKey: throw .transfer(.noSuchKey)
        case nil: throw .catalog(.internalError(evidence: "a delete gave no outcome"))
        }
    }

    /// Up to 1,000 keys in one transaction.
    func deleteObjects(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        // Whether a key may be deleted is decided for each: a grant may be limited to prefixes.
        let bucket = try request.bucket(name, .write, covering: nil)
        let xml = try await IncomingBody.document(request)
        let document = try refusing { () throws(S3Error) in try DeleteDocument(xml: xml) }
        var results = document.entries.map { entry in refusal(entry, bucket, request) }
        // One row cannot be deleted twice in a transaction: repeated keys share an outcome. By bytes, since Swift's strings
        // take different spellings of a letter for the same.
        var deletions: [DeleteRequest] = []
        var positions: [[UInt8]: Int] = [:]
        for (entry, result) in zip(document.entries, results)
        where result == nil && positions[Array(entry.key.utf8)] == nil {
            positions[Array(entry.key.utf8)] = deletions.count
            deletions.append(DeleteRequest(key: entry.key, precondition: try GatewayOperations.precondition(of: entry)))
        }
        if !deletions.isEmpty {
            let outcomes = try await delete(deletions, in: bucket, request)
            for (index, entry) in document.entries.enumerated() where results[index] == nil {
                if let position = positions[Array(entry.key.utf8)], position < outcomes.count {
                    results[index] = GatewayOperations.error(outcomes[position])
                }
            }
        }
        return .document(GatewayOperations.document(document, results))
    }

    private func delete(
        _ deletions: [DeleteRequest], in bucket: ServedBucket, _ request: AuthenticatedRequest
    ) async throws(OperationFailure) -> [DeleteOutcome] {
        let grace = request.snapshot.fleet.safety.readGrace
        let outcomes = try await catalogCall { () async throws(CatalogError) in
            try await services.writes.delete(bucket: bucket.id, deletions, readGrace: grace)
        }
        services.crashPlan.reached(.afterDelete)
        return outcomes
    }

    private func refusal(_ entry: DeleteDocument.Entry, _ bucket: ServedBucket, _ request: AuthenticatedRequest)
        -> S3Error?
    {
        do throws(S3Error) { _ = try Router.checked(entry.key) } catch { return error }
        guard request.allows(bucket, .write, covering: entry.key) else {
            return S3Error(.accessDenied, "Access Denied")
        }
        if let version = entry.versionID, version != "null" {
            return S3Error(.invalidArgument, "Invalid version id specified")
        }
        return nil
    }

    private static func precondition(of entry: DeleteDocument.Entry) throws(OperationFailure) -> WritePrecondition {
        WritePrecondition(
            ifMatch: entry.etag.map { $0 == "*" ? .any : .etags([$0]) },
            ifSize: try entry.size.map { text throws(OperationFailure) in try WriteHeaders.size(text) },
            ifModifiedAt: try entry.lastModified.map { text throws(OperationFailure) in try WriteHeaders.time(text) })
    }

    private static func error(_ outcome: DeleteOutcome) -> S3Error? {
        switch outcome {
        case .deleted: nil
        case .preconditionFailed: OperationFailure.preconditionFailed
        case .noSuchKey: S3Error(.noSuchKey, "The specified key does not exist.")
        }
    }

    private static func document(_ request: DeleteDocument, _ results: [S3Error?]) -> String {
        var writer = XMLWriter()
        writer.element("DeleteResult", namespaced: true) { writer in
            for (entry, error) in zip(request.entries, results) {
                if let error {
                    writer.element("Error") { writer in
                        writer.text("Key", entry.key)
                        writer.text("Code", error.code.rawValue)
                        writer.text("Message", error.message)
                    }
                } else if !request.isQuiet {
                    writer.element("Deleted") { $0.text("Key", entry.key) }
                }
            }
        }
        return writer.document
    }
}
