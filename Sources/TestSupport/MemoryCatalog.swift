package import Catalog
import Spec
import Synchronization

/// The catalog in memory: every call is one transaction on `CatalogTables`. Its clock goes on by a
/// microsecond with each call, and as far as a test moves it.
package final class MemoryCatalog: Sendable {
    /// The call that a fault is meant for.
    package enum Call: Hashable, Sendable, CaseIterable {
        case intend, commit, resolve, renew, giveUp, delete
        case createUpload, openUpload, findUpload, reservePart, recordPart, listParts, beginComplete, abortUpload,
            listUploads
        case claim, renewClaims, release, intendCopy, commitCopy, doom, recordMove, resumeCopy
        case claimDoomed, settle, reap, forget, abortStale
        case current, list, markSuspect, annotate, partChecksums
        case bucket, createBucket, deleteBucket, setBucket
        case inventory, doomOrphan
        case safeguard, raiseEpoch, halt, confirm
        case snapshot, accept, changePhase, recordMarked, residue, drains, copyGroups
        case conditions, publish, events
        case abandon, endAbandoned, lostObjects, scrub, addUsage, pace, rebalance, adopt
    }

    package enum Fault: Sendable, Equatable {
        /// It certainly did not happen.
        case unavailable
        /// It happened, and its reply is lost.
        case lostReply
        /// It did not happen, and nobody can tell.
        case lostRequest
    }

    private struct State: Sendable {
        var tables: CatalogTables
        var faults: [(call: Call, fault: Fault)] = []
        var calls: [Call: Int] = [:]
        var serial: UInt64 = 0
    }

    private let state: Mutex<State>

    package init(_ tables: CatalogTables = CatalogTables()) { state = Mutex(State(tables: tables)) }

    /// A copy of all tables, for assertions.
    package var tables: CatalogTables { state.withLock { $0.tables } }
    package func calls(_ call: Call) -> Int { state.withLock { $0.calls[call] ?? 0 } }
    package func advance(_ duration: Duration) { state.withLock { $0.tables.now += duration.microseconds } }
    package func inject(_ fault: Fault, into call: Call, times: Int = 1) {
        state.withLock { $0.faults += Array(repeating: (call, fault), count: times) }
    }
    /// Direct access, to build a fleet.
    package func edit<R: Sendable>(_ body: @Sendable (inout CatalogTables) -> R) -> R {
        state.withLock { body(&$0.tables) }
    }

    func run<R: Sendable>(
        _ call: Call, _ body: (inout CatalogTables) throws(CatalogError) -> R
    ) throws(CatalogError) -> R {
        let result = state.withLock { state -> Result<R, CatalogError> in
            state.calls[call, default: 0] += 1
            // As in a database, no two transactions happen at the same moment.
            state.tables.now += 1
            let index = state.faults.firstIndex { $0.call == call }
            let fault = index.map { state.faults.remove(at: $0).fault }
            switch fault {
            case .unavailable: return .failure(.unavailable(evidence: "injected"))
            case .lostRequest: return .failure(.unknownOutcome(evidence: "injected: request lost"))
            case .lostReply, nil: break
            }
            // A transaction that fails changes nothing.
            var tables = state.tables
            let result = Result { () throws(CatalogError) in try body(&tables) }
            if case .success = result { state.tables = tables }
            return fault == .lostReply ? .failure(.unknownOutcome(evidence: "injected: reply lost")) : result
        }
        return try result.get()
    }
}

extension MemoryCatalog: WriteLedger {
    package func intend(_ intent: WriteIntent) async throws(CatalogError) -> IntentOutcome {
        try run(.intend) { (tables) throws(CatalogError) in try tables.intend(intent) }
    }
    package func commit(_ commit: WriteCommit) async throws(CatalogError) -> CommitOutcome {
        try run(.commit) { (tables) throws(CatalogError) in try tables.commit(commit) }
    }
    package func resolve(_ version: VersionID, readGrace: Duration) async throws(CatalogError) -> WriteResolution {
        try run(.resolve) { (tables) throws(CatalogError) in try tables.resolve(version) }
    }
    package func renew(_ version: VersionID, token: LeaseToken, lease: Duration) async throws(CatalogError) -> Bool {
        try run(.renew) { (tables) throws(CatalogError) in tables.renew(version, token: token, lease: lease) }
    }
    package func giveUp(_ version: VersionID, token: LeaseToken, late: [CopyID]) async throws(CatalogError) {
        try run(.giveUp) { (tables) throws(CatalogError) in try tables.giveUp(version, token: token, late: late) }
    }
    package func delete(
        bucket: BucketID, _ requests: [DeleteRequest], readGrace: Duration
    ) async throws(CatalogError) -> [DeleteOutcome] {
        try run(.delete) { (tables) throws(CatalogError) in
            try tables.delete(bucket: bucket, requests, readGrace: readGrace)
        }
    }
}

extension MemoryCatalog: UploadLedger {
    package func create(_ intent: UploadIntent) async throws(CatalogError) -> IntentOutcome {
        try run(.createUpload) { (tables) throws(CatalogError) in try tables.createUpload(intent) }
    }
    package func open(_ id: UploadID, backendUploadIDs: [CopyID: String]) async throws(CatalogError) -> Bool {
        try run(.openUpload) { (tables) throws(CatalogError) in try tables.openUpload(id, backendUploadIDs) }
    }
    package func find(_ id: UploadID, object: ObjectName) async throws(CatalogError) -> Upload? {
        try run(.findUpload) { (tables) throws(CatalogError) in tables.find(id, object) }
    }
    package func reserve(_ bytes: Int64, for id: UploadID, keeping: Int) async throws(CatalogError) -> PartReservation {
        try run(.reservePart) { (tables) throws(CatalogError) in try tables.reserve(bytes, for: id, keeping: keeping) }
    }
    package func record(_ part: UploadPart, of id: UploadID, reserved: Int64) async throws(CatalogError) -> Bool {
        try run(.recordPart) { (tables) throws(CatalogError) in try tables.record(part, of: id, reserved: reserved) }
    }
    package func parts(_ id: UploadID, after: Int, limit: Int) async throws(CatalogError) -> [UploadPart] {
        try run(.listParts) { (tables) throws(CatalogError) in tables.parts(id, after: after, limit: limit) }
    }
    package func beginComplete(
        _ id: UploadID, object: ObjectName, chosen: [ChosenPart]
    ) async throws(CatalogError) -> BeginCompleteOutcome {
        try run(.beginComplete) { (tables) throws(CatalogError) in tables.beginComplete(id, object, chosen) }
    }
    package func abort(_ id: UploadID, object: ObjectName) async throws(CatalogError) -> Bool {
        try run(.abortUpload) { (tables) throws(CatalogError) in try tables.abort(id, object) }
    }
    package func list(_ query: UploadQuery) async throws(CatalogError) -> [Upload] {
        try run(.listUploads) { (tables) throws(CatalogError) in tables.list(query) }
    }
}

extension MemoryCatalog: MoveLedger {
    package func claim(
        _ scope: MoveScope, limit: Int, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> [ClaimedVersion] {
        try run(.claim) { (tables) throws(CatalogError) in tables.claim(scope, limit: limit, token: token, lease: lease)
        }
    }
    package func renewClaims(_ token: LeaseToken, lease: Duration) async throws(CatalogError) -> Bool {
        try run(.renewClaims) { (tables) throws(CatalogError) in tables.renewClaims(token, lease: lease) }
    }
    package func release(
        _ version: VersionID, token: LeaseToken, _ end: WorkEnd
    ) async throws(CatalogError) {
        try run(.release) { (tables) throws(CatalogError) in
            tables.release(version, token: token, end)
        }
    }
    package func intendCopy(
        _ candidate: CopyCandidate, of version: VersionID, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> CopyIntentOutcome {
        try run(.intendCopy) { (tables) throws(CatalogError) in
            try tables.intendCopy(candidate, of: version, token: token, lease: lease)
        }
    }
    package func commitCopy(
        _ copy: UploadedCopy, of version: VersionID, token: LeaseToken, readGrace: Duration
    ) async throws(CatalogError) -> CopyCommitOutcome {
        try run(.commitCopy) { (tables) throws(CatalogError) in try tables.commitCopy(copy, of: version, token: token) }
    }
    package func record(upload: String, of copy: CopyID, token: LeaseToken) async throws(CatalogError) -> Bool {
        try run(.recordMove) { (tables) throws(CatalogError) in tables.record(upload: upload, of: copy, token: token) }
    }
    package func record(_ part: MovedPart, of copy: CopyID, token: LeaseToken) async throws(CatalogError) -> Bool {
        try run(.recordMove) { (tables) throws(CatalogError) in tables.record(part, of: copy, token: token) }
    }
    package func resumeCopy(
        of version: VersionID, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> MoveProgress? {
        try run(.resumeCopy) { (tables) throws(CatalogError) in
            tables.resumeCopy(of: version, token: token, lease: lease)
        }
    }
    package func doom(_ request: DoomRequest) async throws(CatalogError) -> DoomOutcome {
        try run(.doom) { (tables) throws(CatalogError) in try tables.doom(request) }
    }
}

extension MemoryCatalog: DeletionLedger {
    package func claimDoomed(
        backend: BackendID, limit: Int, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> [DoomedCopy] {
        try run(.claimDoomed) { (tables) throws(CatalogError) in
            tables.claimDoomed(backend: backend, limit: limit, token: token, lease: lease)
        }
    }
    package func settle(_ copy: CopyID, token: LeaseToken, _ result: DeletionResult) async throws(CatalogError) {
        try run(.settle) { (tables) throws(CatalogError) in try tables.settle(copy, token: token, result) }
    }
    package func reapExpiredWrites(limit: Int) async throws(CatalogError) -> Int {
        try run(.reap) { (tables) throws(CatalogError) in try tables.reapExpiredWrites(limit: limit) }
    }
    package func forgetGone(limit: Int) async throws(CatalogError) -> Int {
        try run(.forget) { (tables) throws(CatalogError) in tables.forgetGone(limit: limit) }
    }
    package func abortStaleUploads(drainGrace: Duration, maxAge: Duration, limit: Int) async throws(CatalogError) -> Int
    {
        try run(.abortStale) { (tables) throws(CatalogError) in
            try tables.abortStaleUploads(drainGrace: drainGrace, maxAge: maxAge, limit: limit)
        }
    }
}

extension MemoryCatalog: ObjectIndex {
    package func current(_ object: ObjectName) async throws(CatalogError) -> PlacedVersion? {
        try run(.current) { (tables) throws(CatalogError) in tables.current(object) }
    }
    package func list(_ query: ListingQuery) async throws(CatalogError) -> ListingPage {
        try run(.list) { (tables) throws(CatalogError) in tables.list(query) }
    }
    package func partChecksums(_ version: VersionID) async throws(CatalogError) -> [String] {
        try run(.partChecksums) { (tables) throws(CatalogError) in tables.partChecksums(version) }
    }
    package func annotate(_ object: ObjectName, _ annotation: ObjectAnnotation) async throws(CatalogError) -> VersionID?
    {
        try run(.annotate) { (tables) throws(CatalogError) in tables.annotate(object, annotation) }
    }
    package func markSuspect(_ copy: CopyID) async throws(CatalogError) -> Bool {
        try run(.markSuspect) { (tables) throws(CatalogError) in tables.markSuspect(copy) }
    }
}

extension MemoryCatalog: FleetLedger {
    package func snapshot() async throws(CatalogError) -> FleetSnapshot {
        try run(.snapshot) { (tables) throws(CatalogError) in tables.snapshot() }
    }
    package func accept(_ proposal: SpecProposal) async throws(CatalogError) -> SpecAcceptance {
        let first = state.withLock { state in
            state.serial += UInt64(proposal.desired.backends.count)
            return state.serial
        }
        let uids = proposal.desired.backends.indices.map { ID128(high: 0x5C0, low: first + UInt64($0)) }
        return try run(.accept) { (tables) throws(CatalogError) in tables.accept(proposal, uids: uids) }
    }
    package func verdict(_ proposal: SpecProposal) async throws(CatalogError) -> SpecAcceptance {
        try run(.snapshot) { (tables) throws(CatalogError) in
            var (copy, proposal) = (tables, proposal)
            proposal.parent = tables.snapshot().revision
            return copy.accept(proposal, uids: proposal.desired.backends.map { _ in ID128(high: 0, low: 0) })
        }
    }
    package func change(_ backend: BackendID, from: BackendPhase, to: BackendPhase, under revision: Int64?)
        async throws(CatalogError) -> PhaseOutcome
    {
        try run(.changePhase) { (tables) throws(CatalogError) in
            tables.change(backend, from: from, to: to, under: revision)
        }
    }
    package func recordMarked(_ backend: BackendID) async throws(CatalogError) {
        try run(.recordMarked) { (tables) throws(CatalogError) in tables.backends[backend]?.isMarked = true }
    }
    package func residue(_ backend: BackendID) async throws(CatalogError) -> BackendResidue {
        try run(.residue) { (tables) throws(CatalogError) in tables.residue(backend) }
    }
    package func drains() async throws(CatalogError) -> [DrainRecord] {
        try run(.drains) { (tables) throws(CatalogError) in tables.drains() }
    }
    package func abandon(_ backend: BackendID, soleCopiesMax: Int64) async throws(CatalogError) -> AbandonOutcome {
        try run(.abandon) { (tables) throws(CatalogError) in
            try tables.abandon(backend, soleCopiesMax: soleCopiesMax)
        }
    }
    package func endAbandoned(_ backend: BackendID, limit: Int) async throws(CatalogError) -> Int {
        try run(.endAbandoned) { (tables) throws(CatalogError) in try tables.endAbandoned(backend, limit: limit) }
    }
    package func lostObjects(after: VersionID?, limit: Int) async throws(CatalogError) -> [LostObject] {
        try run(.lostObjects) { (tables) throws(CatalogError) in
            let rest = tables.lostRows.sorted { $0.version < $1.version }.filter { row in
                after.map { $0 < row.version } ?? true
            }
            return Array(rest.prefix(limit))
        }
    }
    package func copyGroups() async throws(CatalogError) -> [CopyGroup] {
        try run(.copyGroups) { (tables) throws(CatalogError) in tables.copyGroups() }
    }
}

extension MemoryCatalog: StatusLedger {
    package func conditions() async throws(CatalogError) -> [ConditionRecord] {
        try run(.conditions) { (tables) throws(CatalogError) in tables.conditionRows }
    }
    package func publish(_ conditions: [ConditionRecord], events: [EventRecord]) async throws(CatalogError) {
        try run(.publish) { (tables) throws(CatalogError) in tables.publish(conditions, events: events) }
    }
    package func events(limit: Int) async throws(CatalogError) -> [EventRecord] {
        try run(.events) { (tables) throws(CatalogError) in Array(tables.eventRows.reversed().prefix(limit)) }
    }
}

extension MemoryCatalog: BucketLedger {
    package func bucket(_ name: String) async throws(CatalogError) -> BucketRecord? {
        try run(.bucket) { (tables) throws(CatalogError) in tables.bucket(name) }
    }
    package func createBucket(
        _ name: String, owner: String, settings: [BucketSetting: String], limit: Int
    ) async throws(CatalogError) -> BucketCreationOutcome {
        try run(.createBucket) { (tables) throws(CatalogError) in
            tables.createBucket(name, owner: owner, settings: settings, limit: limit)
        }
    }
    package func deleteBucket(_ bucket: BucketID) async throws(CatalogError) -> BucketDeletionOutcome {
        try run(.deleteBucket) { (tables) throws(CatalogError) in try tables.deleteBucket(bucket) }
    }
    package func set(_ setting: BucketSetting, _ value: String?, of bucket: BucketID) async throws(CatalogError) -> Bool
    {
        try run(.setBucket) { (tables) throws(CatalogError) in tables.set(setting, value, of: bucket) }
    }
}
