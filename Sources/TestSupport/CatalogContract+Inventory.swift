import Catalog
import Spec

extension CatalogScene {
    /// Records one whole round of these names; the orphans that are new, or nil if there was no round to be had.
    func round(
        _ backend: String, _ names: [String], uploads: [String] = [], interval: Duration = .zero
    ) async throws -> Int? {
        let token = ids.makeLeaseToken()
        let id = try id(backend)
        guard
            let position = try await stores.inventory.beginInventory(
                id, interval: interval, token: token, lease: .seconds(60))
        else { return nil }
        return try await stores.inventory.record(
            InventoryPage(
                backend: id, token: token, position: position, through: nil,
                objects: names.map { ListedName(name: $0, bytes: 7) },
                uploads: uploads.map { ListedName(name: $0, bytes: 0) }),
            lease: .seconds(60))
    }

    func dueOrphans(_ backend: String, quarantine: Duration = .zero) async throws -> [Orphan] {
        try await stores.inventory.dueOrphans(try id(backend), quarantine: quarantine, limit: 100)
    }

    func doom(_ orphan: Orphan, of version: VersionID? = nil) async throws -> OrphanOutcome {
        try await stores.inventory.doomOrphan(
            orphan, of: version ?? ids.makeVersionID(), copy: ids.makeCopyID(), owner: ids.makeVersionID(),
            hourlyMax: nil)
    }
}

extension CatalogContract {
    static let inventory: [CatalogPromise] = [
        CatalogPromise("a backend that is given up or retired has no inventory, and a late page changes nothing") {
            stores in
            let scene = try await CatalogScene.open(stores)
            for (name, ends) in [("a", true), ("b", false)] {
                try expectEqual(try await scene.round(name, ["lost-on-\(name)"]), 1)
                let token = scene.ids.makeLeaseToken()
                let id = try scene.id(name)
                let position = try unwrap(
                    try await stores.inventory.beginInventory(id, interval: .zero, token: token, lease: .seconds(60)))
                _ = try await scene.change(name, .active, .draining)
                if ends {
                    for (from, to) in [(.draining, .drained), (.drained, .retiring), (.retiring, .retired)]
                        as [(BackendPhase, BackendPhase)]
                    {
                        try expectEqual(try await scene.change(name, from, to), .done)
                    }
                } else {
                    try expectEqual(try await stores.fleet.abandon(id, soleCopiesMax: 0), .abandoned(soleCopies: 0))
                }
                try expectEqual(try await stores.inventory.orphans(id, after: nil, limit: 10), [], name)
                let late = InventoryPage(
                    backend: id, token: token, position: position, through: nil,
                    objects: [ListedName(name: "late", bytes: 1)], uploads: [])
                try expectEqual(try await stores.inventory.record(late, lease: .seconds(60)), nil)
                try expectEqual(try await scene.round(name, ["later"]), nil)
                try expectEqual(try await stores.inventory.orphans(id, after: nil, limit: 10), [], name)
            }
        },
        CatalogPromise("a name without a row is an orphan, and due once two rounds saw it and its quarantine is over") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let known = try await scene.put("k", on: ["a"]).candidates[0].physicalKey
            try expectEqual(try await scene.round("a", ["lost", known]), 1)
            try expectEqual(try await scene.dueOrphans("a"), [], "seen once")
            try expectEqual(try await scene.round("b", ["lost"]), 1, "another backend's is another")
            try expectEqual(try await scene.round("a", ["lost", known]), 0)
            try expectEqual(try await scene.dueOrphans("a", quarantine: .seconds(3600)), [], "in quarantine")
            let due = try await scene.dueOrphans("a")
            try expectEqual(due.map(\.name), ["lost"])
            try expectEqual([due[0].bytes, Int64(due[0].sightings)], [7, 2])
            let records = try await stores.inventory.inventories()
            try expectEqual(records.map(\.backend), [try scene.id("a"), try scene.id("b")])
            try expectEqual([records[0].round, records[0].orphans, records[0].orphanBytes.value], [2, 1, 7])
            try expectEqual(records[0].oldestOrphanSeenAt, due[0].firstSeenAt)
            try expect(records[0].finishedAt != nil)
        },
        CatalogPromise("an orphan that is not there any more, or has a row, is forgotten") { stores in
            let scene = try await CatalogScene.open(stores)
            let intent = try scene.intent("k", on: ["a"])
            let late = intent.candidates[0].physicalKey
            _ = try await scene.round("a", ["gone", late, "stays"], uploads: ["gone"])
            _ = try await stores.writes.intend(intent)
            _ = try await scene.round("a", [late, "stays"])
            let left = try await stores.inventory.orphans(nil, after: nil, limit: 10)
            try expectEqual(left.map(\.name), ["stays"])
            try expectEqual(left[0].sightings, 2)
        },
        CatalogPromise("a round goes on where it stood, in the hands of one worker") { stores in
            let scene = try await CatalogScene.open(stores)
            let a = try scene.id("a")
            func begin(_ token: LeaseToken, lease: Duration, interval: Duration = .zero) async throws
                -> InventoryPosition?
            {
                try await stores.inventory.beginInventory(a, interval: interval, token: token, lease: lease)
            }
            func page(_ token: LeaseToken, _ position: InventoryPosition, _ names: [String], through: String?)
                -> InventoryPage
            {
                InventoryPage(
                    backend: a, token: token, position: position, through: through,
                    objects: names.map { ListedName(name: $0, bytes: 1) }, uploads: through == nil ? [] : nil)
            }
            let (first, second) = (scene.ids.makeLeaseToken(), scene.ids.makeLeaseToken())
            let start = try unwrap(try await begin(first, lease: .seconds(60)))
            try expectEqual(start, InventoryPosition(round: 1, after: nil))
            try expect(try await begin(second, lease: .seconds(60)) == nil, "another is at it")
            try expectEqual(
                try await stores.inventory.record(page(first, start, ["a", "m"], through: "m"), lease: .seconds(-1)), 2)
            let next = try unwrap(try await begin(second, lease: .seconds(60)), "the lease is over")
            try expectEqual(next, InventoryPosition(round: 1, after: "m"))
            try expect(
                try await stores.inventory.record(page(first, start, [], through: nil), lease: .seconds(60)) == nil,
                "the first lost its lease and forgets nothing")
            try expectEqual(
                try await stores.inventory.record(page(second, next, ["z"], through: nil), lease: .seconds(60)), 1)
            try expectEqual(
                try await stores.inventory.orphans(a, after: nil, limit: 10).map(\.name), ["a", "m", "z"])
            try expect(
                try await begin(first, lease: .seconds(60), interval: .seconds(3600)) == nil, "the next is not due")
            try expectEqual(try await begin(first, lease: .seconds(60))?.round, 2)
        },
        CatalogPromise("a doomed orphan is counted, deleted like any copy, and forgotten") { stores in
            let scene = try await CatalogScene.open(stores)
            for _ in 0..<2 { _ = try await scene.round("a", ["x", "y"], uploads: ["z"]) }
            let due = try await scene.dueOrphans("a")
            try expectEqual(due.map(\.name), ["x", "y"], "nobody knows whose an upload is")
            for orphan in due { try expectEqual(try await scene.doom(orphan), .doomed) }
            for orphan in due { try expectEqual(try await scene.doom(orphan), .notOrphan, "once") }
            let usage = try await scene.usage("a")
            try expectEqual(usage, BackendUsage(doomed: BackendUsage.Tally(copies: 2, bytes: ByteCount(14))))
            let token = scene.ids.makeLeaseToken()
            let doomed = try await scene.due(token: token)
            try expectEqual(doomed.map(\.copy.physicalKey).sorted(), ["x", "y"])
            try expect(doomed.allSatisfy(\.mayArriveLate))
            for one in doomed { try await stores.deletions.settle(one.copy.id, token: token, .gone) }
            try expectEqual(try await scene.usage("a"), BackendUsage())
            try expectEqual(try await stores.deletions.forgetGone(limit: 100), 4, "two copies, two versions")
        },
        CatalogPromise("what may be the last copy of a version, what is foreign and what is undeclared is kept") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let version = try await scene.put("k", on: ["b"]).version
            for _ in 0..<2 { _ = try await scene.round("a", ["x", "z"]) }
            let due = try await scene.dueOrphans("a")
            _ = try await stores.objects.markSuspect(try await scene.copy("k", on: "b").id)
            try expectEqual(try await scene.doom(due[0], of: version), .lastCopy)
            let before = try unwrap(try await stores.inventory.orphans(nil, after: nil, limit: 1).first).firstSeenAt
            try await stores.inventory.keep(due[0])
            let kept = try unwrap(try await stores.inventory.orphans(nil, after: nil, limit: 1).first)
            try expect(kept.firstSeenAt > before && kept.sightings == due[0].sightings, "its quarantine begins anew")
            try await stores.inventory.markForeign(due[1])
            try expectEqual(try await scene.dueOrphans("a").map(\.name), ["x"])
            try expectEqual(try await scene.doom(due[1]), .notOrphan)
            try expectEqual(try await stores.inventory.inventories().map(\.foreign), [1])
            let without = CatalogScene.desired(["b", "c"])
            _ = try await stores.fleet.accept(CatalogScene.proposal(without, digest: "two", parent: 1))
            try expectEqual(try await scene.doom(due[0]), .notOrphan, "undeclared")
        },
    ]
}
