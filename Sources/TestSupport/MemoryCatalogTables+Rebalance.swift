package import Catalog

struct RebalanceRow: Sendable {
    var record = RebalanceRecord()
    var token: LeaseToken?
    var leaseUntil: Int64 = .min
}

/// Rebalancing (`Migration016Rebalance`).
extension CatalogTables {
    func movable(_ from: BackendID, _ to: BackendID, _ sizeMax: Int64) -> [VersionID] {
        let there = copies.values.map(\.copy).filter { $0.backend == from && $0.state == .live && !$0.isSuspect }
        return there.map(\.version).filter { id in
            guard let version = versions[id], version.isRetained, version.committedAt != nil, version.size <= sizeMax
            else { return false }
            return work[id].map { $0.leaseUntil < now && $0.notBefore <= now } ?? true
                && !copies(of: id).contains { $0.copy.backend == to && [.writing, .live].contains($0.copy.state) }
        }.sorted()
    }

    mutating func requestRebalance() {
        guard !rebalanceRow.record.isRequested else { return }
        rebalanceRow.record = RebalanceRecord(requestedAt: now)
    }

    mutating func cancelRebalance() -> Bool {
        guard rebalanceRow.record.isRequested else { return false }
        rebalanceRow.record.finishedAt = now
        return true
    }

    mutating func beginRebalance(_ token: LeaseToken, _ lease: Duration) -> Bool {
        guard rebalanceRow.leaseUntil < now else { return false }
        rebalanceRow.token = token
        rebalanceRow.leaseUntil = now + lease.microseconds
        return true
    }

    mutating func endRebalance(_ token: LeaseToken, _ copies: Int64, _ bytes: Int64, _ finishes: Bool) {
        guard rebalanceRow.token == token else { return }
        rebalanceRow.token = nil
        rebalanceRow.leaseUntil = .min
        rebalanceRow.record.copies += copies
        rebalanceRow.record.bytes += bytes
        if finishes, rebalanceRow.record.isRequested { rebalanceRow.record.finishedAt = now }
    }
}

extension MemoryCatalog: RebalanceLedger {
    package func rebalance() async throws(CatalogError) -> RebalanceRecord {
        try run(.rebalance) { (tables) throws(CatalogError) in tables.rebalanceRow.record }
    }
    package func requestRebalance() async throws(CatalogError) {
        try run(.rebalance) { (tables) throws(CatalogError) in tables.requestRebalance() }
    }
    package func cancelRebalance() async throws(CatalogError) -> Bool {
        try run(.rebalance) { (tables) throws(CatalogError) in tables.cancelRebalance() }
    }
    package func beginRebalance(token: LeaseToken, lease: Duration) async throws(CatalogError) -> Bool {
        try run(.rebalance) { (tables) throws(CatalogError) in tables.beginRebalance(token, lease) }
    }
    package func endRebalance(
        token: LeaseToken, copies: Int64, bytes: Int64, finishesRequest: Bool
    ) async throws(CatalogError) {
        try run(.rebalance) { (tables) throws(CatalogError) in
            tables.endRebalance(token, copies, bytes, finishesRequest)
        }
    }
}
