import Catalog
import Spec

extension CatalogContract {
    /// An upload that is open on both backends.
    private static func begin(
        _ scene: CatalogScene, _ key: String = "k", on names: [String] = ["a", "b"]
    ) async throws -> (UploadIntent, [CopyID]) {
        var write = try scene.intent(key, on: names, size: 0)
        write.lease = .zero
        let intent = UploadIntent(
            id: scene.ids.makeUploadID(), write: write, checksumAlgorithm: "crc32", checksumType: "COMPOSITE")
        let copies = write.candidates.map(\.id)
        try expectEqual(try await scene.stores.uploads.create(intent), IntentOutcome(admitted: copies, refused: [:]))
        try expectEqual(
            try await scene.stores.uploads.open(
                intent.id, backendUploadIDs: Dictionary(uniqueKeysWithValues: copies.map { ($0, "u-\($0)") })),
            true)
        return (intent, copies)
    }

    private static func part(_ scene: CatalogScene, _ number: Int, size: Int64 = 100, on copies: [CopyID]) -> UploadPart
    {
        let attempt = scene.ids.makeLeaseToken()
        return UploadPart(
            number: number, attempt: attempt, size: size, etag: "part-\(attempt.raw)", checksums: ["crc32": "AAAA"],
            backendETags: Dictionary(uniqueKeysWithValues: copies.map { ($0, "e-\($0)") }))
    }

    static let uploads: [CatalogPromise] = [
        CatalogPromise("the bytes of a part are reserved before they leave, within the quota, and count once") {
            stores in
            let scene = try await CatalogScene.open(stores, quotas: ["a": 250])
            let (intent, copies) = try await begin(scene)
            func writing() async throws -> Int64 {
                let usage = try await scene.usage("a")
                return usage.writing.bytes.value
            }
            try expectEqual(try await stores.uploads.reserve(100, for: intent.id, keeping: 2), .reserved(dropped: []))
            try expectEqual(try await stores.uploads.reserve(100, for: intent.id, keeping: 2), .reserved(dropped: []))
            try expectEqual(try await stores.uploads.reserve(51, for: intent.id, keeping: 2), .overQuota)
            try expectEqual(try await writing(), 200)
            let one = part(scene, 1, size: 100, on: copies)
            try expect(try await stores.uploads.record(one, of: intent.id, reserved: 100))
            try expectEqual(try await writing(), 200, "it was counted already")
            try expectEqual(
                try await stores.uploads.reserve(-100, for: intent.id, keeping: 2), .reserved(dropped: []), "given back"
            )
            try expectEqual(try await writing(), 100)
            try expectEqual(try await stores.uploads.reserve(150, for: intent.id, keeping: 2), .reserved(dropped: []))
            let again = part(scene, 1, size: 150, on: copies)
            try expect(try await stores.uploads.record(again, of: intent.id, reserved: 150))
            try expectEqual(try await writing(), 150, "a part that is sent again replaces the one before it")
            try expectEqual(try await scene.usage("b").writing.bytes.value, 150)
            _ = try await stores.uploads.abort(intent.id, object: intent.write.object)
            try expectEqual(try await stores.uploads.reserve(1, for: intent.id, keeping: 2), .noSuchUpload)
        },
        CatalogPromise("a backend without room for a part leaves the upload where enough others have it") { stores in
            let scene = try await CatalogScene.open(stores, quotas: ["a": 250])
            let (intent, copies) = try await begin(scene)
            func reserve(_ bytes: Int64, keeping: Int) async throws -> PartReservation {
                try await stores.uploads.reserve(bytes, for: intent.id, keeping: keeping)
            }
            try expectEqual(try await reserve(200, keeping: 2), .reserved(dropped: []))
            try expectEqual(try await reserve(51, keeping: 2), .overQuota)
            try expectEqual(try await reserve(51, keeping: 1), .reserved(dropped: [copies[0]]))
            try expectEqual(try await scene.usage("a").writing, BackendUsage.Tally())
            try expectEqual(try await scene.usage("b").writing.bytes.value, 251)
            let upload = try unwrap(try await stores.uploads.find(intent.id, object: intent.write.object))
            try expectEqual(upload.copies.map(\.copy), [copies[1]])
            try expectEqual(try await scene.due(["a"]).map(\.mayArriveLate), [true])
        },
        CatalogPromise("an upload takes parts, completes once, and answers a repeated Complete alike") { stores in
            let scene = try await CatalogScene.open(stores)
            let (intent, copies) = try await begin(scene)
            let (one, two) = (part(scene, 1, size: 100, on: copies), part(scene, 2, size: 30, on: copies))
            for part in [two, one] { try expectEqual(try await stores.uploads.record(part, of: intent.id), true) }
            let found = try unwrap(try await stores.uploads.find(intent.id, object: intent.write.object))
            try expectEqual(found.state, .open)
            try expectEqual(found.version, intent.write.version)
            try expectEqual(found.token, intent.write.token)
            try expectEqual(found.headers, intent.write.headers)
            try expectEqual([found.checksumAlgorithm, found.checksumType], ["crc32", "COMPOSITE"])
            try expectEqual(Set(found.copies.map(\.copy)), Set(copies))
            try expect(found.copies.allSatisfy { $0.backendUploadID == "u-\($0.copy)" })
            try expect(try await stores.uploads.find(intent.id, object: scene.name("other")) == nil)
            try expectEqual(try await scene.usage("a").writing, BackendUsage.Tally(copies: 1, bytes: ByteCount(130)))

            let listed = try await stores.uploads.parts(intent.id, after: 0, limit: 10)
            try expectEqual(listed.map(\.number), [1, 2])
            try expectEqual(listed[0].attempt, one.attempt)
            try expectEqual(listed[0].backendETags, one.backendETags)
            try expectEqual(listed[0].checksums, one.checksums)
            try expectEqual(try await stores.uploads.parts(intent.id, after: 1, limit: 10).map(\.number), [2])
            try expectEqual(try await stores.uploads.parts(intent.id, after: 0, limit: 1).map(\.number), [1])

            let chosen = [one, two].map { ChosenPart(number: $0.number, etag: $0.etag) }
            for _ in 1...2 {
                guard
                    case .proceed(let upload, let parts) = try await stores.uploads.beginComplete(
                        intent.id, object: intent.write.object, chosen: chosen)
                else { throw BrokenPromise(description: "no way on") }
                try expectEqual(upload.state, .completing)
                try expectEqual(parts.map(\.etag), [one.etag, two.etag])
            }
            try expectEqual(
                try await stores.uploads.record(part(scene, 3, on: copies), of: intent.id), false, "completing")
            var commit = scene.commit(intent.write)
            (commit.upload, commit.size, commit.partSizes) = (intent.id, 130, [100, 30])
            guard case .committed = try await stores.writes.commit(commit) else {
                throw BrokenPromise(description: "not committed")
            }
            let version = try unwrap(try await scene.current("k")).version
            try expectEqual(version.size, 130)
            try expectEqual(version.partSizes, [100, 30])
            try expectEqual(
                try await scene.usage("a"), BackendUsage(live: BackendUsage.Tally(copies: 1, bytes: ByteCount(130))))
            try await scene.put("k", on: ["c"])
            try await scene.deleteDue()
            for _ in 0..<5 { _ = try await stores.deletions.forgetGone(limit: 100) }
            try expectEqual(
                try await stores.uploads.beginComplete(intent.id, object: intent.write.object, chosen: chosen),
                .alreadyCompleted(version))
        },
        CatalogPromise("only chosen parts count in the end: the size is that of the commit") { stores in
            let scene = try await CatalogScene.open(stores)
            let (intent, copies) = try await begin(scene)
            let (one, two) = (part(scene, 1, size: 100, on: copies), part(scene, 2, size: 30, on: copies))
            for part in [one, two] { _ = try await stores.uploads.record(part, of: intent.id) }
            _ = try await stores.uploads.beginComplete(
                intent.id, object: intent.write.object, chosen: [ChosenPart(number: 2, etag: two.etag)])
            var commit = scene.commit(intent.write)
            (commit.upload, commit.size) = (intent.id, 30)
            _ = try await stores.writes.commit(commit)
            try expectEqual(
                try await scene.usage("b"), BackendUsage(live: BackendUsage.Tally(copies: 1, bytes: ByteCount(30))))
        },
        CatalogPromise("Complete refuses parts that are unknown or were sent anew, and uploads that are not open") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let (intent, copies) = try await begin(scene)
            let (old, new) = (part(scene, 1, size: 100, on: copies), part(scene, 1, size: 40, on: copies))
            for part in [old, new] { try expectEqual(try await stores.uploads.record(part, of: intent.id), true) }
            try expectEqual(try await scene.usage("a").writing.bytes, ByteCount(40), "a part sent anew replaces")
            func complete(_ id: UploadID, _ chosen: [ChosenPart]) async throws -> BeginCompleteOutcome {
                try await stores.uploads.beginComplete(id, object: intent.write.object, chosen: chosen)
            }
            try expectEqual(
                try await complete(intent.id, [ChosenPart(number: 1, etag: old.etag)]), .invalidPart(number: 1))
            try expectEqual(
                try await complete(
                    intent.id, [ChosenPart(number: 1, etag: new.etag), ChosenPart(number: 7, etag: "x")]),
                .invalidPart(number: 7))
            try expectEqual(try await complete(scene.ids.makeUploadID(), []), .noSuchUpload)
            try expectEqual(
                try unwrap(try await stores.uploads.find(intent.id, object: intent.write.object)).state, .open)
        },
        CatalogPromise("an aborted upload dooms its copies and takes no part, and its Complete loses") { stores in
            let scene = try await CatalogScene.open(stores)
            let (intent, copies) = try await begin(scene)
            let object = intent.write.object
            try expectEqual(try await stores.uploads.abort(intent.id, object: scene.name("other")), false)
            try expectEqual(try await stores.uploads.abort(intent.id, object: object), true)
            try expectEqual(try await stores.uploads.abort(intent.id, object: object), false)
            try expectEqual(try await stores.uploads.record(part(scene, 1, on: copies), of: intent.id), false)
            try expectEqual(
                try await stores.uploads.beginComplete(intent.id, object: object, chosen: []), .noSuchUpload)
            try expectEqual(try await scene.due().count, 2)
            let (second, secondCopies) = try await begin(scene, "l")
            let only = part(scene, 1, on: secondCopies)
            _ = try await stores.uploads.record(only, of: second.id)
            _ = try await stores.uploads.beginComplete(
                second.id, object: second.write.object, chosen: [ChosenPart(number: 1, etag: only.etag)])
            try expectEqual(try await stores.uploads.abort(second.id, object: second.write.object), true)
            var commit = scene.commit(second.write)
            (commit.upload, commit.size) = (second.id, 100)
            try expectEqual(try await stores.writes.commit(commit), .fenceLost)
        },
        CatalogPromise("a backend that missed the opening or a part no longer takes part") { stores in
            let scene = try await CatalogScene.open(stores)
            let write = try scene.intent("k", on: ["a", "b", "c"], size: 0)
            let intent = UploadIntent(id: scene.ids.makeUploadID(), write: write)
            let copies = write.candidates.map(\.id)
            _ = try await stores.uploads.create(intent)
            try expectEqual(try unwrap(try await stores.uploads.find(intent.id, object: write.object)).state, .creating)
            try expectEqual(
                try await stores.uploads.record(part(scene, 1, on: copies), of: intent.id), false, "not open yet")
            try expectEqual(
                try await stores.uploads.open(intent.id, backendUploadIDs: [copies[0]: "x", copies[1]: "y"]), true)
            try expectEqual(try await scene.due(["c"]).map(\.copy.id), [copies[2]])
            try expectEqual(try await stores.uploads.record(part(scene, 1, on: [copies[0]]), of: intent.id), true)
            let due = try await scene.due(["b"])
            try expectEqual(due.map(\.copy.id), [copies[1]])
            try expectEqual(due.map(\.mayArriveLate), [true])
            try expectEqual(
                try unwrap(try await stores.uploads.find(intent.id, object: write.object)).copies.map(\.copy),
                [copies[0]])
            try expectEqual(
                try await stores.uploads.record(part(scene, 2, on: [copies[1]]), of: intent.id), false,
                "no copy of it counts any more")
            try expectEqual(
                try unwrap(try await stores.uploads.find(intent.id, object: write.object)).copies.map(\.copy),
                [copies[0]])
            try expectEqual(try await stores.uploads.open(scene.ids.makeUploadID(), backendUploadIDs: [:]), false)
        },
        CatalogPromise("an upload of which no backend admits a copy is none") { stores in
            let scene = try await CatalogScene.open(stores)
            _ = try await scene.change("a", .active, .draining)
            let intent = UploadIntent(id: scene.ids.makeUploadID(), write: try scene.intent("k", on: ["a"], size: 0))
            try expectEqual(try await stores.uploads.create(intent).admitted, [])
            try expect(try await stores.uploads.find(intent.id, object: intent.write.object) == nil)
        },
        CatalogPromise("open uploads are listed by key and id, from a marker on") { stores in
            let scene = try await CatalogScene.open(stores)
            var expected: [(String, UploadID)] = []
            for key in ["b", "a/1", "a/2", "a/2", "c"] { expected.append((key, try await begin(scene, key).0.id)) }
            let aborted = try await begin(scene, "a/3").0
            _ = try await stores.uploads.abort(aborted.id, object: aborted.write.object)
            expected.sort { $0.0 != $1.0 ? $0.0 < $1.0 : $0.1 < $1.1 }
            let all = try await stores.uploads.list(UploadQuery(bucket: scene.bucket, limit: 100))
            try expectEqual(all.map(\.id), expected.map(\.1))
            try expect(all.allSatisfy { $0.copies.count == 2 })
            let prefixed = try await stores.uploads.list(UploadQuery(bucket: scene.bucket, prefix: "a/", limit: 100))
            try expectEqual(prefixed.map(\.id), expected[0..<3].map(\.1))
            let after = try await stores.uploads.list(
                UploadQuery(bucket: scene.bucket, afterKey: expected[1].0, afterID: expected[1].1, limit: 2))
            try expectEqual(after.map(\.id), expected[2..<4].map(\.1))
            let behind = try await stores.uploads.list(UploadQuery(bucket: scene.bucket, afterKey: "a/2", limit: 10))
            try expectEqual(behind.map(\.id), expected[3...].map(\.1))
        },
        CatalogPromise("uploads stand in the way of a drain until they are aborted for their age there") { stores in
            let scene = try await CatalogScene.open(stores)
            let (intent, copies) = try await begin(scene)
            try expectEqual(try await scene.change("a", .active, .draining), .done)
            let a = try scene.id("a")
            try expectEqual(try await stores.fleet.residue(a).openUploads, 1)
            try expect(try await !stores.fleet.residue(a).allowsDrained)
            try expectEqual(
                try await stores.uploads.record(part(scene, 1, on: copies), of: intent.id), true, "within the grace")
            try expectEqual(
                try await stores.deletions.abortStaleUploads(
                    drainGrace: .seconds(3600), maxAge: .seconds(3600), limit: 10), 0)
            try expectEqual(try await stores.deletions.reapExpiredWrites(limit: 10), 0, "uploads have no lease")
            try expectEqual(
                try await stores.deletions.abortStaleUploads(drainGrace: .zero, maxAge: .seconds(3600), limit: 10), 1)
            try expectEqual(try await stores.fleet.residue(a).openUploads, 0)
            let (other, _) = try await begin(scene, "l", on: ["b", "c"])
            try expectEqual(
                try await stores.deletions.abortStaleUploads(drainGrace: .zero, maxAge: .seconds(3600), limit: 10), 0)
            try expectEqual(
                try await stores.deletions.abortStaleUploads(drainGrace: .seconds(3600), maxAge: .zero, limit: 10), 1)
            try expectEqual(
                try await stores.uploads.beginComplete(other.id, object: other.write.object, chosen: []), .noSuchUpload)
        },
    ]
}
