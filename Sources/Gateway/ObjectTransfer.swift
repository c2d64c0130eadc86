package import Catalog
package import HTTP
package import S3

/// A write as a request asks for it.
package struct WriteOrder: Sendable {
    package var bucket: ServedBucket
    package var key: String
    package var headers: ObjectHeaders
    package var precondition: WritePrecondition
    package init(bucket: ServedBucket, key: String, headers: ObjectHeaders, precondition: WritePrecondition) {
        self.bucket = bucket
        self.key = key
        self.headers = headers
        self.precondition = precondition
    }
    package var object: ObjectName { ObjectName(bucket: bucket.id, key: key) }
}

package struct UploadOrder: Sendable {
    package var write: WriteOrder
    package var checksumAlgorithm: ChecksumAlgorithm?
    package var checksumType: String?
    package init(write: WriteOrder, checksumAlgorithm: ChecksumAlgorithm?, checksumType: String?) {
        self.write = write
        self.checksumAlgorithm = checksumAlgorithm
        self.checksumType = checksumType
    }
}

package struct CompleteOrder: Sendable {
    package var bucket: ServedBucket
    package var key: String
    package var upload: UploadID
    package var chosen: [ChosenPart]
    package var precondition: WritePrecondition
    /// What clients will see of the object, from the parts that were chosen.
    package var digests: @Sendable (Upload, [UploadPart]) -> ContentDigests
    package init(
        bucket: ServedBucket, key: String, upload: UploadID, chosen: [ChosenPart], precondition: WritePrecondition,
        digests: @escaping @Sendable (Upload, [UploadPart]) -> ContentDigests
    ) {
        self.bucket = bucket
        self.key = key
        self.upload = upload
        self.chosen = chosen
        self.precondition = precondition
        self.digests = digests
    }
}

/// An object as a client is told about it after a write.
package struct Written: Sendable, Equatable {
    package var digests: ContentDigests
    package var size: Int64
    /// Microseconds since 1970.
    package var committedAt: Int64
    package init(digests: ContentDigests, size: Int64, committedAt: Int64) {
        self.digests = digests
        self.size = size
        self.committedAt = committedAt
    }
}

/// Why bytes did not move. A closed list, mapped to S3's codes in one place.
package enum TransferFailure: Error, Sendable, Equatable {
    case catalog(CatalogError)
    /// The client's body failed; nothing was stored.
    case body(BodyError)
    /// No backend takes writes now: none is active, declared and reachable.
    case noEligibleBackend
    /// Backends would take writes, but their quotas have no room for the size.
    case overQuota
    /// Backends failed during the write: `stored` of the `required` copies were made.
    case tooFewCopies(stored: Int, required: Int, evidence: String)
    case preconditionFailed
    case noSuchKey
    /// The bucket was deleted while the write was under way.
    case noSuchBucket
    /// The write lost its lease; nothing was committed.
    case fenceLost
    /// The reply to COMMIT was lost and its outcome could not be found out in time.
    case unknownOutcome
    /// No copy could be read. The placement may have changed meanwhile: look again once.
    case unreadable(evidence: String)
    case noSuchUpload
    case invalidPart(number: Int)
}

/// What the gateway asks of the one implementation of "move bytes safely". The snapshot is the request's own.
package protocol ObjectTransfer: Sendable {
    /// PUT (DESIGN §6): streams the body to `ack` backends at once; committed when it returns.
    func write(_ order: WriteOrder, body: IncomingBody, in snapshot: GatewaySnapshot) async throws(TransferFailure)
        -> Written
    /// Makes the object from another version without moving a byte: on as many backends as a write needs, each of which has a
    /// copy of the source. nil where that is not possible; then the bytes have to be read and written.
    func copy(
        _ order: WriteOrder, from source: PlacedVersion, digests: ContentDigests, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> Written?
    /// The bytes of a version; `range` nil: all of them. The reader goes on from another copy when one fails in the middle.
    func read(
        _ placed: PlacedVersion, range: ByteRange?, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> any BodyReader
    func createUpload(_ order: UploadOrder, in snapshot: GatewaySnapshot) async throws(TransferFailure) -> UploadID
    /// Stores a part on every backend of the upload.
    func writePart(
        _ upload: Upload, number: Int, body: IncomingBody, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> UploadPart
    /// Completes on each backend and commits; a repeated Complete answers as the first.
    func completeUpload(_ order: CompleteOrder, in snapshot: GatewaySnapshot) async throws(TransferFailure) -> Written
}
