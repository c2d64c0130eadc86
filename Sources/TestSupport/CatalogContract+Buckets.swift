import Catalog
import Spec

extension CatalogContract {
    static let buckets: [CatalogPromise] = [
        CatalogPromise("a bucket that a client makes has an owner, is found by its name, and is made once") { stores in
            _ = try await CatalogScene.open(stores)
            guard
                case .created(let made) = try await stores.buckets.createBucket(
                    "mine", owner: "ann", settings: [.acl: "private"], limit: 2)
            else { throw BrokenPromise(description: "not created") }
            try expectEqual(made.owner, "ann")
            try expectEqual(made.settings, [.acl: "private"])
            try expect(!made.isDeclared && made.isServed)
            try expectEqual(try await stores.buckets.bucket("mine"), made)
            try expectEqual(
                try await stores.buckets.createBucket("mine", owner: "bob", settings: [:], limit: 2), .exists(made))
            try expectEqual(try await stores.fleet.snapshot().bucket("mine"), made)
            let declared = try unwrap(try await stores.fleet.snapshot().bucket("photos"))
            try expectEqual(
                try await stores.buckets.createBucket("photos", owner: "ann", settings: [:], limit: 2),
                .exists(declared))
        },
        CatalogPromise("an owner has at most as many buckets as are allowed, also when they are made at once") {
            stores in
            _ = try await CatalogScene.open(stores)
            let made = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<8 {
                    group.addTask {
                        let outcome = try await stores.buckets.createBucket(
                            "b-\(number)", owner: "ann", settings: [:], limit: 3)
                        if case .created = outcome { return true }
                        return false
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            try expectEqual(made, 3)
            guard case .created = try await stores.buckets.createBucket("other", owner: "bob", settings: [:], limit: 3)
            else {
                throw BrokenPromise(description: "another owner has room")
            }
        },
        CatalogPromise("settings of a client's bucket come and go, and those of a declared one do not") { stores in
            let scene = try await CatalogScene.open(stores)
            guard
                case .created(let made) = try await stores.buckets.createBucket(
                    "mine", owner: "ann", settings: [.acl: "private"], limit: 2)
            else { throw BrokenPromise(description: "not created") }
            try expect(try await stores.buckets.set(.cors, "<x>'é", of: made.id))
            try expect(try await stores.buckets.set(.tagging, "a=b", of: made.id))
            try expect(try await stores.buckets.set(.acl, nil, of: made.id))
            try expectEqual(try await stores.buckets.bucket("mine")?.settings, [.cors: "<x>'é", .tagging: "a=b"])
            try expect(try await stores.buckets.set(.cors, "again", of: made.id))
            try expectEqual(try await stores.buckets.bucket("mine")?.settings, [.cors: "again", .tagging: "a=b"])
            try expect(!(try await stores.buckets.set(.cors, "x", of: scene.bucket)), "declared")
        },
        CatalogPromise("a bucket is deleted when it is empty, takes its uploads with it, and never takes a late write")
        { stores in
            let scene = try await CatalogScene.open(stores)
            try expectEqual(try await stores.buckets.deleteBucket(scene.bucket), .declared)
            guard
                case .created(let made) = try await stores.buckets.createBucket(
                    "mine", owner: "ann", settings: [:], limit: 2)
            else { throw BrokenPromise(description: "not created") }
            var early = try scene.intent("k", on: ["a"])
            early.object = ObjectName(bucket: made.id, key: "k")
            _ = try await stores.writes.intend(early)
            var late = try scene.intent("k", on: ["a"])
            late.object = ObjectName(bucket: made.id, key: "k")
            _ = try await stores.writes.intend(late)
            guard case .committed = try await stores.writes.commit(scene.commit(early)) else {
                throw BrokenPromise(description: "not committed")
            }
            try expectEqual(try await stores.buckets.deleteBucket(made.id), .notEmpty)
            _ = try await stores.writes.delete(bucket: made.id, [DeleteRequest(key: "k")], readGrace: .zero)
            try expectEqual(try await stores.buckets.deleteBucket(made.id), .deleted)
            try expectEqual(try await stores.buckets.deleteBucket(made.id), .noSuchBucket)
            try expectEqual(try await stores.buckets.bucket("mine"), nil)
            try expectEqual(try await stores.writes.commit(scene.commit(late)), .noSuchBucket)
            try expectEqual(try await stores.writes.resolve(late.version, readGrace: .zero), .notCommitted)
            guard
                case .created(let again) = try await stores.buckets.createBucket(
                    "mine", owner: "bob", settings: [:], limit: 2)
            else { throw BrokenPromise(description: "the name is free again") }
            try expect(again.id != made.id, "an id is never used again")
        },
        CatalogPromise("a spec that declares a client's bucket takes it over with its objects") { stores in
            let scene = try await CatalogScene.open(stores)
            guard
                case .created(let made) = try await stores.buckets.createBucket(
                    "mine", owner: "ann", settings: [.cors: "x"], limit: 2)
            else { throw BrokenPromise(description: "not created") }
            let current = try await stores.fleet.snapshot()
            let names = current.backends.map(\.name)
            _ = try await stores.fleet.accept(
                CatalogScene.proposal(
                    CatalogScene.desired(names, buckets: ["photos", "mine"]), digest: "more", parent: current.revision))
            let taken = try unwrap(try await stores.buckets.bucket("mine"))
            try expectEqual(taken.id, made.id)
            try expect(taken.isDeclared && taken.owner == nil && taken.settings.isEmpty)
            _ = scene
        },
        CatalogPromise("tags and ACL of an object change without making another version") { stores in
            let scene = try await CatalogScene.open(stores)
            let name = ObjectName(bucket: scene.bucket, key: "k")
            try expectEqual(try await stores.objects.annotate(name, .tagging("a=b")), nil)
            let version = try await scene.put("k", on: ["a"]).version
            let before = try unwrap(try await stores.objects.current(name)).version
            try expectEqual(try await stores.objects.annotate(name, .tagging("a=b&c=")), version)
            try expectEqual(try await stores.objects.annotate(name, .acl("public-read")), version)
            let after = try unwrap(try await stores.objects.current(name)).version
            try expectEqual(after.headers.tagging, "a=b&c=")
            try expectEqual(after.headers.acl, "public-read")
            try expectEqual(after.headers.standard, before.headers.standard)
            try expectEqual(after.committedAt, before.committedAt)
            _ = try await stores.objects.annotate(name, .tagging(nil))
            try expectEqual(try await stores.objects.current(name)?.version.headers.tagging, nil)
            try expectEqual(try await stores.objects.current(name)?.version.headers.acl, "public-read")
        },
        CatalogPromise("a delete may depend on size and time as well") { stores in
            let scene = try await CatalogScene.open(stores)
            _ = try await scene.put("k", on: ["a"])
            let now = try unwrap(try await stores.objects.current(ObjectName(bucket: scene.bucket, key: "k"))).version
            func delete(_ key: String, _ precondition: WritePrecondition) async throws -> DeleteOutcome? {
                let request = DeleteRequest(key: key, precondition: precondition)
                let outcomes = try await stores.writes.delete(bucket: scene.bucket, [request], readGrace: .zero)
                return outcomes.first
            }
            try expectEqual(try await delete("k", WritePrecondition(ifSize: now.size + 1)), .preconditionFailed)
            try expectEqual(try await delete("k", WritePrecondition(ifModifiedAt: 1)), .preconditionFailed)
            try expectEqual(try await delete("k", WritePrecondition(ifModifiedAt: -1)), .preconditionFailed)
            try expectEqual(
                try await delete("k", WritePrecondition(ifModifiedAt: -62_135_596_800)), .preconditionFailed, "year 1")
            try expectEqual(
                try await delete("none", WritePrecondition(ifSize: 1, ifModifiedAt: 1)), .deleted, "nothing to protect")
            try expectEqual(
                try await delete("k", WritePrecondition(ifSize: now.size, ifModifiedAt: now.committedAt / 1_000_000)),
                .deleted)
        },
    ]
}
