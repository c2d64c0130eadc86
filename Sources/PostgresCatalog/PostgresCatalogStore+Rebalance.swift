package import Catalog
import Postgres

extension PostgresCatalogStore: RebalanceLedger {
    package func rebalance() async throws(CatalogError) -> RebalanceRecord {
        let rows = try await read(
            """
            SELECT (extract(epoch FROM requested_at) * 1000000)::bigint, (extract(epoch FROM finished_at) * 1000000)::bigint,
                copies, bytes FROM rebalance
            """)
        return RebalanceRecord(
            requestedAt: rows.optionalInt8(0, 0), finishedAt: rows.optionalInt8(0, 1), copies: rows.int8(0, 2),
            bytes: rows.int8(0, 3))
    }

    package func requestRebalance() async throws(CatalogError) {
        _ = try await write(
            """
            UPDATE rebalance SET requested_at = clock_timestamp(), finished_at = NULL, copies = 0, bytes = 0
            WHERE requested_at IS NULL OR finished_at IS NOT NULL
            """, [])
    }

    package func cancelRebalance() async throws(CatalogError) -> Bool {
        try await write(
            """
            UPDATE rebalance SET finished_at = clock_timestamp() WHERE requested_at IS NOT NULL AND finished_at IS NULL
            RETURNING true
            """, []
        ).count > 0
    }

    package func beginRebalance(token: LeaseToken, lease: Duration) async throws(CatalogError) -> Bool {
        try await write(
            """
            UPDATE rebalance SET token = $1, lease_until = clock_timestamp() + make_interval(secs => $2 / 1000.0)
            WHERE lease_until < clock_timestamp() RETURNING true
            """, [.uuid(token.raw.uuid), .int8(lease.milliseconds)]
        ).count > 0
    }

    package func endRebalance(
        token: LeaseToken, copies: Int64, bytes: Int64, finishesRequest: Bool
    ) async throws(CatalogError) {
        _ = try await write(
            """
            UPDATE rebalance SET token = NULL, lease_until = '-infinity', copies = copies + $2, bytes = bytes + $3,
                finished_at = CASE WHEN $4 AND finished_at IS NULL AND requested_at IS NOT NULL THEN clock_timestamp() ELSE finished_at END
            WHERE token = $1
            """, [.uuid(token.raw.uuid), .int8(copies), .int8(bytes), .bool(finishesRequest)])
    }
}
