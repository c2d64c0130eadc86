import Catalog
import Spec

extension CatalogContract {
    static let abandon: [CatalogPromise] = [
        CatalogPromise("a backend is abandoned only while it drains, with no more sole copies than agreed, and once") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let a = try scene.id("a")
            for key in ["x", "y"] { try await scene.put(key, on: ["a"]) }
            try await scene.put("both", on: ["a", "b"])
            try expectEqual(try await stores.fleet.abandon(a, soleCopiesMax: 10), .notDraining)
            _ = try await scene.change("a", .active, .draining)
            try expectEqual(try await stores.fleet.abandon(a, soleCopiesMax: 1), .refused(soleCopies: 2))
            try expectEqual(try await stores.fleet.endAbandoned(a, limit: 100), 0, "not abandoned")
            // A suspect copy elsewhere may be good, or not.
            _ = try await stores.objects.markSuspect(try await scene.copy("both", on: "b").id)
            try expectEqual(try await stores.fleet.abandon(a, soleCopiesMax: 2), .refused(soleCopies: 3))
            try expectEqual(try await stores.fleet.abandon(a, soleCopiesMax: 3), .abandoned(soleCopies: 3))
            try expectEqual(try await stores.fleet.abandon(a, soleCopiesMax: 2), .notDraining)
            try expectEqual(try await stores.fleet.snapshot().backend(a)?.isAbandoned, true)
            for _ in 0..<3 { _ = try await stores.fleet.endAbandoned(a, limit: 100) }
            let lost = try await stores.fleet.lostObjects(after: nil, limit: 10)
            try expectEqual(lost.filter(\.isInDoubt).map(\.key), ["both"])
            try expect(try await scene.current("both") != nil, "what may be there stays")
            try expect(try await scene.current("x") == nil)
        },
        CatalogPromise("an abandoned backend does not come back, and takes nothing") { stores in
            let scene = try await CatalogScene.open(stores)
            let a = try scene.id("a")
            _ = try await scene.change("a", .active, .draining)
            try expectEqual(try await stores.fleet.abandon(a, soleCopiesMax: 0), .abandoned(soleCopies: 0))
            try expectEqual(try await scene.change("a", .draining, .active), .notFrom(.draining))
            var again = CatalogScene.desired(["a", "b", "c"])
            again.fleet.safety.trimDelay = .seconds(1)
            let refused = try await stores.fleet.accept(CatalogScene.proposal(again, digest: "two", parent: 1))
            try expectEqual(refused, .refused(reason: .retiringCannotReturn(backend: "a")))
            let removed = CatalogScene.desired(["a", "b", "c"], states: ["a": .removed])
            let accepted = try await stores.fleet.accept(CatalogScene.proposal(removed, digest: "three", parent: 1))
            try expectEqual(accepted, .accepted(revision: 2))
            let intent = try scene.intent("k", on: ["a", "b"])
            let outcome = try await stores.writes.intend(intent)
            try expectEqual(outcome.refused, [intent.candidates[0].id: .notActive])
        },
        CatalogPromise("the copies of an abandoned backend end, what is lost is recorded, and its key is free") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let a = try scene.id("a")
            let sole = try await scene.put("sole", on: ["a"], size: 7)
            try await scene.put("both", on: ["a", "b"], size: 9)
            try await scene.put("old", on: ["a"])
            _ = try await stores.writes.delete(bucket: scene.bucket, [DeleteRequest(key: "old")], readGrace: .zero)
            let open = try scene.intent("open", on: ["a", "b"])
            _ = try await stores.writes.intend(open)
            _ = try await scene.change("a", .active, .draining)
            _ = try await stores.fleet.abandon(a, soleCopiesMax: 1)
            var ended = 0
            for _ in 0..<10 { ended += try await stores.fleet.endAbandoned(a, limit: 1) }
            try expectEqual(ended, 4)
            try expectEqual(try await scene.usage("a"), BackendUsage())
            try expectEqual(try await stores.fleet.residue(a), BackendResidue())
            let lost = try await stores.fleet.lostObjects(after: nil, limit: 10)
            try expectEqual(lost.map(\.key), ["sole"])
            try expectEqual(lost[0].version, sole.version)
            try expectEqual([lost[0].size, Int64(lost[0].etag.isEmpty ? 0 : 1)], [7, 1])
            try expectEqual(try await stores.fleet.lostObjects(after: sole.version, limit: 10), [])
            try expect(try await scene.current("sole") == nil)
            try expectEqual(scene.names(try await scene.current("both")?.copies ?? []), ["b"])
            // The write that had begun needs its copy on a; with b alone it may still be.
            try expectEqual(try await stores.writes.commit(scene.commit(open)), .fenceLost)
            try await scene.put("sole", on: ["b"])
            try expect(try await scene.current("sole") != nil)
            try expectEqual(try await scene.change("a", .draining, .drained), .done)
        },
        CatalogPromise(
            "a write under way on a backend that is abandoned has lost its copy, but not where abandoning is refused"
        ) {
            stores in
            let scene = try await CatalogScene.open(stores)
            let a = try scene.id("a")
            try await scene.put("sole", on: ["a"])
            let (early, late) = (try scene.intent("early", on: ["a"]), try scene.intent("late", on: ["a"]))
            for intent in [early, late] { _ = try await stores.writes.intend(intent) }
            _ = try await scene.change("a", .active, .draining)
            try expectEqual(try await stores.fleet.abandon(a, soleCopiesMax: 0), .refused(soleCopies: 1))
            guard case .committed = try await stores.writes.commit(scene.commit(early)) else {
                throw BrokenPromise(description: "the write lost its copy, and nothing was abandoned")
            }
            try expectEqual(try await stores.fleet.abandon(a, soleCopiesMax: 2), .abandoned(soleCopies: 2))
            try expectEqual(try await stores.writes.commit(scene.commit(late)), .fenceLost)
            try expect(try await scene.current("late") == nil)
        },
        CatalogPromise("while the reconciler is halted nothing is abandoned, and nothing retired") { stores in
            let scene = try await CatalogScene.open(stores)
            let (a, b) = (try scene.id("a"), try scene.id("b"))
            for name in ["a", "b"] { _ = try await scene.change(name, .active, .draining) }
            _ = try await scene.change("b", .draining, .drained)
            try await stores.safeguard.halt("a reason", newestEpoch: 0)
            try expectEqual(try await stores.fleet.abandon(a, soleCopiesMax: 0), .notDraining)
            try expectEqual(try await scene.change("b", .drained, .retiring), .notFrom(.drained))
        },
    ]
}
