package import Catalog
import HTTP
import S3

/// The stores and the transfer that operations work with.
package struct GatewayServices: Sendable {
    package var index: any ObjectIndex
    package var writes: any WriteLedger
    package var uploads: any UploadLedger
    package var transfer: any ObjectTransfer
    package init(
        index: any ObjectIndex, writes: any WriteLedger, uploads: any UploadLedger, transfer: any ObjectTransfer
    ) {
        self.index = index
        self.writes = writes
        self.uploads = uploads
        self.transfer = transfer
    }
}

/// The operations: from an authenticated request to its response. One file per group extends this.
struct GatewayOperations: Sendable {
    let services: GatewayServices
    let settings: GatewaySettings
    let environment: GatewayEnvironment

    func perform(_ operation: Operation, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        switch operation {
        case .listBuckets: return listBuckets(request)
        case .bucket(let name, let operation): return try await perform(operation, on: name, request)
        case .object(let address, let operation):
            let bucket = try request.bucket(address.bucket, operation.need, covering: address.key)
            let target = ObjectTarget(bucket: bucket, key: address.key)
            return try await perform(operation, on: target, request)
        }
    }

    private func perform(
        _ operation: BucketOperation, on name: String, _ request: AuthenticatedRequest
    ) async throws(OperationFailure) -> Response {
        switch operation {
        case .create: return try createBucket(name, request)
        case .delete: return try deleteBucket(name, request)
        case .head: return try headBucket(name, request)
        case .location: return try bucketLocation(name, request)
        case .versioning: return try bucketVersioning(name, request)
        case .listV1: return try await listObjects(name, request, form: .v1)
        case .listV2: return try await listObjects(name, request, form: .v2)
        case .listUploads: return try await listUploads(name, request)
        case .deleteObjects: return try await deleteObjects(name, request)
        }
    }

    private func perform(
        _ operation: ObjectOperation, on target: ObjectTarget, _ request: AuthenticatedRequest
    ) async throws(OperationFailure) -> Response {
        switch operation {
        case .get(let part): return try await readObject(target, request, part: part, isHead: false)
        case .head(let part): return try await readObject(target, request, part: part, isHead: true)
        case .put: return try await putObject(target, request)
        case .copy: return try await copyObject(target, request)
        case .delete: return try await deleteObject(target, request)
        case .createUpload: return try await createUpload(target, request)
        case .uploadPart(let upload, let number): return try await uploadPart(target, request, upload, number)
        case .uploadPartCopy(let upload, let number): return try await uploadPartCopy(target, request, upload, number)
        case .completeUpload(let upload): return try await completeUpload(target, request, upload)
        case .abortUpload(let upload): return try await abortUpload(target, request, upload)
        case .listParts(let upload): return try await listParts(target, request, upload)
        }
    }
}

/// A key in a bucket for which the request was authorised.
struct ObjectTarget: Sendable, Equatable {
    let bucket: ServedBucket
    let key: String
    var object: ObjectName { ObjectName(bucket: bucket.id, key: key) }
}

extension Response {
    /// An XML document.
    static func document(_ text: String, _ fields: Fields = Fields(), status: Status = .ok) -> Response {
        var fields = fields
        fields.set("Content-Type", "application/xml")
        return Response(ResponseHead(status, fields: fields), body: .bytes(Bytes(text)))
    }

    static func empty(_ status: Status, _ fields: Fields = Fields()) -> Response {
        Response(ResponseHead(status, fields: fields))
    }
}
