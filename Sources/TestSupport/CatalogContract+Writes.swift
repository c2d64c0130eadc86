import Catalog
import Spec

extension CatalogContract {
    static let writes: [CatalogPromise] = [
        CatalogPromise("a committed write is the current version, with its live copies and all that came with it") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let intent = try scene.intent("k", on: ["b", "a"])
            _ = try await stores.writes.intend(intent)
            try expect(try await scene.current("k") == nil, "visible before the commit")
            var commit = scene.commit(intent)
            commit.partSizes = [5, 5]
            commit.uploaded[0] = UploadedCopy(id: commit.uploaded[0].id, providerVersion: "v1")
            let outcome = try await stores.writes.commit(commit)
            guard case .committed(let at, let sequence) = outcome else {
                throw BrokenPromise(description: "\(outcome)")
            }
            let placed = try unwrap(try await scene.current("k"))
            try expectEqual(
                placed.version,
                Version(
                    id: intent.version, object: intent.object, size: 10, digests: commit.digests,
                    headers: intent.headers,
                    partSizes: [5, 5], committedAt: at, sequence: sequence))
            try expectEqual(scene.names(placed.copies), ["a", "b"])
            try expectEqual(placed.copies.map(\.backend), placed.copies.map(\.backend).sorted(), "order")
            try expect(placed.copies.allSatisfy { $0.state == .live && !$0.isSuspect && $0.version == intent.version })
            try expectEqual(try await scene.copy("k", on: "b").providerVersion, "v1")
            try expectEqual(try await scene.copy("k", on: "b").physicalKey, intent.candidates[0].physicalKey)
            try expectEqual(try await stores.writes.commit(commit), outcome, "the same commit again")
        },
        CatalogPromise("an intent is refused where a backend drains or is over its quota, and admitted elsewhere") {
            stores in
            let scene = try await CatalogScene.open(stores, quotas: ["b": 25])
            try expectEqual(try await scene.change("a", .active, .draining), .done)
            let first = try scene.intent("k", on: ["a", "b", "c"], size: 20)
            let outcome = try await stores.writes.intend(first)
            try expectEqual(outcome.admitted, first.candidates[1...2].map(\.id))
            try expectEqual(outcome.refused, [first.candidates[0].id: .notActive])
            let second = try scene.intent("l", on: ["b", "c"], size: 6)
            try expectEqual(try await stores.writes.intend(second).refused, [second.candidates[0].id: .overQuota])
            let third = try scene.intent("m", on: ["b"], size: 5)
            try expectEqual(try await stores.writes.intend(third).refused, [:], "exactly full")
            let fourth = try scene.intent("n", on: ["a", "b"], size: 1)
            let none = try await stores.writes.intend(fourth)
            try expectEqual(none.admitted, [])
            try expectEqual(try await stores.writes.commit(scene.commit(fourth)), .fenceLost, "nothing was admitted")
        },
        CatalogPromise("an undeclared backend takes no intent and keeps what it has") { stores in
            let scene = try await CatalogScene.open(stores)
            try await scene.put("k", on: ["a", "b"])
            _ = try await stores.fleet.accept(
                CatalogScene.proposal(CatalogScene.desired(["b", "c"]), digest: "two", parent: 1))
            let intent = try scene.intent("l", on: ["a", "b"])
            try expectEqual(try await stores.writes.intend(intent).refused, [intent.candidates[0].id: .notActive])
            try expectEqual(scene.names(try unwrap(try await scene.current("k")).copies), ["a", "b"])
        },
        CatalogPromise("a further intent of the same version adds targets, but not where it has a copy") { stores in
            let scene = try await CatalogScene.open(stores)
            var intent = try scene.intent("k", on: ["a"])
            _ = try await stores.writes.intend(intent)
            let first = intent.candidates
            intent.candidates = try ["a", "b"].map(scene.candidate)
            intent.isAdditional = true
            let outcome = try await stores.writes.intend(intent)
            try expectEqual(outcome.admitted, [intent.candidates[1].id])
            try expectEqual(outcome.refused, [intent.candidates[0].id: .alreadyThere])
            let committed = try await stores.writes.commit(
                scene.commit(intent, uploaded: [intent.candidates[1].id], failed: [first[0].id: true]))
            guard case .committed = committed else { throw BrokenPromise(description: "\(committed)") }
            try expectEqual(scene.names(try unwrap(try await scene.current("k")).copies), ["b"])
        },
        CatalogPromise("a further intent of a version that is over admits nothing") { stores in
            let scene = try await CatalogScene.open(stores)
            var intent = try scene.intent("k", on: ["a"])
            _ = try await stores.writes.intend(intent)
            _ = try await stores.writes.resolve(intent.version, readGrace: .zero)
            intent.candidates = [try scene.candidate("b")]
            intent.isAdditional = true
            try expectEqual(try await stores.writes.intend(intent).admitted, [])
            var unknown = try scene.intent("l", on: ["b"])
            unknown.isAdditional = true
            try expectEqual(try await stores.writes.intend(unknown).admitted, [])
        },
        CatalogPromise("a commit under another token loses the fence; nothing appears and what was written is doomed") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let intent = try scene.intent("k", on: ["a", "b"])
            _ = try await stores.writes.intend(intent)
            try expectEqual(
                try await stores.writes.commit(scene.commit(intent, token: scene.ids.makeLeaseToken())), .fenceLost)
            try expect(try await scene.current("k") == nil)
            try expectEqual(try await scene.due().count, 2)
            try expectEqual(
                try await stores.writes.commit(scene.commit(intent)), .fenceLost, "the right token, too late")
        },
        CatalogPromise("one lost copy among those to be acknowledged fails the whole commit") { stores in
            let scene = try await CatalogScene.open(stores)
            try await scene.put("k", on: ["a", "b"])
            let before = try await scene.current("k")
            let intent = try scene.intent("k", on: ["a", "b"], lease: .seconds(-1))
            _ = try await stores.writes.intend(intent)
            try expectEqual(try await stores.deletions.reapExpiredWrites(limit: 100), 2)
            try expectEqual(try await stores.writes.commit(scene.commit(intent)), .fenceLost)
            try expectEqual(try await scene.current("k"), before, "the old object")
            let third = try scene.intent("k", on: ["a", "b"])
            _ = try await stores.writes.intend(third)
            let foreign = scene.ids.makeCopyID()
            try expectEqual(
                try await stores.writes.commit(scene.commit(third, uploaded: [third.candidates[0].id, foreign])),
                .fenceLost)
            try expectEqual(
                try await stores.writes.commit(scene.commit(intent, uploaded: [])), .fenceLost, "without copies")
        },
        CatalogPromise(
            "copies that failed or of which nothing is known are doomed with the commit, late where they may arrive"
        ) { stores in
            let scene = try await CatalogScene.open(stores)
            let intent = try scene.intent("k", on: ["a", "b", "c"])
            _ = try await stores.writes.intend(intent)
            let (a, b, c) = (intent.candidates[0].id, intent.candidates[1].id, intent.candidates[2].id)
            _ = try await stores.writes.commit(scene.commit(intent, uploaded: [a], failed: [b: false]))
            let due = try await scene.due()
            try expectEqual(
                Dictionary(uniqueKeysWithValues: due.map { ($0.copy.id, $0.mayArriveLate) }), [b: false, c: true])
            try expect(due.allSatisfy { !$0.isSecondLook && $0.attempts == 0 && $0.copy.state == .doomed })
        },
        CatalogPromise("an overwrite dooms the old copies, which stay for the read grace") { stores in
            let scene = try await CatalogScene.open(stores)
            try await scene.put("k", on: ["a", "b"])
            let second = try await scene.put("k", on: ["b", "c"], readGrace: .seconds(3600))
            try expectEqual(try unwrap(try await scene.current("k")).version.id, second.version)
            try expectEqual(try await scene.due().count, 0, "within the grace")
            try expectEqual(try await scene.usage("a").doomed, BackendUsage.Tally(copies: 1, bytes: .init(10)))
            try await scene.put("k", on: ["a", "b"])
            try expectEqual(Set(try await scene.due().map(\.copy.version)), [second.version])
        },
        CatalogPromise("commits of an object are numbered upwards, also after it was deleted and forgotten") { stores in
            let scene = try await CatalogScene.open(stores)
            var last: Int64 = -1
            for round in 0..<6 {
                try await scene.put("k", on: ["a"])
                let version = try unwrap(try await scene.current("k")).version
                try expect(version.sequence > last, "\(version.sequence) after \(last)")
                last = version.sequence
                if round % 2 == 0 {
                    _ = try await stores.writes.delete(
                        bucket: scene.bucket, [DeleteRequest(key: "k")], readGrace: .zero)
                }
                try await scene.deleteDue()
                while try await stores.deletions.forgetGone(limit: 100) > 0 {}
            }
        },
        CatalogPromise(
            "preconditions are decided at the commit; a write that fails them leaves nothing but doomed copies"
        ) { stores in
            let scene = try await CatalogScene.open(stores)
            func attempt(_ precondition: WritePrecondition, on key: String = "k") async throws -> CommitOutcome {
                let intent = try scene.intent(key, on: ["a"])
                _ = try await stores.writes.intend(intent)
                return try await stores.writes.commit(scene.commit(intent, precondition: precondition))
            }
            try expectEqual(try await attempt(WritePrecondition(ifMatch: .any), on: "new"), .noSuchKey)
            try expectEqual(try await attempt(WritePrecondition(ifMatch: .etags(["x"])), on: "new"), .noSuchKey)
            let first = try await scene.put("k", on: ["b"])
            let etag = "etag-\(first.version)"
            try expectEqual(try await attempt(WritePrecondition(ifNoneMatch: .any)), .preconditionFailed)
            try expectEqual(
                try await attempt(WritePrecondition(ifNoneMatch: .etags(["x", etag]))), .preconditionFailed)
            try expectEqual(try await attempt(WritePrecondition(ifMatch: .etags(["x", "y"]))), .preconditionFailed)
            try expectEqual(try unwrap(try await scene.current("k")).version.id, first.version)
            try expect(try await scene.current("new") == nil)
            try expectEqual(try await scene.deleteDue(), 5)
            guard case .committed = try await attempt(WritePrecondition(ifMatch: .etags(["x", etag]))) else {
                throw BrokenPromise(description: "If-Match with the ETag")
            }
            guard case .committed = try await attempt(WritePrecondition(ifNoneMatch: .etags([etag]))) else {
                throw BrokenPromise(description: "If-None-Match with another ETag")
            }
        },
        CatalogPromise("of many who create one key if it is not there, one does") { stores in
            let scene = try await CatalogScene.open(stores)
            let outcomes = try await withThrowingTaskGroup(of: CommitOutcome.self) { group in
                for _ in 0..<12 {
                    group.addTask {
                        let intent = try scene.intent("k", on: ["a", "b"])
                        _ = try await stores.writes.intend(intent)
                        return try await stores.writes.commit(
                            scene.commit(intent, precondition: WritePrecondition(ifNoneMatch: .any)))
                    }
                }
                var outcomes: [CommitOutcome] = []
                for try await outcome in group { outcomes.append(outcome) }
                return outcomes
            }
            try expectEqual(outcomes.count { if case .committed = $0 { true } else { false } }, 1)
            try expectEqual(outcomes.count { $0 == .preconditionFailed }, 11)
            try expectEqual(try unwrap(try await scene.current("k")).copies.count, 2)
        },
        CatalogPromise(
            "what was committed resolves as committed; all else resolves as not, and can never be committed after"
        ) { stores in
            let scene = try await CatalogScene.open(stores)
            let done = try await scene.put("k", on: ["a"])
            let version = try unwrap(try await scene.current("k")).version
            try expectEqual(
                try await stores.writes.resolve(done.version, readGrace: .zero),
                .committed(committedAt: version.committedAt, sequence: version.sequence))
            let open = try scene.intent("l", on: ["a", "b"])
            _ = try await stores.writes.intend(open)
            try expectEqual(try await stores.writes.resolve(open.version, readGrace: .zero), .notCommitted)
            try expectEqual(try await stores.writes.commit(scene.commit(open)), .fenceLost)
            try expectEqual(try await scene.due().count, 2)
            let unknown = try scene.intent("m", on: ["a"])
            try expectEqual(try await stores.writes.resolve(unknown.version, readGrace: .zero), .notCommitted)
            try expectEqual(try await stores.writes.commit(scene.commit(unknown)), .fenceLost)
            try expect(try await scene.current("m") == nil)
            try await scene.put("k", on: ["b"])
            guard case .committed = try await stores.writes.resolve(done.version, readGrace: .zero) else {
                throw BrokenPromise(description: "it was committed, though it was replaced since")
            }
        },
        CatalogPromise("a lease that is renewed is not reaped; the token is needed, and a copy that still grows") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let intent = try scene.intent("k", on: ["a", "b"], lease: .seconds(-1))
            _ = try await stores.writes.intend(intent)
            try expectEqual(
                try await stores.writes.renew(intent.version, token: scene.ids.makeLeaseToken(), lease: .seconds(60)),
                false)
            try expectEqual(
                try await stores.writes.renew(intent.version, token: intent.token, lease: .seconds(60)), true)
            try expectEqual(try await stores.deletions.reapExpiredWrites(limit: 100), 0)
            _ = try await stores.writes.commit(scene.commit(intent))
            try expectEqual(
                try await stores.writes.renew(intent.version, token: intent.token, lease: .seconds(60)), false)
        },
        CatalogPromise("who gives up dooms what is under the token, due at once") { stores in
            let scene = try await CatalogScene.open(stores)
            let intent = try scene.intent("k", on: ["a", "b"])
            _ = try await stores.writes.intend(intent)
            try await stores.writes.giveUp(intent.version, token: scene.ids.makeLeaseToken(), late: [])
            try expectEqual(try await scene.due().count, 0, "another's token")
            try await stores.writes.giveUp(intent.version, token: intent.token, late: [intent.candidates[1].id])
            let due = try await scene.due()
            try expectEqual(due.filter(\.mayArriveLate).map(\.copy.id), [intent.candidates[1].id])
            try expectEqual(due.count, 2)
            try expectEqual(try await stores.writes.commit(scene.commit(intent)), .fenceLost)
        },
    ]

    static let deletes: [CatalogPromise] = [
        CatalogPromise("a deleted key is gone at once and its copies are doomed; deleting it again is no error") {
            stores in
            let scene = try await CatalogScene.open(stores)
            try await scene.put("k", on: ["a", "b"])
            for _ in 1...2 {
                let outcomes = try await stores.writes.delete(
                    bucket: scene.bucket, [DeleteRequest(key: "k")], readGrace: .zero)
                try expectEqual(outcomes, [.deleted])
            }
            try expect(try await scene.current("k") == nil)
            try expectEqual(try await scene.due().count, 2)
            try await scene.put("k", on: ["a"])
            try expect(try await scene.current("k") != nil, "written anew")
        },
        CatalogPromise(
            "many keys are deleted at once, each by its own precondition, answered in the order of the requests"
        ) { stores in
            let scene = try await CatalogScene.open(stores)
            for key in ["a", "b", "c"] { try await scene.put(key, on: ["a"]) }
            let etag = try unwrap(try await scene.current("b")).version.digests.etag
            let outcomes = try await stores.writes.delete(
                bucket: scene.bucket,
                [
                    DeleteRequest(key: "c", precondition: WritePrecondition(ifMatch: .etags(["other"]))),
                    DeleteRequest(key: "b", precondition: WritePrecondition(ifMatch: .etags(["other", etag]))),
                    DeleteRequest(key: "missing"),
                    DeleteRequest(key: "absent", precondition: WritePrecondition(ifMatch: .any)),
                    DeleteRequest(key: "a"),
                    DeleteRequest(key: "a"),
                ], readGrace: .zero)
            try expectEqual(outcomes, [.preconditionFailed, .deleted, .deleted, .noSuchKey, .deleted, .deleted])
            try expect(try await scene.current("a") == nil)
            try expect(try await scene.current("b") == nil)
            try expect(try await scene.current("c") != nil)
        },
        CatalogPromise("a repair that is under way when its object is deleted comes to nothing") { stores in
            let scene = try await CatalogScene.open(stores)
            let intent = try await scene.put("k", on: ["a"])
            let candidate = try scene.candidate("b")
            let token = scene.ids.makeLeaseToken()
            try expectEqual(
                try await stores.moves.intendCopy(candidate, of: intent.version, token: token, lease: .seconds(60)),
                .admitted)
            _ = try await stores.writes.delete(bucket: scene.bucket, [DeleteRequest(key: "k")], readGrace: .zero)
            try expectEqual(
                try await stores.moves.commitCopy(
                    UploadedCopy(id: candidate.id), of: intent.version, token: token, readGrace: .zero),
                .superseded)
            try expectEqual(try await scene.due().count, 2)
        },
    ]
}
