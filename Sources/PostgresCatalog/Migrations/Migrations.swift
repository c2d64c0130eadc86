package import Catalog
package import Postgres

/// Numbered, embedded schema changes: expand first, contract in a later release.
package enum Migrations {
    private static let all = [
        Migration001Tables.sql, Migration002Writes.sql, Migration003Movement.sql, Migration004Fleet.sql,
        Migration005Buckets.sql, Migration006Inventory.sql, Migration007Safeguard.sql,
        Migration008Abandon.sql, Migration009PartedMoves.sql,
        Migration010Scrub.sql, Migration011Usage.sql, Migration012PartQuota.sql,
        Migration013Certainty.sql, Migration014Bounds.sql, Migration015Pace.sql,
        Migration016Rebalance.sql, Migration017Adoption.sql, Migration018Leftovers.sql,
        Migration019Freshness.sql,
    ]

    /// What this release needs; a newer schema is refused, since it may have dropped what this release uses.
    package static let newest = all.count

    /// Which of them the database has had; 0 for one that Sluice never used. Reads only.
    package static func level(_ pool: PostgresPool) async throws(CatalogError) -> Int {
        do throws(PostgresError) {
            let table = try await pool.execute("SELECT to_regclass('schema_migration') IS NOT NULL")
            guard table.bool(0, 0) else { return 0 }
            return Int(try await pool.execute("SELECT coalesce(max(number), 0) FROM schema_migration").int4(0, 0))
        } catch {
            throw CatalogError(error)
        }
    }

    /// Brings the schema up to date, one transaction a step, under a lock so that instances that start together take turns.
    package static func run(_ pool: PostgresPool) async throws(CatalogError) {
        try await execute(
            pool,
            """
            DO $do$ BEGIN
                PERFORM pg_advisory_xact_lock(7002, 0);
                CREATE TABLE IF NOT EXISTS schema_migration (
                    number int PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
            END $do$
            """)
        let rows: PostgresRows
        do throws(PostgresError) {
            rows = try await pool.execute("SELECT coalesce(max(number), 0) FROM schema_migration")
        } catch {
            throw CatalogError(error)
        }
        let present = Int(rows.int4(0, 0))
        guard present <= newest else {
            throw .internalError(
                evidence: "the database has schema \(present), this release knows up to \(newest): use a newer release")
        }
        for number in (present + 1)..<(newest + 1) {
            // Looked at again under the lock: another instance may have been faster.
            try await execute(
                pool,
                """
                DO $migration$ BEGIN
                    PERFORM pg_advisory_xact_lock(7002, 0);
                    IF EXISTS (SELECT 1 FROM schema_migration WHERE number = \(number)) THEN RETURN; END IF;
                    EXECUTE $statements$\(all[number - 1])$statements$;
                    INSERT INTO schema_migration (number) VALUES (\(number));
                END $migration$
                """)
        }
    }

    private static func execute(_ pool: PostgresPool, _ sql: String) async throws(CatalogError) {
        do throws(PostgresError) {
            _ = try await pool.execute(sql, within: .seconds(120))
        } catch {
            throw CatalogError(error)
        }
    }
}
