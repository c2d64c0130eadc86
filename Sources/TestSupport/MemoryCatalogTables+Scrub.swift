package import Catalog

/// Rounds of verification (`Migration010Scrub`).
extension CatalogTables {
    struct ScrubRow: Sendable, Equatable {
        var round: Int64 = 0
        var after: VersionID?
        var startedAt = Int64.min
        /// nil while a round is under way.
        var finishedAt: Int64? = Int64.min
        var tally = ScrubTally()
        var token: LeaseToken?
        var leaseUntil = Int64.min
    }

    mutating func beginScrub(
        _ backend: BackendID, interval: Duration?, token: LeaseToken, lease: Duration
    ) -> ScrubPosition? {
        var row = scrubRows[backend] ?? ScrubRow()
        guard row.leaseUntil <= now else { return nil }
        if row.finishedAt != nil {
            guard let interval, row.startedAt == Int64.min || row.startedAt <= now - interval.microseconds else {
                return nil
            }
            row = ScrubRow(round: row.round + 1, startedAt: now, finishedAt: nil)
        }
        row.token = token
        row.leaseUntil = now + lease.microseconds
        scrubRows[backend] = row
        return ScrubPosition(round: row.round, after: row.after)
    }

    mutating func renewScrub(_ backend: BackendID, token: LeaseToken, lease: Duration) -> Bool {
        guard scrubRows[backend]?.token == token else { return false }
        scrubRows[backend]?.leaseUntil = now + lease.microseconds
        return true
    }

    func copiesToScrub(_ backend: BackendID, after: VersionID?, limit: Int) -> [PlacedVersion] {
        let there = copies.values.map(\.copy).filter { copy in
            copy.backend == backend && copy.state == .live && !copy.isSuspect && after.map { $0 < copy.version } ?? true
        }
        return there.sorted { $0.version < $1.version }.prefix(limit).compactMap { copy in
            versions[copy.version].map { PlacedVersion(version: version($0), copies: [copy]) }
        }
    }

    mutating func recordScrub(
        _ backend: BackendID, token: LeaseToken, round: Int64, through: VersionID?, _ tally: ScrubTally
    ) -> Bool {
        guard var row = scrubRows[backend], row.token == token, row.round == round, row.finishedAt == nil else {
            return false
        }
        row.after = through
        if through == nil { row.finishedAt = now }
        row.tally += tally
        row.token = nil
        row.leaseUntil = Int64.min
        scrubRows[backend] = row
        return true
    }

    func scrubs() -> [ScrubRecord] {
        scrubRows.filter { $0.value.round > 0 }.sorted { $0.key < $1.key }.map { backend, row in
            ScrubRecord(
                backend: backend, round: row.round, startedAt: row.startedAt, finishedAt: row.finishedAt,
                tally: row.tally)
        }
    }
}

extension MemoryCatalog: ScrubLedger {
    package func renewScrub(
        _ backend: BackendID, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> Bool {
        try run(.scrub) { (tables) throws(CatalogError) in
            tables.renewScrub(backend, token: token, lease: lease)
        }
    }
    package func beginScrub(
        _ backend: BackendID, interval: Duration?, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> ScrubPosition? {
        try run(.scrub) { (tables) throws(CatalogError) in
            tables.beginScrub(backend, interval: interval, token: token, lease: lease)
        }
    }
    package func copiesToScrub(
        _ backend: BackendID, after: VersionID?, limit: Int
    ) async throws(CatalogError) -> [PlacedVersion] {
        try run(.scrub) { (tables) throws(CatalogError) in tables.copiesToScrub(backend, after: after, limit: limit) }
    }
    package func recordScrub(
        _ backend: BackendID, token: LeaseToken, round: Int64, through: VersionID?, _ tally: ScrubTally
    ) async throws(CatalogError) -> Bool {
        try run(.scrub) { (tables) throws(CatalogError) in
            tables.recordScrub(backend, token: token, round: round, through: through, tally)
        }
    }
    package func scrubs() async throws(CatalogError) -> [ScrubRecord] {
        try run(.scrub) { (tables) throws(CatalogError) in tables.scrubs() }
    }
}
