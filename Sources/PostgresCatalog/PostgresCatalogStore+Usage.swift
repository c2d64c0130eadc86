package import Catalog
import Postgres

extension PostgresCatalogStore: UsageLedger {
    package func add(_ usage: [BackendID: MonthlyUsage]) async throws(CatalogError) {
        guard !usage.isEmpty else { return }
        let ordered = usage.sorted { $0.key < $1.key }
        _ = try await write(
            "SELECT add_usage_v1($1,$2,$3,$4)",
            [
                .int4s(ordered.map(\.key.raw)), .int8s(ordered.map(\.value.requests)),
                .int8s(ordered.map(\.value.egress)), .int8s(ordered.map(\.value.ingress)),
            ])
    }
}
