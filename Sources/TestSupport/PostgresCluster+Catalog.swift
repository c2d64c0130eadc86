package import Postgres
package import PostgresCatalog

extension PostgresCluster {
    /// Runs `body` on an event loop, with a catalog in a fresh database.
    package func withCatalog<R: Sendable>(
        limits: PoolLimits = PoolLimits(),
        _ body: @escaping @Sendable (PostgresCatalogStore, PostgresPool) async throws -> R
    ) async throws -> R {
        try await withDatabase(limits: limits) { pool, _ in
            try await Migrations.run(pool)
            return try await body(PostgresCatalogStore(pool: pool), pool)
        }
    }
}
