import PostgresCatalog
import TestSupport
import Testing

/// The catalog's promises, kept by real Postgres.
@Suite struct PostgresContractTests {
    let cluster: PostgresCluster
    init() throws { cluster = try PostgresCluster.shared() }

    @Test(arguments: CatalogContract.promises)
    func `Postgres keeps each promise of the catalog`(_ promise: CatalogPromise) async throws {
        try await cluster.withCatalog { store, pool in
            try await promise.check(CatalogStores(store))
            #expect(try await store.usageDrift() == [])
        }
    }
}
