package import Catalog

/// What backends were used for (`Migration011Usage`); the clock of the tables stays within one month.
extension CatalogTables {
    mutating func add(_ usage: [BackendID: MonthlyUsage]) {
        for (backend, more) in usage { monthlyRows[backend, default: .zero] += more }
    }
}

extension MemoryCatalog: UsageLedger {
    package func add(_ usage: [BackendID: MonthlyUsage]) async throws(CatalogError) {
        try run(.addUsage) { (tables) throws(CatalogError) in tables.add(usage) }
    }
}
