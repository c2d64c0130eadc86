package import Catalog
import Postgres
import Spec

extension PostgresCatalogStore: InventoryLedger {
    package func beginInventory(
        _ backend: BackendID, interval: Duration, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> InventoryPosition? {
        let rows = try await write(
            "SELECT round_now, place FROM begin_inventory_v2($1,$2,$3,$4)",
            [.int4(backend.raw), .int8(interval.milliseconds), .uuid(token.raw.uuid), .int8(lease.milliseconds)])
        guard rows.count > 0 else { return nil }
        let place = rows.text(0, 1)
        return InventoryPosition(round: rows.int8(0, 0), after: place.isEmpty ? nil : place)
    }

    package func record(_ page: InventoryPage, lease: Duration) async throws(CatalogError) -> Int? {
        let rows = try await write(
            "SELECT record_inventory_v2($1,$2,$3,$4,$5,$6,$7,$8,$9)",
            [
                .int4(page.backend.raw), .uuid(page.token.raw.uuid), .int8(page.position.round),
                .text(page.position.after ?? ""), page.through.map { .text($0) } ?? .null,
                .texts(page.objects.map(\.name)), .int8s(page.objects.map(\.bytes)),
                page.uploads.map { .texts($0.map(\.name)) } ?? .null, .int8(lease.milliseconds),
            ])
        return rows.isNull(0, 0) ? nil : Int(rows.int4(0, 0))
    }

    private static let orphanColumns =
        "backend_id, physical_key, is_upload, bytes, (extract(epoch FROM first_seen) * 1000000)::bigint, sightings, is_foreign"

    private static func orphans(_ rows: PostgresRows) -> [Orphan] {
        (0..<rows.count).map { row in
            Orphan(
                backend: BackendID(rows.int4(row, 0)), name: rows.text(row, 1), isUpload: rows.bool(row, 2),
                bytes: rows.int8(row, 3), firstSeenAt: rows.int8(row, 4), sightings: Int(rows.int4(row, 5)),
                isForeign: rows.bool(row, 6))
        }
    }

    package func dueOrphans(
        _ backend: BackendID, quarantine: Duration, limit: Int
    ) async throws(CatalogError) -> [Orphan] {
        PostgresCatalogStore.orphans(
            try await read(
                """
                SELECT \(PostgresCatalogStore.orphanColumns) FROM orphan
                WHERE backend_id = $1 AND sightings >= 2 AND NOT is_foreign AND NOT is_upload
                    AND first_seen <= clock_timestamp() - make_interval(secs => $2 / 1000.0)
                ORDER BY first_seen, physical_key, is_upload LIMIT $3
                """, [.int4(backend.raw), .int8(quarantine.milliseconds), .int4(Int32(limit))]))
    }

    package func orphans(_ backend: BackendID?, after: Orphan?, limit: Int) async throws(CatalogError) -> [Orphan] {
        PostgresCatalogStore.orphans(
            try await read(
                """
                SELECT \(PostgresCatalogStore.orphanColumns) FROM orphan
                WHERE ($1 = 0 OR backend_id = $1) AND (backend_id, physical_key, is_upload) > ($2, $3, $4)
                ORDER BY backend_id, physical_key, is_upload LIMIT $5
                """,
                [
                    .int4(backend?.raw ?? 0), .int4(after?.backend.raw ?? 0), .text(after?.name ?? ""),
                    .bool(after?.isUpload ?? false), .int4(Int32(limit)),
                ]))
    }

    package func doomOrphan(
        _ orphan: Orphan, of version: VersionID, copy: CopyID, owner: VersionID, hourlyMax: Int64?
    ) async throws(CatalogError) -> OrphanOutcome {
        let rows = try await write(
            "SELECT doom_orphan_v3($1,$2,$3,$4,$5,$6,$7)",
            [
                .int4(orphan.backend.raw), .text(orphan.name), .bool(orphan.isUpload), .uuid(version.raw.uuid),
                .uuid(copy.raw.uuid), .uuid(owner.raw.uuid), hourlyMax.map { .int8($0) } ?? .null,
            ])
        switch rows.text(0, 0) {
        case "doomed": return .doomed
        case "notOrphan": return .notOrphan
        case "lastCopy": return .lastCopy
        case "ceiling": return .ceilingReached
        case let other: throw .internalError(evidence: "orphan outcome \(other)")
        }
    }

    package func keep(_ orphan: Orphan) async throws(CatalogError) {
        _ = try await write(
            """
            UPDATE orphan SET first_seen = clock_timestamp()
            WHERE backend_id = $1 AND physical_key = $2 AND is_upload = $3
            """, [.int4(orphan.backend.raw), .text(orphan.name), .bool(orphan.isUpload)])
    }

    package func markForeign(_ orphan: Orphan) async throws(CatalogError) {
        _ = try await write(
            "UPDATE orphan SET is_foreign = true WHERE backend_id = $1 AND physical_key = $2 AND is_upload = $3",
            [.int4(orphan.backend.raw), .text(orphan.name), .bool(orphan.isUpload)])
    }

    package func inventories() async throws(CatalogError) -> [InventoryRecord] {
        let rows = try await read(
            """
            SELECT i.backend_id, i.round, (extract(epoch FROM i.started_at) * 1000000)::bigint,
                (extract(epoch FROM i.finished_at) * 1000000)::bigint, coalesce(o.count, 0), coalesce(o.bytes, 0), o.oldest,
                coalesce(o.foreign_count, 0)
            FROM inventory i LEFT JOIN (
                SELECT backend_id, count(*) FILTER (WHERE NOT is_foreign) AS count,
                    sum(bytes) FILTER (WHERE NOT is_foreign)::bigint AS bytes,
                    (extract(epoch FROM min(first_seen) FILTER (WHERE NOT is_foreign)) * 1000000)::bigint AS oldest,
                    count(*) FILTER (WHERE is_foreign) AS foreign_count
                FROM orphan GROUP BY backend_id) o ON o.backend_id = i.backend_id
            WHERE i.round > 0 ORDER BY i.backend_id
            """)
        return (0..<rows.count).map { row in
            InventoryRecord(
                backend: BackendID(rows.int4(row, 0)), round: rows.int8(row, 1), startedAt: rows.int8(row, 2),
                finishedAt: rows.optionalInt8(row, 3), orphans: rows.int8(row, 4),
                orphanBytes: ByteCount(rows.int8(row, 5)),
                oldestOrphanSeenAt: rows.optionalInt8(row, 6), foreign: rows.int8(row, 7))
        }
    }
}
