/// Which versions a worker wants to work on.
package enum MoveScope: Sendable, Equatable, Hashable {
    /// Versions with a live copy on this backend.
    case leaving(BackendID)
    /// Versions of the bucket with fewer than `factor` live, unsuspected copies on the backends in `staying`, or with a suspect one
    /// there, which is to be doomed once enough others are.
    case short(bucket: BucketID, factor: Int, staying: [BackendID])
    /// Versions of the bucket with more than `factor` live copies, unsuspected and on `staying`, for longer than the trim delay.
    case surplus(bucket: BucketID, factor: Int, staying: [BackendID])
    /// Retained versions of at most `sizeMax` bytes with a good copy on the one backend and none on the other. What others
    /// work on, or what failed just now, is left out.
    case movable(from: BackendID, to: BackendID, sizeMax: Int64)
}

/// A version that is claimed under a lease, with its `live` and `writing` copies.
package struct ClaimedVersion: Sendable, Equatable {
    package var placed: PlacedVersion
    package var bucketName: String
    /// How often work on it failed before.
    package var attempts: Int
    package init(placed: PlacedVersion, bucketName: String, attempts: Int) {
        self.placed = placed
        self.bucketName = bucketName
        self.attempts = attempts
    }
}

/// How a worker leaves a version that it had claimed.
package enum WorkEnd: Sendable, Equatable {
    /// Nothing stands in the way of the next worker.
    case finished
    /// Nothing can be done for it now, which is no failure of its own.
    case waiting(Duration, because: String)
    case failed(retryAfter: Duration, evidence: String)
}

package enum CopyIntentOutcome: Sendable, Equatable {
    /// The row exists; the copy may be made.
    case admitted
    /// Overwritten or deleted meanwhile: nothing to move.
    case notRetained
    case refused(IntentRefusal)
}

package enum CopyCommitOutcome: Sendable, Equatable {
    case live
    /// The version was overwritten or deleted meanwhile, or the lease was lost: the copy was doomed.
    case superseded
}

package enum DoomOutcome: Sendable, Equatable {
    case doomed
    /// Too few verified copies elsewhere: kept. `others` were counted, `required` are needed.
    case kept(others: Int, required: Int)
    /// It is not live any more.
    case notLive
    /// The catalog may have gone back in time: nothing is doomed until an operator has looked.
    case halted
    /// As many copies as the spec allows were dropped within the hour.
    case ceilingReached
}

package struct DoomRequest: Sendable, Equatable {
    package var copy: CopyID
    package var version: VersionID
    package var factor: Int
    /// Healthy, declared backends that stay; only copies there count. Their gates are taken shared, in order of ids.
    package var counted: [BackendID]
    package var readGrace: Duration
    /// Copies that may be dropped in any hour; nil: no ceiling.
    package var hourlyMax: Int64?
    package init(
        copy: CopyID, version: VersionID, factor: Int, counted: [BackendID], readGrace: Duration,
        hourlyMax: Int64? = nil
    ) {
        self.copy = copy
        self.version = version
        self.factor = factor
        self.counted = counted
        self.readGrace = readGrace
        self.hourlyMax = hourlyMax
    }
}

/// A part of a large copy that its target has taken.
package struct MovedPart: Sendable, Equatable {
    package var number: Int
    package var size: Int64
    /// Of its bytes, in hex: what is read of the source later is compared with it.
    package var md5: String
    /// The target's own, which completing asks for.
    package var etag: String
    package init(number: Int, size: Int64, md5: String, etag: String) {
        self.number = number
        self.size = size
        self.md5 = md5
        self.etag = etag
    }
}

/// How far a copy in parts has come.
package struct MoveProgress: Sendable, Equatable {
    package var candidate: CopyCandidate
    /// The target's own id of its multipart upload.
    package var uploadID: String
    /// In order of their numbers.
    package var parts: [MovedPart]
    package init(candidate: CopyCandidate, uploadID: String, parts: [MovedPart]) {
        self.candidate = candidate
        self.uploadID = uploadID
        self.parts = parts
    }
}

/// Repair, drain and trim of single copies (DESIGN §6); each call is one transaction.
package protocol MoveLedger: Sendable {
    /// Claims up to `limit` versions with `FOR UPDATE SKIP LOCKED`: fresh ones, then those that were put off, the longest due first.
    /// Those that are not due yet or under another's lease are left out.
    func claim(_ scope: MoveScope, limit: Int, token: LeaseToken, lease: Duration) async throws(CatalogError)
        -> [ClaimedVersion]
    /// Ends the claim. What is put off stays out of claims for so long, or until the fleet changes: a phase, the spec, a backend that is
    /// identified again.
    func release(_ version: VersionID, token: LeaseToken, _ end: WorkEnd) async throws(CatalogError)
    /// Renews all claims of a token that are not over; false if there is none.
    func renewClaims(_ token: LeaseToken, lease: Duration) async throws(CatalogError) -> Bool
    /// Locks the version, which must still be retained; then the intent as for a write.
    func intendCopy(
        _ candidate: CopyCandidate, of version: VersionID, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> CopyIntentOutcome
    /// A copy in parts goes to the target's upload of this id. False if the lease was lost.
    func record(upload: String, of copy: CopyID, token: LeaseToken) async throws(CatalogError) -> Bool
    /// The target has the part. False if the lease was lost.
    func record(_ part: MovedPart, of copy: CopyID, token: LeaseToken) async throws(CatalogError) -> Bool
    /// Takes over a copy in parts whose writer is gone, as an intent would begin one; nil if there is none.
    func resumeCopy(of version: VersionID, token: LeaseToken, lease: Duration) async throws(CatalogError)
        -> MoveProgress?
    /// Locks the version; `live` if it is still retained and the lease holds, else doomed.
    func commitCopy(
        _ copy: UploadedCopy, of version: VersionID, token: LeaseToken, readGrace: Duration
    ) async throws(CatalogError) -> CopyCommitOutcome
    /// Shared gates of the counted backends; locks the version; recounts in the next statement; dooms the copy only if the
    /// others reach min(factor, what it had without suspects).
    func doom(_ request: DoomRequest) async throws(CatalogError) -> DoomOutcome
}
