import TestSupport
import Testing

/// The test double keeps the promises of real Postgres, and is thereby a fair oracle for the simulator.
@Suite struct MemoryContractTests {
    @Test(arguments: CatalogContract.promises)
    func `the catalog in memory keeps each promise`(_ promise: CatalogPromise) async throws {
        try await promise.check(CatalogStores(MemoryCatalog()))
    }
}
