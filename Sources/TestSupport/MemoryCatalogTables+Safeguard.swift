package import Catalog

/// The guard against a catalog that went back in time (`Migration007Safeguard`).
extension CatalogTables {
    private func nonce(_ number: Int64) -> String { "n\(number)" }

    mutating func raiseEpoch(minAge: Duration) -> Epoch? {
        guard safeguardRow.halt == nil else { return nil }
        if epochRaisedAt == Int64.min || epochRaisedAt <= now - minAge.microseconds {
            safeguardRow.epoch += 1
            epochRaisedAt = now
        }
        return Epoch(number: safeguardRow.epoch, nonce: nonce(safeguardRow.epoch))
    }

    func safeguard(markers: [Epoch]) -> Safeguard {
        var safeguard = safeguardRow
        safeguard.known = Set(
            markers.filter { marker in
                marker.number <= agreedEpoch
                    || marker.number <= safeguardRow.epoch && marker.nonce == nonce(marker.number)
            })
        return safeguard
    }

    /// The first of all begins with the tables.
    func lifetimes() -> [CatalogLifetime] {
        lifetimeRows.isEmpty ? [CatalogLifetime(since: Int64.min, until: now)] : lifetimeRows
    }

    mutating func noteAlive() {
        lifetimeRows = lifetimes()
        lifetimeRows[lifetimeRows.count - 1].until = now
    }

    mutating func halt(_ evidence: String, newestEpoch: Int64) throws(CatalogError) {
        newestEpochSeen = max(newestEpochSeen, newestEpoch)
        guard safeguardRow.halt == nil else { return }
        safeguardRow.halt = Safeguard.Halt(since: now, evidence: evidence, token: "token-\(now)")
        try letGoUnfinished()
    }

    /// What was being written may have been finished since: its rows go without a deletion.
    private mutating func letGoUnfinished() throws(CatalogError) {
        for upload in uploads.values where [.creating, .open, .completing].contains(upload.state) {
            change(upload.id, to: .aborted)
        }
        for row in copies.values.filter({ $0.copy.state == .writing }).sorted(by: { $0.copy.id < $1.copy.id }) {
            try step(row.copy.id, to: .doomed)
            try step(row.copy.id, to: .gone)
            endUnwritten(row.copy.version)
        }
    }

    mutating func confirmCatalog(token: String, identity: DatabaseIdentity?) -> Bool {
        guard let halt = safeguardRow.halt, halt.token == token else { return false }
        safeguardRow.halt = nil
        safeguardRow.epoch = max(safeguardRow.epoch, newestEpochSeen) + 1
        safeguardRow.recorded = identity
        epochRaisedAt = now
        newestEpochSeen = 0
        agreedEpoch = safeguardRow.epoch - 1
        lifetimeRows = [CatalogLifetime(since: Int64.min, until: now)]
        return true
    }
}

extension MemoryCatalog: SafeguardLedger {
    package func safeguard(markers: [Epoch]) async throws(CatalogError) -> Safeguard {
        try run(.safeguard) { (tables) throws(CatalogError) in tables.safeguard(markers: markers) }
    }
    package func recordIdentity(_ identity: DatabaseIdentity) async throws(CatalogError) {
        try run(.safeguard) { (tables) throws(CatalogError) in
            tables.safeguardRow.recorded = tables.safeguardRow.recorded ?? identity
        }
    }
    package func noteAlive() async throws(CatalogError) {
        try run(.safeguard) { (tables) throws(CatalogError) in tables.noteAlive() }
    }
    package func lifetimes() async throws(CatalogError) -> [CatalogLifetime] {
        try run(.safeguard) { (tables) throws(CatalogError) in tables.lifetimes() }
    }
    package func raiseEpoch(minAge: Duration) async throws(CatalogError) -> Epoch? {
        try run(.raiseEpoch) { (tables) throws(CatalogError) in tables.raiseEpoch(minAge: minAge) }
    }
    package func halt(_ evidence: String, newestEpoch: Int64) async throws(CatalogError) {
        try run(.halt) { (tables) throws(CatalogError) in try tables.halt(evidence, newestEpoch: newestEpoch) }
    }
    package func confirmCatalog(token: String, identity: DatabaseIdentity?) async throws(CatalogError) -> Bool {
        try run(.confirm) { (tables) throws(CatalogError) in
            tables.confirmCatalog(token: token, identity: identity)
        }
    }
}
