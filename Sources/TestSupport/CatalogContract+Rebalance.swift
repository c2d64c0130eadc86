import Catalog

extension CatalogContract {
    static let rebalance: [CatalogPromise] = [
        CatalogPromise("what may move from one backend to another is claimed once, smallest limit kept") { stores in
            let scene = try await CatalogScene.open(stores)
            let (a, b) = (try scene.id("a"), try scene.id("b"))
            let free = try await scene.put("free", on: ["a"]).version
            try await scene.put("held", on: ["a", "b"])
            let replaced = try await scene.put("replaced", on: ["a"]).version
            let suspect = try await scene.put("suspect", on: ["a"])
            _ = try await stores.objects.markSuspect(suspect.candidates[0].id)
            func claim(sizeMax: Int64, lease: Duration = .seconds(60)) async throws -> [VersionID] {
                try await stores.moves.claim(
                    .movable(from: a, to: b, sizeMax: sizeMax), limit: 10, token: scene.ids.makeLeaseToken(),
                    lease: lease
                ).map(\.placed.version.id)
            }
            try expectEqual(try await claim(sizeMax: 0), [], "all are larger")
            try expectEqual(Set(try await claim(sizeMax: .max)), [free, replaced])
            try expectEqual(try await claim(sizeMax: .max), [], "claimed")
        },
        CatalogPromise("one instance at a time rebalances, and a request ends when nothing is left") { stores in
            let scene = try await CatalogScene.open(stores)
            let (first, second) = (scene.ids.makeLeaseToken(), scene.ids.makeLeaseToken())
            try expectEqual(try await stores.rebalance.rebalance(), RebalanceRecord())
            try expect(!(try await stores.rebalance.cancelRebalance()))
            try await stores.rebalance.requestRebalance()
            try expect(try await stores.rebalance.rebalance().isRequested)
            try expect(try await stores.rebalance.beginRebalance(token: first, lease: .seconds(60)))
            try expect(!(try await stores.rebalance.beginRebalance(token: second, lease: .seconds(60))), "taken")
            try await stores.rebalance.endRebalance(token: second, copies: 9, bytes: 9, finishesRequest: true)
            try expect(try await stores.rebalance.rebalance().isRequested, "not its lease")
            try await stores.rebalance.endRebalance(token: first, copies: 2, bytes: 20, finishesRequest: false)
            try await stores.rebalance.requestRebalance()
            try expectEqual(try await stores.rebalance.rebalance().copies, 2, "the same request still")
            try expect(try await stores.rebalance.beginRebalance(token: second, lease: .seconds(60)))
            try await stores.rebalance.endRebalance(token: second, copies: 1, bytes: 10, finishesRequest: true)
            let ended = try await stores.rebalance.rebalance()
            try expect(!ended.isRequested && ended.copies == 3 && ended.bytes == 30, "\(ended)")
            try await stores.rebalance.requestRebalance()
            try expect(try await stores.rebalance.cancelRebalance())
            try expect(!(try await stores.rebalance.rebalance().isRequested))
        },
    ]
}
