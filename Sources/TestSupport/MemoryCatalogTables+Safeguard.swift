package import Catalog

/// The guard against a catalog that went back in time (`Migration007Safeguard`).
extension CatalogTables {
    mutating func raiseEpoch(minAge: Duration) -> Int64? {
        guard safeguardRow.halt == nil else { return nil }
        if epochRaisedAt > Int64.min, epochRaisedAt > now - minAge.microseconds { return safeguardRow.epoch }
        safeguardRow.epoch += 1
        epochRaisedAt = now
        return safeguardRow.epoch
    }

    mutating func halt(_ evidence: String, newestEpoch: Int64) {
        newestEpochSeen = max(newestEpochSeen, newestEpoch)
        guard safeguardRow.halt == nil else { return }
        safeguardRow.halt = Safeguard.Halt(since: now, evidence: evidence, token: "token-\(now)")
    }

    mutating func confirmCatalog(token: String, identity: DatabaseIdentity?) -> Bool {
        guard let halt = safeguardRow.halt, halt.token == token else { return false }
        safeguardRow.halt = nil
        safeguardRow.epoch = max(safeguardRow.epoch, newestEpochSeen) + 1
        safeguardRow.recorded = identity
        epochRaisedAt = now
        newestEpochSeen = 0
        return true
    }
}

extension MemoryCatalog: SafeguardLedger {
    package func safeguard() async throws(CatalogError) -> Safeguard {
        try run(.safeguard) { (tables) throws(CatalogError) in tables.safeguardRow }
    }
    package func recordIdentity(_ identity: DatabaseIdentity) async throws(CatalogError) {
        try run(.safeguard) { (tables) throws(CatalogError) in
            tables.safeguardRow.recorded = tables.safeguardRow.recorded ?? identity
        }
    }
    package func raiseEpoch(minAge: Duration) async throws(CatalogError) -> Int64? {
        try run(.raiseEpoch) { (tables) throws(CatalogError) in tables.raiseEpoch(minAge: minAge) }
    }
    package func halt(_ evidence: String, newestEpoch: Int64) async throws(CatalogError) {
        try run(.halt) { (tables) throws(CatalogError) in tables.halt(evidence, newestEpoch: newestEpoch) }
    }
    package func confirmCatalog(token: String, identity: DatabaseIdentity?) async throws(CatalogError) -> Bool {
        try run(.confirm) { (tables) throws(CatalogError) in
            tables.confirmCatalog(token: token, identity: identity)
        }
    }
}
