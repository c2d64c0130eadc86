package import Catalog
import HTTP
import S3
import Spec
package import Transfer

/// The stores and the transfer that operations work with.
package struct GatewayServices: Sendable {
    package var index: any ObjectIndex
    package var writes: any WriteLedger
    package var uploads: any UploadLedger
    package var buckets: any BucketLedger
    package var transfer: any ObjectTransfer
    package var crashPlan: CrashPlan
    package init(
        index: any ObjectIndex, writes: any WriteLedger, uploads: any UploadLedger, buckets: any BucketLedger,
        transfer: any ObjectTransfer, crashPlan: CrashPlan = .none
    ) {
        self.index = index
        self.writes = writes
        self.uploads = uploads
        self.buckets = buckets
        self.transfer = transfer
        self.crashPlan = crashPlan
    }
}

/// The operations: from an authenticated request to its response. One file per group extends this.
struct GatewayOperations: Sendable {
    let services: GatewayServices
    let settings: GatewaySettings
    let environment: GatewayEnvironment
    let snapshots: SnapshotCell

    func perform(_ operation: Operation, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        try request.checkOpen(to: operation)
        try request.checkExpectedOwner()
        switch operation {
        case .listBuckets: return try listBuckets(request)
        case .bucket(let name, let operation): return try await perform(operation, on: name, request)
        case .object(let address, let operation):
            let target = try request.target(address.bucket, address.key, operation.need)
            return try await perform(operation, on: target, request)
        }
    }

    private func perform(
        _ operation: BucketOperation, on name: String, _ request: AuthenticatedRequest
    ) async throws(OperationFailure) -> Response {
        switch operation {
        case .create: return try await createBucket(name, request)
        case .delete: return try await deleteBucket(name, request)
        case .head: return try headBucket(name, request)
        case .location: return try bucketLocation(name, request)
        case .listV1: return try await listObjects(name, request, form: .v1)
        case .listV2: return try await listObjects(name, request, form: .v2)
        case .listVersions: return try await listVersions(name, request)
        case .listUploads: return try await listUploads(name, request)
        case .postObject: return try await postObject(name, request)
        case .getACL: return try bucketACL(name, request)
        case .putACL: return try await putBucketACL(name, request)
        case .getCORS: return try bucketCORS(name, request)
        case .putCORS: return try await putBucketCORS(name, request)
        case .deleteCORS: return try await deleteBucketCORS(name, request)
        case .putPublicAccessBlock: return try await putPublicAccessBlock(name, request)
        case .deletePublicAccessBlock: return try await deletePublicAccessBlock(name, request)
        case .getTagging: return try bucketTagging(name, request)
        case .putTagging: return try await putBucketTagging(name, request)
        case .deleteTagging: return try await deleteBucketTagging(name, request)
        case .versioning, .getAccelerate, .getEncryption, .getLifecycle, .getLogging, .getNotification, .getObjectLock,
            .getOwnershipControls, .getPolicy, .getPolicyStatus, .getPublicAccessBlock, .getReplication,
            .getRequestPayment,
            .getWebsite:
            return try constantSetting(operation, name, request)
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
        case .attributes: return try await objectAttributes(target, request)
        case .getTagging: return try await objectTagging(target, request)
        case .putTagging: return try await putObjectTagging(target, request)
        case .deleteTagging: return try await deleteObjectTagging(target, request)
        case .getACL: return try await objectACL(target, request)
        case .putACL: return try await putObjectACL(target, request)
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
    /// False: only the object's own ACL may allow it to be read.
    let isGranted: Bool
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

extension GatewayOperations {
    /// Buckets that clients make appear at other instances within the snapshot's age. Until then, a name that the snapshot does not
    /// know is looked up.
    func knowingBuckets(of operation: Operation, _ request: AuthenticatedRequest) async throws(OperationFailure)
        -> AuthenticatedRequest
    {
        guard request.snapshot.fleet.bucketCreation == .allowed else { return request }
        var names: [String] = []
        if let name = operation.bucketName { names.append(name) }
        switch operation {
        case .object(_, .copy), .object(_, .uploadPartCopy):
            names.append(try CopySource(request.fields["x-amz-copy-source"] ?? "").bucket)
        case .listBuckets, .bucket, .object: break
        }
        var known = request
        for name in names where request.snapshot.buckets[name] == nil {
            if let bucket = try await servedBucket(name, request.snapshot) { known = known.knowing(bucket) }
        }
        return known
    }

    func servedBucket(_ name: String, _ snapshot: GatewaySnapshot) async throws(OperationFailure) -> ServedBucket? {
        if let known = snapshot.buckets[name] { return known }
        guard snapshot.fleet.bucketCreation == .allowed, BucketName.isAllowed(name) else { return nil }
        let record = try await catalogCall { () async throws(CatalogError) in try await services.buckets.bucket(name) }
        guard let record, record.owner != nil else { return nil }
        return ServedBucket(record, nil, replication: snapshot.fleet.replication)
    }
}
