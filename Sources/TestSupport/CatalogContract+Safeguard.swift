import Catalog

extension CatalogContract {
    static let safeguard: [CatalogPromise] = [
        CatalogPromise(
            "a halt lets go of what was being written, without a deletion, and an orphan of it may be adopted"
        ) {
            stores in
            let scene = try await CatalogScene.open(stores)
            let kept = try await scene.put("kept", on: ["a", "b"])
            let intent = try scene.intent("k", on: ["a"], size: 7)
            _ = try await stores.writes.intend(intent)
            try await stores.safeguard.halt("a test", newestEpoch: 0)
            let late = try await stores.writes.commit(scene.commit(intent, readGrace: .zero))
            try expectEqual(late, .fenceLost)
            try expectEqual(try await scene.usage("a").writing, BackendUsage.Tally())
            try expectEqual(scene.names(try unwrap(try await scene.current("kept")).copies), ["a", "b"])
            _ = kept
            _ = try await stores.deletions.forgetGone(limit: 100)
            let name = intent.candidates[0].physicalKey
            for _ in 0..<2 { _ = try await scene.round("a", [name]) }
            try expectEqual(try await stores.inventory.orphans(nil, after: nil, limit: 9).map(\.name), [name])
            let adoption = Adoption(
                object: intent.object, version: intent.version, size: 7,
                digests: ContentDigests(etag: "0123456789abcdef0123456789abcdef"), headers: ObjectHeaders(),
                writtenAt: 4_000_000_000_000_000,
                copies: [
                    CopyCandidate(
                        id: scene.ids.makeCopyID(), backend: try scene.id("a"), physicalKey: name)
                ], readGrace: .zero)
            try expectEqual(try await stores.adoption.adopt(adoption), .adopted(copies: 1))
            try expectEqual(try unwrap(try await scene.current("k")).version.size, 7)
        },
        CatalogPromise("the epoch is raised when its last raise is old enough, and not while the reconciler is halted")
        {
            stores in
            _ = try await CatalogScene.open(stores)
            let first = try unwrap(try await stores.safeguard.raiseEpoch(minAge: .zero))
            try expectEqual(try await stores.safeguard.raiseEpoch(minAge: .seconds(3600)), first)
            let second = try unwrap(try await stores.safeguard.raiseEpoch(minAge: .zero))
            try expectEqual(second.number, first.number + 1)
            try expectEqual(try await stores.safeguard.safeguard().epoch, second.number)
            // What it never had, or had with another mark, is of another history.
            let others = [Epoch(number: second.number + 1, nonce: "x"), Epoch(number: first.number, nonce: "x")]
            for other in others {
                let seen = try await stores.safeguard.safeguard(markers: [first, second, other])
                try expectEqual(seen.known, [first, second])
                try expectEqual(
                    seen.evidence(markers: ["a": [first], "b": [second, other]]),
                    .marker(backend: "b", epoch: other.number))
            }
            let known = try await stores.safeguard.safeguard(markers: [first, second])
            try expect(known.evidence(markers: ["a": [first], "b": [second]]) == nil)
            try await stores.safeguard.halt("a reason", newestEpoch: 40)
            try expect(try await stores.safeguard.raiseEpoch(minAge: .seconds(3600)) == nil)
        },
        CatalogPromise("a halt keeps the reconciler from dooming and deleting until its own token ends it") { stores in
            let scene = try await CatalogScene.open(stores)
            let kept = try await scene.put("k", on: ["a", "b"])
            try await scene.put("l", on: ["a"])
            _ = try await stores.writes.delete(bucket: scene.bucket, [DeleteRequest(key: "l")], readGrace: .zero)
            for _ in 0..<2 { _ = try await scene.round("a", ["lost"]) }
            try await stores.safeguard.halt("the first", newestEpoch: 40)
            try await stores.safeguard.halt("the second", newestEpoch: 50)
            let halt = try unwrap(try await stores.safeguard.safeguard().halt)
            try expectEqual(halt.evidence, "the first")
            let request = DoomRequest(
                copy: try await scene.copy("k", on: "a").id, version: kept.version, factor: 1,
                counted: [try scene.id("b")], readGrace: .zero)
            try expectEqual(try await stores.moves.doom(request), .halted)
            try expectEqual(try await scene.due(), [])
            let orphan = try await scene.dueOrphans("a")[0]
            try expectEqual(try await scene.doom(orphan), .notOrphan)
            try await scene.put("k", on: ["c"])
            try expect(try await scene.current("k") != nil, "clients go on")

            try expect(!(try await stores.safeguard.confirmCatalog(token: "another", identity: nil)))
            let identity = DatabaseIdentity(systemIdentifier: "7", timeline: "00000002")
            try expect(try await stores.safeguard.confirmCatalog(token: halt.token, identity: identity))
            let after = try await stores.safeguard.safeguard()
            try expectEqual(after.epoch, 51, "behind every marker that was seen")
            let others = [Epoch(number: 50, nonce: "theirs"), Epoch(number: 51, nonce: "theirs")]
            let agreed = try await stores.safeguard.safeguard(markers: others)
            try expectEqual(agreed.known, [others[0]], "what was there is agreed to")
            try expectEqual(after.recorded, identity)
            try expect(after.halt == nil)
            try expect(!(try await stores.safeguard.confirmCatalog(token: halt.token, identity: nil)), "once")
            try expectEqual(try await scene.due().count, 3)
            try expectEqual(try await scene.doom(orphan), .doomed)
        },
        CatalogPromise("the time that the catalog lives through goes on, and all of it is known once confirmed") {
            stores in
            try await stores.safeguard.noteAlive()
            let first = try await stores.safeguard.lifetimes()
            try expectEqual(first.count, 1)
            let last = first[0].until / 1000
            try expect(first[0].contains(0) && !first[0].contains(last + 5_000))
            try expect(first[0].contains(last + 5_000, tolerance: .seconds(6)))
            try await stores.safeguard.noteAlive()
            let longer = try await stores.safeguard.lifetimes()
            try expect(longer.count == 1 && longer[0].until > first[0].until)
            try await stores.safeguard.halt("a gap", newestEpoch: 0)
            let token = try unwrap(try await stores.safeguard.safeguard().halt).token
            try expect(try await stores.safeguard.confirmCatalog(token: token, identity: nil))
            let known = try await stores.safeguard.lifetimes()
            try expect(known.count == 1 && known[0].contains(0) && known[0].until >= longer[0].until)
        },
        CatalogPromise("the database's identity is remembered once, and the next is the operator's to accept") {
            stores in
            let first = DatabaseIdentity(systemIdentifier: "1", timeline: "00000001")
            let second = DatabaseIdentity(systemIdentifier: "2", timeline: "00000001")
            for identity in [first, second] { try await stores.safeguard.recordIdentity(identity) }
            try expectEqual(try await stores.safeguard.safeguard().recorded, first)
        },
    ]
}
