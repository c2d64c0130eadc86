package import Catalog
import Postgres

extension PostgresCatalogStore {
    /// Backends whose counters differ from the sums over `copy`, in one statement; empty as long as the promise of
    /// `BackendUsage` holds.
    package func usageDrift() async throws(CatalogError) -> [BackendID] {
        let rows = try await read(
            """
            WITH counted AS (
                SELECT backend_id, sum(writing_copies) a, sum(writing_bytes) b, sum(live_copies) c, sum(live_bytes) d,
                    sum(doomed_copies) e, sum(doomed_bytes) f
                FROM backend_usage GROUP BY backend_id
            ), summed AS (
                SELECT backend_id, count(*) FILTER (WHERE state = 'writing') a,
                    coalesce(sum(bytes) FILTER (WHERE state = 'writing'), 0) b,
                    count(*) FILTER (WHERE state = 'live') c, coalesce(sum(bytes) FILTER (WHERE state = 'live'), 0) d,
                    count(*) FILTER (WHERE state = 'doomed') e, coalesce(sum(bytes) FILTER (WHERE state = 'doomed'), 0) f
                FROM copy GROUP BY backend_id
            )
            SELECT u.backend_id FROM counted u LEFT JOIN summed s USING (backend_id)
            WHERE (u.a, u.b, u.c, u.d, u.e, u.f) IS DISTINCT FROM
                (coalesce(s.a, 0), coalesce(s.b, 0), coalesce(s.c, 0), coalesce(s.d, 0), coalesce(s.e, 0), coalesce(s.f, 0))
            ORDER BY 1
            """, lane: .exclusive)
        return (0..<rows.count).map { BackendID(rows.int4($0, 0)) }
    }
}
