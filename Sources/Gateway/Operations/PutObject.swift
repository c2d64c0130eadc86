import Catalog
import HTTP
import S3

extension GatewayOperations {
    func putObject(_ target: ObjectTarget, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        let fields = request.fields
        try WriteHeaders.refuseUnsupported(fields)
        let order = WriteOrder(
            bucket: target.bucket, key: target.key, headers: try WriteHeaders.headers(fields, for: target.bucket),
            precondition: WriteHeaders.precondition(fields))
        try await refuseEarly(target, order.precondition)
        let body = try IncomingBody(try await request.measured(), bytesMax: GatewayLimits.objectBytesMax)
        let written = try await transferCall { () async throws(TransferFailure) in
            try await services.transfer.write(order, body: body, in: request.snapshot)
        }
        var answer = Fields([("ETag", ETag.quoted(written.digests.etag))])
        answer.appendChecksums(written.digests)
        return .empty(.ok, answer)
    }

    /// A conditional write that cannot succeed is refused before its bytes are invited, or its upload is used up; the commit
    /// decides for good.
    func refuseEarly(_ target: ObjectTarget, _ precondition: WritePrecondition) async throws(OperationFailure) {
        guard precondition != .none else { return }
        let current = try await catalogCall { () async throws(CatalogError) in
            try await services.index.current(target.object)
        }
        switch precondition.verdict(current: current?.version.digests.etag) {
        case .passes: return
        case .failed: throw .s3(OperationFailure.preconditionFailed)
        case .noSuchKey: throw .transfer(.noSuchKey)
        }
    }
}
