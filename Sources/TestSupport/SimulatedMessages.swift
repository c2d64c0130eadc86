package import Catalog
package import S3

/// What actors of the simulation ask of the world, and what they are told. Bodies are tokens: one number stands for the bytes of one
/// write, and its ETag is the number in text.
package enum SimulatedCall: Sendable, Equatable {
    case catalog(CatalogCall)
    case backend(BackendID, BackendCall)
}

package enum SimulatedAnswer: Sendable {
    case catalog(Result<CatalogAnswer, CatalogError>)
    case backend(Result<BackendAnswer, StoreError>)
}

/// One transaction.
package enum CatalogCall: Sendable, Equatable {
    case intend(WriteIntent)
    case commit(WriteCommit)
    case resolve(VersionID)
    case renew(VersionID, LeaseToken)
    case giveUp(VersionID, LeaseToken, late: [CopyID])
    case delete(ObjectName)
    case current(ObjectName)
    case markSuspect(CopyID)
    case claim(MoveScope, LeaseToken)
    case release(VersionID, LeaseToken, isFailed: Bool)
    case intendCopy(CopyCandidate, VersionID, LeaseToken)
    case commitCopy(UploadedCopy, VersionID, LeaseToken)
    case doom(DoomRequest)
    case claimDoomed(BackendID, LeaseToken)
    case settle(CopyID, LeaseToken, DeletionResult)
    case reap
    case forget
    case change(BackendID, from: BackendPhase, to: BackendPhase)
    case createUpload(UploadIntent)
    case openUpload(UploadID, [CopyID: String])
    case findUpload(UploadID, ObjectName)
    case reservePart(Int64, UploadID, keeping: Int)
    case recordPart(UploadPart, UploadID, reserved: Int64)
    case beginComplete(UploadID, ObjectName, [ChosenPart])
    case abortUpload(UploadID, ObjectName)
    case abortStale
    case abandon(BackendID, soleCopiesMax: Int64)
    case endAbandoned(BackendID)
    case beginInventory(BackendID, LeaseToken)
    case recordInventory(InventoryPage)
    case dueOrphans(BackendID)
    case doomOrphan(Orphan, of: VersionID, copy: CopyID, owner: VersionID)
}

package enum CatalogAnswer: Sendable {
    case intent(IntentOutcome)
    case commit(CommitOutcome)
    case resolution(WriteResolution)
    case deleted(DeleteOutcome)
    case placed(PlacedVersion?)
    /// With the phases as they were then: what a worker knows may be old when it acts.
    case claimed([ClaimedVersion], active: [BackendID])
    case copyIntent(CopyIntentOutcome)
    case copyCommit(CopyCommitOutcome)
    case doom(DoomOutcome)
    case doomed([DoomedCopy])
    case upload(Upload?)
    case reservation(PartReservation)
    case begun(BeginCompleteOutcome)
    /// Whether the upload was as the call needs it.
    case held(Bool)
    case inventory(InventoryPosition?)
    case orphans([Orphan])
    case done
}

package enum BackendCall: Sendable, Equatable {
    case put(name: String, token: UInt64)
    case get(name: String)
    case delete(name: String)
    case head(name: String)
    case createUpload(name: String)
    case putPart(name: String, upload: String, number: Int, token: UInt64)
    case completeUpload(name: String, upload: String, parts: [StoredPart])
    case abortUpload(name: String, upload: String)
    case openUploads(name: String)
    /// Everything that is there.
    case list

    /// A proxy between us and the backend may send it again, also when its answer has come: HTTP calls it idempotent, or it is so
    /// for S3. Creating an upload is not, and a transaction travels on one connection, which delivers once.
    var mayBeRepeated: Bool {
        switch self {
        case .put, .delete, .putPart, .completeUpload, .abortUpload: true
        case .get, .head, .createUpload, .openUploads, .list: false
        }
    }

    var isPut: Bool { if case .put = self { true } else { false } }

    var name: String {
        switch self {
        case .put(let name, _), .get(let name), .delete(let name), .head(let name), .createUpload(let name),
            .putPart(let name, _, _, _), .completeUpload(let name, _, _), .abortUpload(let name, _),
            .openUploads(let name):
            name
        case .list: ""
        }
    }
}

package enum BackendAnswer: Sendable, Equatable {
    case stored
    case content(UInt64)
    case deleted
    case opened(String)
    case part(StoredPart)
    case object(StoredObject)
    case aborted
    case uploads([String])
    case listing(objects: [ListedName], uploads: [OpenUpload])
}

/// Bytes of what the simulation writes: one PUT, or one part.
let simulatedSize: Int64 = 10

/// The token of an object that was made of parts.
func simulatedWhole(_ parts: [(number: Int, etag: String)]) -> UInt64 {
    parts.reduce(14_695_981_039_346_656_037) { whole, part in
        (whole ^ (UInt64(part.etag) ?? 0) ^ UInt64(part.number)) &* 1_099_511_628_211
    } | 1
}

/// A call on its way to the catalog or to a backend.
package struct SimulatedMessage: Sendable {
    let ticket: Int
    let actor: Int
    let call: SimulatedCall
    /// Microseconds; a backend refuses what was signed too long ago.
    let sentAt: Int64
    /// Whoever sent it does not wait any more.
    var isAbandoned = false
    /// It arrived before.
    var isRepeated = false
    /// The step from which it may arrive.
    var heldUntil = 0
}

/// How long a signed request is accepted by a backend: AWS's 15 minutes.
let simulatedSignatureLife: Duration = .seconds(900)
