package import Spec

/// A spec that an instance validated and proposes.
package struct SpecProposal: Sendable {
    package var desired: DesiredState
    /// SHA-256 of the content, in hex.
    package var digest: String
    /// Without literal secrets.
    package var redactedText: String
    /// Who proposes: the instance's name.
    package var acceptedBy: String
    /// The revision that the proposer saw; compare-and-set on it.
    package var parent: Int64
    package var allowsRollback: Bool
    package init(
        desired: DesiredState, digest: String, redactedText: String, acceptedBy: String, parent: Int64,
        allowsRollback: Bool = false
    ) {
        self.desired = desired
        self.digest = digest
        self.redactedText = redactedText
        self.acceptedBy = acceptedBy
        self.parent = parent
        self.allowsRollback = allowsRollback
    }
}

package enum SpecAcceptance: Sendable, Equatable {
    case accepted(revision: Int64)
    /// The accepted one has this digest already.
    case unchanged(revision: Int64)
    /// This digest was accepted before and superseded: an old file must not roll the fleet back.
    case superseded(current: Int64, acceptedAs: Int64)
    /// Another instance was faster; look again.
    case conflict(current: Int64)
    /// A declared name belongs to a retired backend, or the like.
    case refused(reason: SpecRefusal)
}

package enum SpecRefusal: Sendable, Equatable {
    case nameRetired(backend: String)
    case retiringCannotReturn(backend: String)
}

/// Versions that share a bucket and a set of holders: what a plan counts with.
package struct CopyGroup: Sendable, Equatable {
    package var bucket: BucketID
    /// Backends with a live, unsuspected copy; sorted.
    package var holders: [BackendID]
    /// Backends with a live but suspect copy; sorted.
    package var suspects: [BackendID]
    package var versions: Int64
    package var bytes: ByteCount
    /// The largest version of the group.
    package var largest: ByteCount
    /// One of the keys, for messages.
    package var example: String
    package init(
        bucket: BucketID, holders: [BackendID], suspects: [BackendID], versions: Int64, bytes: ByteCount,
        largest: ByteCount,
        example: String
    ) {
        self.bucket = bucket
        self.holders = holders
        self.suspects = suspects
        self.versions = versions
        self.bytes = bytes
        self.largest = largest
        self.example = example
    }
}

/// What is still in the way of a drain or a removal, counted in one statement.
package struct BackendResidue: Sendable, Equatable {
    package var writing: Int64
    package var live: Int64
    package var openUploads: Int64
    /// Doomed and not yet deleted.
    package var doomed: Int64
    /// Deleted and seen to be absent; only waiting out the late-arrival horizon.
    package var waitingHorizon: Int64
    /// Doomed rows that failed ten times or more.
    package var deadLetters: Int64
    package init(
        writing: Int64 = 0, live: Int64 = 0, openUploads: Int64 = 0, doomed: Int64 = 0, waitingHorizon: Int64 = 0,
        deadLetters: Int64 = 0
    ) {
        self.writing = writing
        self.live = live
        self.openUploads = openUploads
        self.doomed = doomed
        self.waitingHorizon = waitingHorizon
        self.deadLetters = deadLetters
    }
    package var allowsDrained: Bool { writing == 0 && live == 0 && openUploads == 0 && doomed == 0 }
    package var allowsRetired: Bool { allowsDrained && waitingHorizon == 0 }
}

package enum PhaseOutcome: Sendable, Equatable {
    case done
    /// It was in another phase, or already there.
    case notFrom(BackendPhase)
    /// The proof for `drained`, `retiring` or `retired` does not hold.
    case residue(BackendResidue)
}

/// How far a drain has come; persisted.
package struct DrainRecord: Sendable, Equatable {
    package var backend: BackendID
    /// Microseconds since 1970.
    package var startedAt: Int64
    package var finishedAt: Int64?
    package var totalCopies: Int64
    package var totalBytes: ByteCount
    package init(backend: BackendID, startedAt: Int64, finishedAt: Int64?, totalCopies: Int64, totalBytes: ByteCount) {
        self.backend = backend
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.totalCopies = totalCopies
        self.totalBytes = totalBytes
    }
}

package enum AbandonOutcome: Sendable, Equatable {
    /// From now on its copies count for nothing; `soleCopies` of them were the last of their version.
    case abandoned(soleCopies: Int64)
    /// More versions have their only copy there than the operator agreed to lose.
    case refused(soleCopies: Int64)
    /// It takes new copies, or is retired: a backend is abandoned while it drains.
    case notDraining
}

/// A version whose last copy went with an abandoned backend.
package struct LostObject: Sendable, Equatable {
    package var bucket: BucketID
    package var key: String
    package var version: VersionID
    package var size: Int64
    package var etag: String
    package var backend: BackendID
    /// A suspect copy is left elsewhere: the object stays, and may be damaged.
    package var isInDoubt: Bool
    /// Microseconds since 1970; 0 when it is handed in.
    package var lostAt: Int64
    package init(
        bucket: BucketID, key: String, version: VersionID, size: Int64, etag: String, backend: BackendID,
        isInDoubt: Bool, lostAt: Int64
    ) {
        self.bucket = bucket
        self.key = key
        self.version = version
        self.size = size
        self.etag = etag
        self.backend = backend
        self.isInDoubt = isInDoubt
        self.lostAt = lostAt
    }
}

/// Accepted specs, backends and their phases; each call is one transaction.
package protocol FleetLedger: Sendable {
    func snapshot() async throws(CatalogError) -> FleetSnapshot
    /// Accepts the whole spec or nothing: revision row, backends and buckets declared, changed or undeclared.
    func accept(_ proposal: SpecProposal) async throws(CatalogError) -> SpecAcceptance
    /// What `accept` would answer now, whatever the parent; reads only.
    func verdict(_ proposal: SpecProposal) async throws(CatalogError) -> SpecAcceptance
    /// Exclusive gate; then the phase is read; then it changes. `active → draining` also writes the drain row with its
    /// totals; `drained`, `retiring`, `retired` prove the residue in the same transaction.
    ///
    /// - Parameter revision: of the spec that wants it; nothing changes under another one. Nil: whichever is in force
    func change(_ backend: BackendID, from: BackendPhase, to: BackendPhase, under revision: Int64?)
        async throws(CatalogError) -> PhaseOutcome
    /// The marker was written; recorded once.
    func recordMarked(_ backend: BackendID) async throws(CatalogError)
    func residue(_ backend: BackendID) async throws(CatalogError) -> BackendResidue
    func drains() async throws(CatalogError) -> [DrainRecord]
    /// Exclusive gate; the sole copies are counted inside, and must be no more than `soleCopiesMax`. Cannot be undone.
    func abandon(_ backend: BackendID, soleCopiesMax: Int64) async throws(CatalogError) -> AbandonOutcome
    /// Ends up to `limit` copies of an abandoned backend: their rows become gone. A version whose last copy that was is
    /// recorded as lost, and its key is free again. Returns how many copies ended.
    func endAbandoned(_ backend: BackendID, limit: Int) async throws(CatalogError) -> Int
    /// By version, behind `after`.
    func lostObjects(after: VersionID?, limit: Int) async throws(CatalogError) -> [LostObject]
    /// All current versions, grouped; one read-only statement.
    func copyGroups() async throws(CatalogError) -> [CopyGroup]
}

/// Conditions and events as people see them; each call is one transaction.
package protocol StatusLedger: Sendable {
    func conditions() async throws(CatalogError) -> [ConditionRecord]
    /// Sets these and removes other conditions of the same subjects; the time of transition is the database's, and moves only
    /// when a status changes. Events are deduplicated by subject and reason.
    func publish(_ conditions: [ConditionRecord], events: [EventRecord]) async throws(CatalogError)
    func events(limit: Int) async throws(CatalogError) -> [EventRecord]
}
