package import Spec

/// A name that a look through a backend found, and that we could have given.
package struct ListedName: Sendable, Equatable {
    package var name: String
    /// 0 for an open upload, whose size nobody knows.
    package var bytes: Int64
    package init(name: String, bytes: Int64) {
        self.name = name
        self.bytes = bytes
    }
}

/// Where a round through a backend's names has come to.
package struct InventoryPosition: Sendable, Equatable {
    package var round: Int64
    /// Names up to this one were looked at; nil at the beginning.
    package var after: String?
    package init(round: Int64, after: String?) {
        self.round = round
        self.after = after
    }
}

/// What one page of a round found: all of our names behind `after` and up to `through`, or all to the end.
package struct InventoryPage: Sendable, Equatable {
    package var backend: BackendID
    package var token: LeaseToken
    package var position: InventoryPosition
    /// nil: nothing comes behind this page, and the round is over.
    package var through: String?
    package var objects: [ListedName]
    /// With the last page: all open uploads of our names; nil if they could not be listed whole.
    package var uploads: [ListedName]?
    package init(
        backend: BackendID, token: LeaseToken, position: InventoryPosition, through: String?, objects: [ListedName],
        uploads: [ListedName]?
    ) {
        self.backend = backend
        self.token = token
        self.position = position
        self.through = through
        self.objects = objects
        self.uploads = uploads
    }
}

/// An object or an upload on a backend that is ours by its name, while no row names it.
///
/// It comes from an intent that a crash of Postgres took away (DESIGN §6), or from a catalog that went back in time: that is why
/// it stays in quarantine before its bytes go.
package struct Orphan: Sendable, Equatable {
    package var backend: BackendID
    package var name: String
    package var isUpload: Bool
    package var bytes: Int64
    /// Microseconds since 1970.
    package var firstSeenAt: Int64
    /// Seen in so many rounds.
    package var sightings: Int
    /// What it says about itself is not ours: it is left alone for ever.
    package var isForeign: Bool
    package init(
        backend: BackendID, name: String, isUpload: Bool, bytes: Int64, firstSeenAt: Int64, sightings: Int,
        isForeign: Bool
    ) {
        self.backend = backend
        self.name = name
        self.isUpload = isUpload
        self.bytes = bytes
        self.firstSeenAt = firstSeenAt
        self.sightings = sightings
        self.isForeign = isForeign
    }
}

/// How a backend's inventory stands.
package struct InventoryRecord: Sendable, Equatable {
    package var backend: BackendID
    /// The round under way, or the last one.
    package var round: Int64
    /// Microseconds since 1970.
    package var startedAt: Int64
    /// nil while the round is under way.
    package var finishedAt: Int64?
    package var orphans: Int64
    package var orphanBytes: ByteCount
    /// Microseconds since 1970; nil without orphans.
    package var oldestOrphanSeenAt: Int64?
    package var foreign: Int64
    package init(
        backend: BackendID, round: Int64, startedAt: Int64, finishedAt: Int64?, orphans: Int64 = 0,
        orphanBytes: ByteCount = .zero, oldestOrphanSeenAt: Int64? = nil, foreign: Int64 = 0
    ) {
        self.backend = backend
        self.round = round
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.orphans = orphans
        self.orphanBytes = orphanBytes
        self.oldestOrphanSeenAt = oldestOrphanSeenAt
        self.foreign = foreign
    }
}

package enum OrphanOutcome: Sendable, Equatable {
    /// A doomed row names it now; deletion takes its usual way.
    case doomed
    /// Not an orphan any more, or its backend is not one whose objects may be deleted.
    case notOrphan
    /// It is the only copy that may be left of a version that clients see: kept.
    case lastCopy
    /// As many copies as the spec allows were dropped within the hour.
    case ceilingReached
}

/// What is on the backends and in no row (DESIGN §6: objects that are ours and in no row go to quarantine); each call is one
/// transaction.
package protocol InventoryLedger: Sendable {
    /// Takes the backend's round for the lease: goes on with the one under way, or begins the next if the last began at least
    /// `interval` ago. nil if there is nothing to do, or another instance is at it.
    func beginInventory(_ backend: BackendID, interval: Duration, token: LeaseToken, lease: Duration)
        async throws(CatalogError) -> InventoryPosition?
    /// Records the names that no row names as orphans, forgets those of the page's range that are not there any more or have a row,
    /// and moves on. nil if the lease was lost; else how many new orphans there are.
    func record(_ page: InventoryPage, lease: Duration) async throws(CatalogError) -> Int?
    /// Objects that were first seen at least `quarantine` ago and again in a later round; oldest first. Not uploads: they say
    /// nothing about themselves, so that nobody knows whose they are.
    func dueOrphans(_ backend: BackendID, quarantine: Duration, limit: Int) async throws(CatalogError) -> [Orphan]
    /// By backend and name.
    func orphans(_ backend: BackendID?, after: Orphan?, limit: Int) async throws(CatalogError) -> [Orphan]
    /// Gives an orphan a doomed row. `version` is what its name says it is of; `copy` and `owner` are new ids; `hourlyMax` as in a
    /// `DoomRequest`.
    func doomOrphan(_ orphan: Orphan, of version: VersionID, copy: CopyID, owner: VersionID, hourlyMax: Int64?)
        async throws(CatalogError) -> OrphanOutcome
    /// It may be the last copy of something: its quarantine begins anew, so that others are looked at before it.
    func keep(_ orphan: Orphan) async throws(CatalogError)
    /// What it says about itself is not ours.
    func markForeign(_ orphan: Orphan) async throws(CatalogError)
    /// Of backends that had a round; by id.
    func inventories() async throws(CatalogError) -> [InventoryRecord]
}
