package import Catalog

/// The fifteen stores of a catalog, in one process.
package struct CatalogStores: Sendable {
    package let writes: any WriteLedger
    package let objects: any ObjectIndex
    package let uploads: any UploadLedger
    package let moves: any MoveLedger
    package let deletions: any DeletionLedger
    package let fleet: any FleetLedger
    package let status: any StatusLedger
    package let buckets: any BucketLedger
    package let inventory: any InventoryLedger
    package let safeguard: any SafeguardLedger
    package let scrubs: any ScrubLedger
    package let usage: any UsageLedger
    package let pace: any PaceLedger
    package let rebalance: any RebalanceLedger
    package let adoption: any AdoptionLedger

    package init(
        writes: any WriteLedger, objects: any ObjectIndex, uploads: any UploadLedger, moves: any MoveLedger,
        deletions: any DeletionLedger, fleet: any FleetLedger, status: any StatusLedger,
        buckets: any BucketLedger, inventory: any InventoryLedger, safeguard: any SafeguardLedger,
        scrubs: any ScrubLedger, usage: any UsageLedger, pace: any PaceLedger,
        rebalance: any RebalanceLedger, adoption: any AdoptionLedger
    ) {
        self.writes = writes
        self.objects = objects
        self.uploads = uploads
        self.moves = moves
        self.deletions = deletions
        self.fleet = fleet
        self.status = status
        self.buckets = buckets
        self.inventory = inventory
        self.safeguard = safeguard
        self.scrubs = scrubs
        self.usage = usage
        self.pace = pace
        self.rebalance = rebalance
        self.adoption = adoption
    }

    /// One value that is all of them.
    package init<Store>(_ store: Store)
    where
        Store: WriteLedger & ObjectIndex & UploadLedger & MoveLedger & DeletionLedger & FleetLedger & StatusLedger
            & BucketLedger & InventoryLedger & SafeguardLedger & ScrubLedger
            & UsageLedger & PaceLedger & RebalanceLedger & AdoptionLedger
    {
        self.init(
            writes: store, objects: store, uploads: store, moves: store, deletions: store, fleet: store, status: store,
            buckets: store, inventory: store, safeguard: store, scrubs: store,
            usage: store, pace: store, rebalance: store,
            adoption: store)
    }
}

/// A promise of the catalog's stores that did not hold.
package struct BrokenPromise: Error, CustomStringConvertible {
    package let description: String
}

/// One promise of the catalog's stores, and how to see that it holds; needs an empty catalog.
package struct CatalogPromise: Sendable, CustomStringConvertible {
    package let description: String
    package let check: @Sendable (CatalogStores) async throws -> Void

    init(_ description: String, _ check: @escaping @Sendable (CatalogStores) async throws -> Void) {
        self.description = description
        self.check = check
    }
}

/// What every implementation of the stores must do, be it Postgres or the test double: the double may never know more.
package enum CatalogContract {
    package static let promises: [CatalogPromise] =
        writes + deletes + listings + moves + deletions + uploads + fleet + status + buckets + inventory + safeguard
        + abandon + partedMoves
        + scrubs + usage + pace + rebalance + adoption

    static func expect(
        _ condition: Bool, _ what: @autoclosure () -> String = "", file: StaticString = #fileID, line: UInt = #line
    ) throws(BrokenPromise) {
        if !condition { throw BrokenPromise(description: "\(file):\(line) \(what())") }
    }

    static func expectEqual<Value: Equatable>(
        _ value: Value, _ expected: Value, _ what: @autoclosure () -> String = "", file: StaticString = #fileID,
        line: UInt = #line
    ) throws(BrokenPromise) {
        if value != expected {
            throw BrokenPromise(description: "\(file):\(line) \(what()): got \(value), expected \(expected)")
        }
    }

    static func unwrap<Value>(
        _ value: Value?, _ what: @autoclosure () -> String = "", file: StaticString = #fileID, line: UInt = #line
    ) throws(BrokenPromise) -> Value {
        guard let value else { throw BrokenPromise(description: "\(file):\(line) nothing there: \(what())") }
        return value
    }
}
