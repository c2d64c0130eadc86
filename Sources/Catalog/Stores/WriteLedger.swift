/// A copy that a writer wants to make.
package struct CopyCandidate: Sendable, Equatable {
    package let id: CopyID
    package let backend: BackendID
    package let physicalKey: String
    package init(id: CopyID, backend: BackendID, physicalKey: String) {
        self.id = id
        self.backend = backend
        self.physicalKey = physicalKey
    }
}

/// T1 of a write: written before any byte leaves.
package struct WriteIntent: Sendable, Equatable {
    package var object: ObjectName
    package var version: VersionID
    package var size: Int64
    package var headers: ObjectHeaders
    package var candidates: [CopyCandidate]
    package var token: LeaseToken
    package var lease: Duration
    /// A second intent of the same version, for targets that replace failed ones.
    package var isAdditional: Bool
    package init(
        object: ObjectName, version: VersionID, size: Int64, headers: ObjectHeaders, candidates: [CopyCandidate],
        token: LeaseToken, lease: Duration, isAdditional: Bool = false
    ) {
        self.object = object
        self.version = version
        self.size = size
        self.headers = headers
        self.candidates = candidates
        self.token = token
        self.lease = lease
        self.isAdditional = isAdditional
    }
}

/// Why a backend was not given an intent, seen under its gate.
package enum IntentRefusal: String, Sendable, Equatable {
    /// Draining, retiring, or not declared.
    case notActive
    /// The quota has no room for the size.
    case overQuota
    /// The version has an unsuspected copy there already.
    case alreadyThere
}

package struct IntentOutcome: Sendable, Equatable {
    /// Rows in state `writing` exist for these.
    package var admitted: [CopyID]
    package var refused: [CopyID: IntentRefusal]
    package init(admitted: [CopyID], refused: [CopyID: IntentRefusal]) {
        self.admitted = admitted
        self.refused = refused
    }
}

/// If-Match and If-None-Match on a write, evaluated under the object's lock (RFC 9110 §13).
package struct WritePrecondition: Sendable, Equatable {
    package enum Match: Sendable, Equatable {
        case any
        /// Without quotes.
        case etags([String])
    }
    package var ifMatch: Match?
    package var ifNoneMatch: Match?
    /// Bytes; deletes only.
    package var ifSize: Int64?
    /// Seconds since 1970, as Last-Modified shows them; deletes only.
    package var ifModifiedAt: Int64?
    package init(ifMatch: Match? = nil, ifNoneMatch: Match? = nil, ifSize: Int64? = nil, ifModifiedAt: Int64? = nil) {
        self.ifMatch = ifMatch
        self.ifNoneMatch = ifNoneMatch
        self.ifSize = ifSize
        self.ifModifiedAt = ifModifiedAt
    }
    package static let none = WritePrecondition()

    package enum Verdict: Sendable, Equatable { case passes, failed, noSuchKey }

    /// - Parameter current: the version that is replaced or deleted
    package func verdict(current: Version?) -> Verdict {
        if let current {
            if let ifSize, ifSize != current.size { return .failed }
            if let ifModifiedAt, ifModifiedAt != current.committedAt / 1_000_000 { return .failed }
        }
        return verdict(current: current?.digests.etag)
    }

    /// - Parameter etag: of the current version, nil if there is none
    package func verdict(current etag: String?) -> Verdict {
        if let ifMatch {
            guard let etag else { return .noSuchKey }
            if case .etags(let list) = ifMatch, !list.contains(etag) { return .failed }
        }
        if let ifNoneMatch, let etag {
            switch ifNoneMatch {
            case .any: return .failed
            case .etags(let list): if list.contains(etag) { return .failed }
            }
        }
        return .passes
    }
}

/// A copy whose upload is known to have succeeded.
package struct UploadedCopy: Sendable, Equatable {
    package let id: CopyID
    package let providerVersion: String?
    package init(id: CopyID, providerVersion: String? = nil) {
        self.id = id
        self.providerVersion = providerVersion
    }
}

/// T2 of a write.
package struct WriteCommit: Sendable, Equatable {
    package var object: ObjectName
    package var version: VersionID
    package var token: LeaseToken
    /// Every one of these must still be `writing` under the token, or nothing happens at all.
    package var uploaded: [UploadedCopy]
    /// Copies of this version that failed, and whether their bytes may still arrive.
    package var failed: [CopyID: Bool]
    package var digests: ContentDigests
    package var partSizes: [Int64]
    package var precondition: WritePrecondition
    /// How long doomed copies stay for readers.
    package var readGrace: Duration
    /// With Complete: the upload that ends with this commit, its size fixed now.
    package var upload: UploadID?
    /// With Complete: the size, which Create did not know.
    package var size: Int64?
    package init(
        object: ObjectName, version: VersionID, token: LeaseToken, uploaded: [UploadedCopy], failed: [CopyID: Bool],
        digests: ContentDigests, partSizes: [Int64] = [], precondition: WritePrecondition, readGrace: Duration,
        upload: UploadID? = nil, size: Int64? = nil
    ) {
        self.object = object
        self.version = version
        self.token = token
        self.uploaded = uploaded
        self.failed = failed
        self.digests = digests
        self.partSizes = partSizes
        self.precondition = precondition
        self.readGrace = readGrace
        self.upload = upload
        self.size = size
    }
}

package enum CommitOutcome: Sendable, Equatable {
    case committed(committedAt: Int64, sequence: Int64)
    /// Nothing was committed; the version's copies were doomed in the same transaction.
    case preconditionFailed
    /// If-Match on a key that does not exist; likewise doomed.
    case noSuchKey
    /// The bucket was deleted by its owner; likewise doomed.
    case noSuchBucket
    /// A lease was lost: some copy is no longer `writing` under the token. Nothing was committed; what is left was doomed.
    case fenceLost
}

/// What became of a write whose COMMIT reply was lost.
package enum WriteResolution: Sendable, Equatable {
    case committed(committedAt: Int64, sequence: Int64)
    /// It did not happen and now never will: what was there is doomed.
    case notCommitted
}

package struct DeleteRequest: Sendable, Equatable {
    package var key: String
    package var precondition: WritePrecondition
    package init(key: String, precondition: WritePrecondition = .none) {
        self.key = key
        self.precondition = precondition
    }
}

package enum DeleteOutcome: Sendable, Equatable {
    /// Deleted, or was not there: S3 answers both alike.
    case deleted
    case preconditionFailed
    case noSuchKey
}

/// Intents and commits of writes and deletes; each call is one transaction (DESIGN §6).
package protocol WriteLedger: Sendable {
    func intend(_ intent: WriteIntent) async throws(CatalogError) -> IntentOutcome
    func commit(_ commit: WriteCommit) async throws(CatalogError) -> CommitOutcome
    /// Locks the version: committed stays committed, anything else is doomed and stays so.
    func resolve(_ version: VersionID, readGrace: Duration) async throws(CatalogError) -> WriteResolution
    /// Extends the lease of all `writing` copies of the version under the token; false if none is left.
    func renew(_ version: VersionID, token: LeaseToken, lease: Duration) async throws(CatalogError) -> Bool
    /// Dooms the `writing` copies under the token, at once due for deletion; `late` are those whose bytes may still arrive.
    func giveUp(_ version: VersionID, token: LeaseToken, late: [CopyID]) async throws(CatalogError)
    /// One transaction over the keys in sorted order; the outcomes are in the order of the requests.
    func delete(
        bucket: BucketID, _ requests: [DeleteRequest], readGrace: Duration
    ) async throws(CatalogError) -> [DeleteOutcome]
}
