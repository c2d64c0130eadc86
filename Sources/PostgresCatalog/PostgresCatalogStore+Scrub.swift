package import Catalog
import Postgres

extension PostgresCatalogStore: ScrubLedger {
    package func beginScrub(
        _ backend: BackendID, interval: Duration?, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> ScrubPosition? {
        let rows = try await write(
            "SELECT round_now, place FROM begin_scrub_v1($1,$2,$3,$4)",
            [
                .int4(backend.raw), interval.map { .int8($0.milliseconds) } ?? .null, .uuid(token.raw.uuid),
                .int8(lease.milliseconds),
            ])
        guard rows.count > 0 else { return nil }
        return ScrubPosition(
            round: rows.int8(0, 0), after: rows.isNull(0, 1) ? nil : VersionID(ID128(rows.uuid(0, 1))))
    }

    package func renewScrub(
        _ backend: BackendID, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> Bool {
        try await write(
            """
            UPDATE scrub SET lease_until = clock_timestamp() + make_interval(secs => $3 / 1000.0)
            WHERE backend_id = $1 AND token = $2 RETURNING true
            """, [.int4(backend.raw), .uuid(token.raw.uuid), .int8(lease.milliseconds)]
        ).count > 0
    }

    package func copiesToScrub(
        _ backend: BackendID, after: VersionID?, limit: Int
    ) async throws(CatalogError) -> [PlacedVersion] {
        let first = ID128(high: 0, low: 0)
        return try PostgresCatalogStore.placedVersions(
            try await read(
                """
                SELECT \(PostgresCatalogStore.versionColumns), \(PostgresCatalogStore.copyColumns)
                FROM copy c JOIN version v ON v.id = c.version_id
                WHERE c.backend_id = $1 AND c.state = 'live' AND NOT c.suspect AND c.version_id > $2
                ORDER BY c.version_id LIMIT $3
                """, [.int4(backend.raw), .uuid((after?.raw ?? first).uuid), .int4(Int32(limit))]))
    }

    package func recordScrub(
        _ backend: BackendID, token: LeaseToken, round: Int64, through: VersionID?, _ tally: ScrubTally
    ) async throws(CatalogError) -> Bool {
        try await write(
            """
            UPDATE scrub SET position = $4, finished_at = CASE WHEN $4::uuid IS NULL THEN clock_timestamp() END,
                copies = copies + $5, bytes = bytes + $6, damaged = damaged + $7, unreadable = unreadable + $8,
                token = NULL, lease_until = '-infinity'
            WHERE backend_id = $1 AND token = $2 AND round = $3 AND finished_at IS NULL RETURNING true
            """,
            [
                .int4(backend.raw), .uuid(token.raw.uuid), .int8(round), through.map { .uuid($0.raw.uuid) } ?? .null,
                .int8(tally.copies), .int8(tally.bytes), .int8(tally.damaged), .int8(tally.unreadable),
            ]
        ).count > 0
    }

    package func scrubs() async throws(CatalogError) -> [ScrubRecord] {
        let rows = try await read(
            """
            SELECT backend_id, round, (extract(epoch FROM started_at) * 1000000)::bigint,
                (extract(epoch FROM finished_at) * 1000000)::bigint, copies, bytes, damaged, unreadable
            FROM scrub WHERE round > 0 ORDER BY backend_id
            """)
        return (0..<rows.count).map { row in
            ScrubRecord(
                backend: BackendID(rows.int4(row, 0)), round: rows.int8(row, 1), startedAt: rows.int8(row, 2),
                finishedAt: rows.optionalInt8(row, 3),
                tally: ScrubTally(
                    copies: rows.int8(row, 4), bytes: rows.int8(row, 5), damaged: rows.int8(row, 6),
                    unreadable: rows.int8(row, 7)))
        }
    }
}
