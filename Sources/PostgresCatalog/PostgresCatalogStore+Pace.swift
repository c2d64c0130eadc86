package import Catalog
import Postgres
package import Spec

extension PostgresCatalogStore: PaceLedger {
    package func pace() async throws(CatalogError) -> PaceReading {
        let rows = try await read(
            """
            SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, dropped_lately(), d.backend_id, d.copies, d.bytes, d.busy_ms
            FROM (SELECT 1) one LEFT JOIN drain_pace d ON d.busy_ms > 0 ORDER BY d.backend_id
            """)
        var reading = PaceReading(moment: rows.int8(0, 0), dropsLastHour: rows.int8(0, 1))
        for row in 0..<rows.count where !rows.isNull(row, 2) {
            reading.rates[BackendID(rows.int4(row, 2))] = MoveRate(
                copies: rows.int8(row, 3), bytes: rows.int8(row, 4), busy: .milliseconds(rows.int8(row, 5)))
        }
        return reading
    }

    package func reserve(
        _ bytes: Int64, leaving backend: BackendID, bytesPerSecond: ByteCount, waitMax: Duration
    ) async throws(CatalogError) -> Duration? {
        let rows = try await write(
            "SELECT reserve_pace_v1($1,$2,$3,$4)",
            [
                .int4(backend.raw), .int8(bytes), .int8(max(1, bytesPerSecond.value)),
                .int8(max(.zero, waitMax).milliseconds),
            ])
        let wait = rows.int8(0, 0)
        return wait < 0 ? nil : .milliseconds(wait)
    }

    package func note(_ moved: MoveRate, leaving backend: BackendID) async throws(CatalogError) {
        _ = try await write(
            "SELECT note_moved_v1($1,$2,$3,$4)",
            [.int4(backend.raw), .int8(moved.copies), .int8(moved.bytes), .int8(moved.busy.milliseconds)])
    }
}
