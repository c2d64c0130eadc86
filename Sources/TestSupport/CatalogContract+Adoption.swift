import Catalog
import Spec

extension CatalogScene {
    /// An object of `key` that no row names, seen twice on each backend.
    fileprivate func lost(
        _ key: String, on backends: [String], writtenAt: Int64 = 1_600_000_000_000_000
    ) async throws -> Adoption {
        let version = ids.makeVersionID()
        var copies: [CopyCandidate] = []
        for name in backends {
            let one = try candidate(name)
            copies.append(one)
            for _ in 0..<2 { _ = try await round(name, [one.physicalKey]) }
        }
        return Adoption(
            object: self.name(key), version: version, size: 7,
            digests: ContentDigests(etag: "0123456789abcdef0123456789abcdef"),
            headers: ObjectHeaders(contentType: "text/plain", user: ["a": "b"]), writtenAt: writtenAt,
            copies: copies, readGrace: .zero)
    }
}

extension CatalogContract {
    static let adoption: [CatalogPromise] = [
        CatalogPromise("an object that no row names becomes a version of its key, with the copies that are orphans") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let lost = try await scene.lost("k", on: ["a", "b"])
            try expectEqual(try await stores.adoption.known(lost.version), nil)
            try expectEqual(try await stores.adoption.adopt(lost), .adopted(copies: 2))
            let placed = try unwrap(try await scene.current("k"))
            try expectEqual(scene.names(placed.copies), ["a", "b"])
            try expectEqual(placed.version.id, lost.version)
            try expectEqual(placed.version.digests.etag, lost.digests.etag)
            try expectEqual(placed.version.headers.contentType, "text/plain")
            try expectEqual(placed.version.headers.user, ["a": "b"])
            try expectEqual(placed.version.committedAt, lost.writtenAt)
            try expectEqual(try await stores.adoption.known(lost.version), placed.version)
            try expectEqual(try await stores.inventory.orphans(nil, after: nil, limit: 10), [])
            try expectEqual(try await stores.adoption.adopt(lost), .notOrphan, "it is one no more")
            let usage = try unwrap(try await stores.fleet.snapshot().usage[try scene.id("a")])
            try expectEqual(usage.live, BackendUsage.Tally(copies: 1, bytes: ByteCount(7)))
        },
        CatalogPromise("copies of a version that the catalog has are added to it, one on each backend") { stores in
            let scene = try await CatalogScene.open(stores)
            let version = try await scene.put("k", on: ["a"], size: 7).version
            var lost = try await scene.lost("k", on: ["a", "b"])
            lost.version = version
            try expectEqual(try await stores.adoption.adopt(lost), .differs, "other bytes")
            lost.digests = try unwrap(try await scene.current("k")).version.digests
            try expectEqual(try await stores.adoption.adopt(lost), .copiesAdded(1))
            try expectEqual(scene.names(try unwrap(try await scene.current("k")).copies), ["a", "b"])
            let left = try await stores.inventory.orphans(nil, after: nil, limit: 10)
            try expectEqual(left.map(\.name), [lost.copies[0].physicalKey], "there is one on a already")
        },
        CatalogPromise("the newer version of a key stays, and an older one is replaced as by a write") { stores in
            let scene = try await CatalogScene.open(stores)
            let older = try await scene.lost("k", on: ["a"])
            let there = try await scene.put("k", on: ["b"])
            try expectEqual(try await stores.adoption.adopt(older), .outdated)
            let begun = try await scene.lost("k", on: ["c"])
            try expectEqual(
                try await stores.adoption.adopt(begun), .outdated, "the other was acknowledged after it had begun")
            let newer = try await scene.lost("k", on: ["a"], writtenAt: 4_000_000_000_000_000)
            try expectEqual(try await stores.adoption.adopt(newer), .adopted(copies: 1))
            try expectEqual(try unwrap(try await scene.current("k")).version.id, newer.version)
            try expectEqual(try await scene.due().map(\.copy.version), [there.version])
        },
        CatalogPromise("a backend that takes nothing back does not keep another from it") { stores in
            let scene = try await CatalogScene.open(stores)
            let lost = try await scene.lost("k", on: ["a", "b"])
            for (from, to) in [(.active, .draining), (.draining, .drained)] as [(BackendPhase, BackendPhase)] {
                try expectEqual(try await scene.change("a", from, to), .done)
            }
            for (index, outcome) in [(0, AdoptionOutcome.notOrphan), (1, .adopted(copies: 1))] {
                var one = lost
                one.copies = [lost.copies[index]]
                try expectEqual(try await stores.adoption.adopt(one), outcome)
            }
        },
        CatalogPromise("what was deleted since stays deleted, and what was never seen twice or has no bucket is left") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let lost = try await scene.lost("k", on: ["a"])
            try await scene.put("k", on: ["b"])
            _ = try await stores.writes.delete(bucket: scene.bucket, [DeleteRequest(key: "k")], readGrace: .zero)
            try expectEqual(try await stores.adoption.adopt(lost), .outdated)
            var once = try await scene.lost("other", on: [])
            once.copies = [try scene.candidate("a")]
            _ = try await scene.round("a", [once.copies[0].physicalKey, lost.copies[0].physicalKey])
            try expectEqual(try await stores.adoption.adopt(once), .notOrphan)
            var nowhere = lost
            nowhere.object = ObjectName(bucket: BucketID(99), key: "k")
            try expectEqual(try await stores.adoption.adopt(nowhere), .noSuchBucket)
            try expectEqual(try await scene.current("other"), nil)
        },
        CatalogPromise("what is deleted during a halt is remembered, also where the catalog does not know it") {
            stores in
            let scene = try await CatalogScene.open(stores)
            try await scene.put("known", on: ["b"])
            let lost = [try await scene.lost("known", on: ["a"]), try await scene.lost("unknown", on: ["a"])]
            try await stores.safeguard.halt("a test", newestEpoch: 0)
            for key in ["known", "unknown"] {
                _ = try await stores.writes.delete(bucket: scene.bucket, [DeleteRequest(key: key)], readGrace: .zero)
            }
            _ = try await stores.deletions.forgetGone(limit: 100)
            for one in lost { try expectEqual(try await stores.adoption.adopt(one), .outdated) }
        },
    ]
}
