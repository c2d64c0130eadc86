package import Catalog
import Postgres

extension PostgresCatalogStore {
    /// Tries the gate out on two connections: some databases that speak Postgres's protocol accept advisory locks and ignore
    /// them, and then nothing that is built on the gate holds (DESIGN §2.10). Gate 0 belongs to no backend.
    /// - Returns: whether who holds the gate keeps others out, and no longer than it holds it
    package func verifyGate() async throws(CatalogError) -> Bool {
        let tryShared = "SELECT pg_try_advisory_xact_lock_shared(7001, 0)"
        do throws(PostgresError) {
            let isKeptOut = try await pool.withConnection { (holder) throws(PostgresError) in
                _ = try await holder.execute("BEGIN")
                // Another instance may be trying it at this moment; it lets go at once.
                _ = try await holder.execute("SELECT pg_advisory_xact_lock(7001, 0)")
                let entered = try await pool.execute(tryShared).bool(0, 0)
                _ = try await holder.execute("COMMIT")
                return !entered
            }
            // Waits for whoever tries now: what is asked is only whether it is ever let in.
            _ = try await pool.execute("SELECT pg_advisory_xact_lock_shared(7001, 0)")
            return isKeptOut
        } catch {
            throw CatalogError(error)
        }
    }

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
