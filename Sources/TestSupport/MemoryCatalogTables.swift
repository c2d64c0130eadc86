package import Catalog
import Spec

/// The tables of the catalog as one value: every method is one transaction, with the semantics of the SQL functions.
///
/// No clock: `now` is set by whoever drives it. The simulator drives it directly; `MemoryCatalog` wraps it for async callers.
package struct CatalogTables: Sendable {
    /// Protections that a test takes away, to see that the simulator notices.
    package enum Ablation: Hashable, Sendable, CaseIterable {
        /// A commit does not ask whether its copies are still `writing` under its token.
        case commitWithoutFence
        /// Dooming does not count the other copies under the lock.
        case doomWithoutRecount
        /// A new copy may begin on any backend.
        case intentWithoutGate
        /// A name may be used by several copies.
        case sharedNames
        /// A completed upload is answered as if it were not there.
        case forgottenResults
        /// A copy may begin where there is no room for it.
        case intentWithoutQuota
        /// A backend is called drained, or retired, without a look at what is left.
        case drainWithoutProof
        case retireWithoutProof
        /// A write that is under way on a backend that is given up may become visible.
        case abandonWithoutFence
    }

    /// Microseconds since 1970.
    package var now: Int64
    package var ablations: Set<Ablation> = []

    package var backends: [BackendID: BackendRecord] = [:]
    package var buckets: [BucketID: BucketRecord] = [:]
    package var objects: [ObjectAddress: ObjectRow] = [:]
    package var versions: [VersionID: VersionRow] = [:]
    package var copies: [CopyID: CopyRow] = [:]
    /// The copies of each version, so that nothing scans the whole table.
    var copiesByVersion: [VersionID: Set<CopyID>] = [:]
    /// Names that were ever used, for the unique constraint.
    var physicalNames: Set<PhysicalAddress> = []
    package var usage: [BackendID: BackendUsage] = [:]
    var uploads: [UploadID: UploadRow] = [:]
    var work: [VersionID: WorkRow] = [:]
    var drainRows: [BackendID: DrainRecord] = [:]
    var revisions: [RevisionRow] = []
    var conditionRows: [ConditionRecord] = []
    var eventRows: [EventRecord] = []
    var factors: [BucketID: FactorRow] = [:]
    var lostRows: [LostObject] = []
    var monthlyRows: [BackendID: MonthlyUsage] = [:]
    var rebalanceRow = RebalanceRow()
    var paceRows: [BackendID: PaceRow] = [:]
    /// When the reconciler dropped copies under a ceiling.
    var dropRows: [Int64] = []
    var scrubRows: [BackendID: ScrubRow] = [:]
    package var safeguardRow = Safeguard(epoch: 1)
    var epochRaisedAt = Int64.min
    var lifetimeRows: [CatalogLifetime] = []
    var newestEpochSeen: Int64 = 0
    var agreedEpoch: Int64 = 0
    var inventoryRows: [BackendID: InventoryRow] = [:]
    var orphanRows: [OrphanAddress: OrphanRow] = [:]
    /// When a backend came into its phase.
    var phaseSince: [BackendID: Int64] = [:]

    package init(now: Int64 = 1_700_000_000_000_000) { self.now = now }

    // MARK: Rows

    /// Keys by their bytes: Swift compares text by canonical equivalence, S3 and Postgres do not.
    package struct ObjectAddress: Hashable, Comparable, Sendable {
        package let bucket: BucketID
        package let key: [UInt8]
        package init(_ name: ObjectName) {
            bucket = name.bucket
            key = Array(name.key.utf8)
        }
        package static func < (a: ObjectAddress, b: ObjectAddress) -> Bool {
            a.bucket != b.bucket ? a.bucket < b.bucket : a.key.lexicographicallyPrecedes(b.key)
        }
    }

    struct PhysicalAddress: Hashable, Sendable {
        let backend: BackendID
        let name: [UInt8]
    }

    package struct ObjectRow: Sendable, Equatable {
        package var name: ObjectName
        package var current: VersionID?
        package var lastSequence: Int64 = 0
        var deletedAt: Int64?
        package init(name: ObjectName, current: VersionID? = nil, lastSequence: Int64 = 0) {
            self.name = name
            self.current = current
            self.lastSequence = lastSequence
        }
    }

    package struct VersionRow: Sendable, Equatable {
        package var id: VersionID
        package var object: ObjectName
        package var size: Int64
        package var headers: ObjectHeaders
        package var digests: ContentDigests?
        package var partSizes: [Int64] = []
        package var sequence: Int64?
        package var committedAt: Int64?
        package var supersededAt: Int64?
        package var createdAt: Int64
        package var isRetained: Bool { committedAt != nil && supersededAt == nil }
    }

    package struct CopyRow: Sendable, Equatable {
        package var copy: Copy
        package var bytes: Int64
        package var token: LeaseToken?
        package var leaseUntil: Int64?
        package var upload: UploadID?
        package var backendUploadID: String?
        package var mayArriveLate = false
        package var deleteNotBefore: Int64?
        package var seenAbsent = false
        package var attempts = 0
        package var claimToken: LeaseToken?
        package var claimUntil: Int64?
        package var lastError: String?
        var moveParts: [Int: MovedPart] = [:]
        /// When it became live, else when it began.
        var since: Int64 = 0
    }

    struct UploadRow: Sendable, Equatable {
        var id: UploadID
        var object: ObjectName
        var version: VersionID
        var token: LeaseToken
        var state: Upload.State
        var checksumAlgorithm: String?
        var checksumType: String?
        var chosen: [ChosenPart] = []
        var parts: [Int: UploadPart] = [:]
        var createdAt: Int64
        var changedAt: Int64
    }

    struct WorkRow: Sendable, Equatable {
        var token: LeaseToken?
        var leaseUntil: Int64
        var notBefore: Int64
        var releasedAt = Int64.min
        var attempts = 0
        var lastError: String?
    }

    struct RevisionRow: Sendable {
        var revision: Int64
        var digest: String
        var acceptedAt: Int64
        var trimDelay: Duration
    }

    struct FactorRow: Sendable, Equatable {
        var factor: Int
        var since: Int64
    }

    // MARK: Steps that transactions share

    /// The only way in which a copy changes its state: keeps the guard of the table, and the counters.
    mutating func step(_ id: CopyID, to next: CopyState, bytes: Int64? = nil) throws(CatalogError) {
        guard var row = copies[id] else { throw .internalError(evidence: "there is no copy \(id)") }
        let isSame = row.copy.state == next
        guard isSame || row.copy.state.mayBecome(next) else {
            throw .internalError(evidence: "copy \(id) may not go from \(row.copy.state) to \(next)")
        }
        count(row, -1)
        if row.copy.state != next, next == .live { row.since = now }
        row.copy.state = next
        row.bytes = bytes ?? row.bytes
        if next != .writing {
            row.token = nil
            row.leaseUntil = nil
        }
        count(row, 1)
        copies[id] = row
    }

    mutating func insert(_ row: CopyRow) throws(CatalogError) {
        let name = PhysicalAddress(backend: row.copy.backend, name: Array(row.copy.physicalKey.utf8))
        guard copies[row.copy.id] == nil, physicalNames.insert(name).inserted || ablations.contains(.sharedNames) else {
            throw .internalError(evidence: "23505 duplicate copy or name \(row.copy.physicalKey)")
        }
        var row = row
        row.since = now
        copies[row.copy.id] = row
        copiesByVersion[row.copy.version, default: []].insert(row.copy.id)
        count(row, 1)
    }

    mutating func remove(_ id: CopyID) {
        guard let row = copies.removeValue(forKey: id) else { return }
        copiesByVersion[row.copy.version]?.remove(id)
        if copiesByVersion[row.copy.version]?.isEmpty == true { copiesByVersion[row.copy.version] = nil }
        physicalNames.remove(PhysicalAddress(backend: row.copy.backend, name: Array(row.copy.physicalKey.utf8)))
    }

    private mutating func count(_ row: CopyRow, _ sign: Int64) {
        var one = usage[row.copy.backend] ?? BackendUsage()
        func add(_ tally: inout BackendUsage.Tally) {
            tally.copies += sign
            tally.bytes += ByteCount(sign * row.bytes)
        }
        switch row.copy.state {
        case .writing: add(&one.writing)
        case .live: add(&one.live)
        case .doomed: add(&one.doomed)
        case .gone: break
        }
        usage[row.copy.backend] = one
    }

    /// Sorted by id, as locks are taken.
    package func copies(of version: VersionID) -> [CopyRow] {
        (copiesByVersion[version] ?? []).sorted().compactMap { copies[$0] }
    }

    mutating func doom(_ id: CopyID, after grace: Duration, isLate: Bool) throws(CatalogError) {
        try step(id, to: .doomed)
        copies[id]?.mayArriveLate = isLate
        copies[id]?.deleteNotBefore = now + grace.microseconds
    }

    /// Why a backend cannot take a copy.
    func refusal(_ backend: BackendID, _ version: VersionID, _ size: Int64) -> IntentRefusal? {
        guard let record = backends[backend] else { return .notActive }
        if record.isAbandoned { return .notActive }
        if !ablations.contains(.intentWithoutGate), record.phase != .active || !record.isDeclared { return .notActive }
        let isThere = copies(of: version).contains { row in
            row.copy.backend == backend && (row.copy.state == .writing || row.copy.state == .live)
                && !row.copy.isSuspect
        }
        if isThere { return .alreadyThere }
        if let quota = record.spec.quota, !ablations.contains(.intentWithoutQuota),
            quota.value < size + (usage[backend]?.occupied.value ?? 0)
        {
            return .overQuota
        }
        return nil
    }

    func version(_ row: VersionRow) -> Version {
        var digests = row.digests ?? ContentDigests(etag: "")
        digests.partChecksums = []
        return Version(
            id: row.id, object: row.object, size: row.size, digests: digests, headers: row.headers,
            partSizes: row.partSizes, committedAt: row.committedAt ?? 0, sequence: row.sequence ?? 0)
    }

    func placed(_ id: VersionID, states: Set<CopyState>) -> PlacedVersion? {
        guard let row = versions[id] else { return nil }
        let found = copies(of: id).map(\.copy).filter { states.contains($0.state) }
        return PlacedVersion(version: version(row), copies: found.sorted { ($0.backend, $0.id) < ($1.backend, $1.id) })
    }
}

extension Duration {
    var microseconds: Int64 { Int64(self / .microseconds(1)) }
}
