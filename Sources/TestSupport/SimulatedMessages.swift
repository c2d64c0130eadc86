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
    case done
}

package enum BackendCall: Sendable, Equatable {
    case put(name: String, token: UInt64)
    case get(name: String)
    case delete(name: String)
}

package enum BackendAnswer: Sendable, Equatable {
    case stored
    case content(UInt64)
    case deleted
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
}

/// How long a signed request is accepted by a backend: AWS's 15 minutes.
let simulatedSignatureLife: Duration = .seconds(900)
