/// Where a round of verification has come to.
package struct ScrubPosition: Sendable, Equatable {
    package var round: Int64
    /// Copies of versions up to this one were verified; nil at the beginning.
    package var after: VersionID?
    package init(round: Int64, after: VersionID?) {
        self.round = round
        self.after = after
    }
}

/// What became of copies that were read in full.
package struct ScrubTally: Sendable, Equatable {
    package var copies: Int64
    package var bytes: Int64
    /// Absent or other bytes than they should be: suspect from now on, and repaired from another copy.
    package var damaged: Int64
    /// The backend did not give them; nothing is concluded.
    package var unreadable: Int64
    package init(copies: Int64 = 0, bytes: Int64 = 0, damaged: Int64 = 0, unreadable: Int64 = 0) {
        self.copies = copies
        self.bytes = bytes
        self.damaged = damaged
        self.unreadable = unreadable
    }
    package static func += (a: inout ScrubTally, b: ScrubTally) {
        a.copies += b.copies
        a.bytes += b.bytes
        a.damaged += b.damaged
        a.unreadable += b.unreadable
    }
}

package struct ScrubRecord: Sendable, Equatable {
    package var backend: BackendID
    /// The round under way, or the last one.
    package var round: Int64
    /// Microseconds since 1970.
    package var startedAt: Int64
    /// nil while the round is under way.
    package var finishedAt: Int64?
    package var tally: ScrubTally
    package init(backend: BackendID, round: Int64, startedAt: Int64, finishedAt: Int64?, tally: ScrubTally) {
        self.backend = backend
        self.round = round
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.tally = tally
    }
}

/// Rounds in which every live copy of a backend is read and verified; each call is one transaction.
package protocol ScrubLedger: Sendable {
    /// Takes the backend's round for the lease: goes on with the one under way, or begins the next if the last began at least
    /// `interval` ago (nil: none is begun). nil if there is nothing to do, or another instance is at it.
    func beginScrub(_ backend: BackendID, interval: Duration?, token: LeaseToken, lease: Duration)
        async throws(CatalogError) -> ScrubPosition?
    /// Keeps the round for the lease from now on. False if it was lost.
    func renewScrub(_ backend: BackendID, token: LeaseToken, lease: Duration) async throws(CatalogError) -> Bool
    /// Live, unsuspected copies there, each with its version, by version; behind `after`.
    func copiesToScrub(_ backend: BackendID, after: VersionID?, limit: Int) async throws(CatalogError)
        -> [PlacedVersion]
    /// Adds to the round's tally and moves on; `through` nil ends the round. False if the lease was lost. The claim ends with it.
    func recordScrub(
        _ backend: BackendID, token: LeaseToken, round: Int64, through: VersionID?, _ tally: ScrubTally
    ) async throws(CatalogError) -> Bool
    /// Of backends that had a round; by id.
    func scrubs() async throws(CatalogError) -> [ScrubRecord]
}
