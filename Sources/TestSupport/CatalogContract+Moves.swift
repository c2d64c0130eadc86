import Catalog
import Spec

extension CatalogContract {
    static let moves: [CatalogPromise] = [
        CatalogPromise("versions that are to leave a backend are claimed once, by one worker") { stores in
            let scene = try await CatalogScene.open(stores)
            var versions: Set<VersionID> = []
            for number in 0..<20 { versions.insert(try await scene.put("k\(number)", on: ["a", "b"]).version) }
            try await scene.put("other", on: ["b", "c"])
            let scope = MoveScope.leaving(try scene.id("a"))
            let claims = try await withThrowingTaskGroup(of: [VersionID].self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        try await stores.moves.claim(
                            scope, limit: 7, token: scene.ids.makeLeaseToken(), lease: .seconds(3600)
                        )
                        .map(\.placed.version.id)
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            try expectEqual(claims.count, Set(claims).count, "claimed twice")
            let rest = try await stores.moves.claim(
                scope, limit: 100, token: scene.ids.makeLeaseToken(), lease: .seconds(3600))
            try expectEqual(Set(claims + rest.map(\.placed.version.id)), versions)
            let none = try await stores.moves.claim(
                scope, limit: 100, token: scene.ids.makeLeaseToken(), lease: .seconds(3600))
            try expectEqual(none.count, 0)
            for one in rest {
                try expectEqual(one.bucketName, "photos")
                try expectEqual(one.attempts, 0)
                try expectEqual(scene.names(one.placed.copies), ["a", "b"])
            }
        },
        CatalogPromise("a claim ends by release or by its lease; failures wait, count, and stand behind the others") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let first = try await scene.put("k", on: ["a"]).version
            let second = try await scene.put("l", on: ["a"]).version
            let scope = MoveScope.leaving(try scene.id("a"))
            func claim(_ limit: Int = 10, _ lease: Duration = .seconds(3600)) async throws -> (
                [VersionID: Int], LeaseToken
            ) {
                let token = scene.ids.makeLeaseToken()
                let claimed = try await stores.moves.claim(scope, limit: limit, token: token, lease: lease)
                return (Dictionary(uniqueKeysWithValues: claimed.map { ($0.placed.version.id, $0.attempts) }), token)
            }
            var (claimed, token) = try await claim(10, .seconds(-1))
            try expectEqual(claimed, [first: 0, second: 0])
            try await stores.moves.release(first, token: token, .finished)
            (claimed, token) = try await claim()
            try expectEqual(claimed, [first: 0, second: 0], "released, and expired")
            try await stores.moves.release(first, token: scene.ids.makeLeaseToken(), .finished)
            try expectEqual(try await claim().0, [:], "released under another's token")
            try await stores.moves.release(
                first, token: token, .failed(retryAfter: .seconds(3600), evidence: "away"))
            try expectEqual(try await claim().0, [:], "in backoff")
            try await stores.moves.release(second, token: token, .failed(retryAfter: .zero, evidence: "away"))
            (claimed, token) = try await claim()
            try expectEqual(claimed, [second: 1])
            try await stores.moves.release(second, token: token, .waiting(.zero, because: "no room"))
            let third = try await scene.put("m", on: ["a"]).version
            let fresh = try await claim(1)
            try expectEqual(fresh.0, [third: 0])
            try expectEqual(try await claim().0, [second: 1], "waiting is no failure")
        },
        CatalogPromise("claims are renewed together while they last") { stores in
            let scene = try await CatalogScene.open(stores)
            for key in ["k", "l"] { try await scene.put(key, on: ["a"]) }
            let scope = MoveScope.leaving(try scene.id("a"))
            let token = scene.ids.makeLeaseToken()
            func claims(_ lease: Duration) async throws -> Int {
                let claimed = try await stores.moves.claim(scope, limit: 9, token: token, lease: lease)
                return claimed.count
            }
            try expectEqual(try await claims(.seconds(60)), 2)
            try expect(!(try await stores.moves.renewClaims(scene.ids.makeLeaseToken(), lease: .seconds(-1))), "other")
            try expect(try await stores.moves.renewClaims(token, lease: .seconds(-1)))
            try expect(!(try await stores.moves.renewClaims(token, lease: .seconds(60))), "it was over")
            try expectEqual(try await claims(.seconds(60)), 2)
        },
        CatalogPromise("what was put off is due when the fleet changes, the longest due first") { stores in
            let scene = try await CatalogScene.open(stores)
            let versions = [
                try await scene.put("k", on: ["a"]).version, try await scene.put("l", on: ["a"]).version,
            ]
            let scope = MoveScope.leaving(try scene.id("a"))
            func claim(_ limit: Int = 10) async throws -> ([VersionID], LeaseToken) {
                let token = scene.ids.makeLeaseToken()
                let claimed = try await stores.moves.claim(scope, limit: limit, token: token, lease: .seconds(3600))
                return (claimed.map(\.placed.version.id), token)
            }
            func putOff(_ token: LeaseToken) async throws {
                for (version, hours) in zip(versions, [2, 1]) {
                    try await stores.moves.release(
                        version, token: token, .failed(retryAfter: .seconds(hours * 3600), evidence: "away"))
                }
            }
            try await putOff(try await claim().1)
            try expectEqual(try await claim().0, [], "put off")
            _ = try await scene.change("b", .active, .draining)
            var (claimed, token) = try await claim(1)
            try expectEqual(claimed, [versions[1]])
            let (rest, other) = try await claim()
            try expectEqual(rest, [versions[0]])
            try await stores.moves.release(versions[0], token: other, .failed(retryAfter: .seconds(3600), evidence: ""))
            try await stores.moves.release(versions[1], token: token, .waiting(.seconds(3600), because: ""))
            try expectEqual(try await claim().0, [], "nothing changed since")
            func identified(_ status: ConditionStatus) -> ConditionRecord {
                ConditionRecord(
                    Subject(.backend, "c"), .identified, status, .identityConfirmed, "", observedGeneration: 1)
            }
            try await stores.status.publish([identified(.unknown)], events: [])
            try expectEqual(try await claim().0, [])
            let since = try await stores.status.conditions().map(\.lastTransitionAt)
            try await stores.status.publish([identified(.no)], events: [])
            try expectEqual(
                try await stores.status.conditions().map(\.lastTransitionAt), since, "away since the first of them")
            try await stores.status.publish([identified(.yes)], events: [])
            (claimed, token) = try await claim()
            try expectEqual(claimed.count, 2, "a backend is back")
        },
        CatalogPromise("versions short of copies on staying backends are claimed, suspects not counted") { stores in
            let scene = try await CatalogScene.open(stores)
            let one = try await scene.put("one", on: ["a"]).version
            try await scene.put("two", on: ["a", "b"])
            let suspect = try await scene.put("suspect", on: ["a", "b"])
            _ = try await stores.objects.markSuspect(suspect.candidates[0].id)
            let leaving = try await scene.put("leaving", on: ["a", "c"]).version
            let gone = try await scene.put("gone", on: ["a"])
            _ = try await stores.writes.delete(
                bucket: scene.bucket, [DeleteRequest(key: "gone")], readGrace: .seconds(60))
            let staying = [try scene.id("a"), try scene.id("b")]
            let claimed = try await stores.moves.claim(
                .short(bucket: scene.bucket, factor: 2, staying: staying), limit: 10, token: scene.ids.makeLeaseToken(),
                lease: .seconds(60))
            try expectEqual(
                Set(claimed.map(\.placed.version.id)), [one, suspect.version, leaving], "not \(gone.version)")
        },
        CatalogPromise("a version with a suspect copy is claimed until that is doomed, however many others it has") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let put = try await scene.put("k", on: ["a", "b", "c"])
            let suspect = put.candidates[0].id
            _ = try await stores.objects.markSuspect(suspect)
            let staying = try ["a", "b", "c"].map(scene.id)
            func claimed() async throws -> Int {
                let found = try await stores.moves.claim(
                    .short(bucket: scene.bucket, factor: 2, staying: staying), limit: 10,
                    token: scene.ids.makeLeaseToken(),
                    lease: .seconds(-1))
                return found.count
            }
            try expectEqual(try await claimed(), 1)
            let request = DoomRequest(
                copy: suspect, version: put.version, factor: 2, counted: staying, readGrace: .zero)
            try expectEqual(try await stores.moves.doom(request), .doomed)
            try expectEqual(try await claimed(), 0)
        },
        CatalogPromise("surplus copies are claimed once they are surplus for the trim delay") { stores in
            let scene = try await CatalogScene.open(stores)
            let three = try await scene.put("three", on: ["a", "b", "c"]).version
            try await scene.put("two", on: ["a", "b"])
            let staying = try ["a", "b", "c"].map(scene.id)
            let scope = MoveScope.surplus(bucket: scene.bucket, factor: 2, staying: staying)
            var desired = CatalogScene.desired(["a", "b", "c"], trimDelay: .seconds(24 * 3600))
            _ = try await stores.fleet.accept(CatalogScene.proposal(desired, digest: "day", parent: 1))
            let early = try await stores.moves.claim(
                scope, limit: 10, token: scene.ids.makeLeaseToken(), lease: .seconds(-1))
            try expectEqual(early.count, 0)
            desired.fleet.safety.trimDelay = .zero
            _ = try await stores.fleet.accept(CatalogScene.proposal(desired, digest: "zero", parent: 2))
            let claimed = try await stores.moves.claim(
                scope, limit: 10, token: scene.ids.makeLeaseToken(), lease: .seconds(60))
            try expectEqual(claimed.map(\.placed.version.id), [three])
        },
        CatalogPromise("a copy is made of a retained version, on an active backend without one") { stores in
            let scene = try await CatalogScene.open(stores, quotas: ["c": 5])
            let intent = try await scene.put("k", on: ["a"])
            let token = scene.ids.makeLeaseToken()
            func intend(_ backend: String, _ version: VersionID) async throws -> (CopyID, CopyIntentOutcome) {
                let candidate = try scene.candidate(backend)
                return (
                    candidate.id,
                    try await stores.moves.intendCopy(candidate, of: version, token: token, lease: .seconds(60))
                )
            }
            try expectEqual(try await intend("a", intent.version).1, .refused(.alreadyThere))
            try expectEqual(try await intend("c", intent.version).1, .refused(.overQuota))
            try expectEqual(try await intend("b", scene.ids.makeVersionID()).1, .notRetained)
            let (copy, outcome) = try await intend("b", intent.version)
            try expectEqual(outcome, .admitted)
            try expectEqual(try await intend("b", intent.version).1, .refused(.alreadyThere), "while it is written")
            try expectEqual(
                try await stores.moves.commitCopy(
                    UploadedCopy(id: copy, providerVersion: "p"), of: intent.version, token: token, readGrace: .zero),
                .live)
            let made = try await scene.copy("k", on: "b")
            try expectEqual(made.id, copy)
            try expectEqual(made.providerVersion, "p")
            _ = try await stores.objects.markSuspect(copy)
            try expectEqual(try await intend("b", intent.version).1, .admitted, "beside a suspect one")
            _ = try await scene.change("b", .active, .draining)
            try expectEqual(try await intend("b", intent.version).1, .refused(.notActive))
        },
        CatalogPromise("a copy that lost its lease, or whose version was replaced, is doomed instead of live") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let intent = try await scene.put("k", on: ["a"])
            let token = scene.ids.makeLeaseToken()
            let expired = try scene.candidate("b")
            _ = try await stores.moves.intendCopy(expired, of: intent.version, token: token, lease: .seconds(-1))
            try expectEqual(try await stores.deletions.reapExpiredWrites(limit: 10), 1)
            try expectEqual(
                try await stores.moves.commitCopy(
                    UploadedCopy(id: expired.id), of: intent.version, token: token, readGrace: .zero), .superseded)
            let late = try scene.candidate("c")
            _ = try await stores.moves.intendCopy(late, of: intent.version, token: token, lease: .seconds(60))
            try await scene.put("k", on: ["b"])
            try expectEqual(
                try await stores.moves.commitCopy(
                    UploadedCopy(id: late.id), of: intent.version, token: token, readGrace: .zero), .superseded)
            try expectEqual(scene.names(try unwrap(try await scene.current("k")).copies), ["b"])
            try expectEqual(try await scene.due().count, 3)
        },
        CatalogPromise("a copy is doomed only while enough verified ones stay elsewhere") { stores in
            let scene = try await CatalogScene.open(stores)
            let two = try await scene.put("two", on: ["a", "b"])
            let three = try await scene.put("three", on: ["a", "b", "c"])
            let others = try ["b", "c"].map(scene.id)
            func doom(_ intent: WriteIntent, _ index: Int = 0, counted: [BackendID], factor: Int = 2) async throws
                -> DoomOutcome
            {
                try await stores.moves.doom(
                    DoomRequest(
                        copy: intent.candidates[index].id, version: intent.version, factor: factor, counted: counted,
                        readGrace: .zero))
            }
            try expectEqual(try await doom(two, counted: others), .kept(others: 1, required: 2))
            try expectEqual(
                try await doom(three, counted: [others[0]]), .kept(others: 1, required: 2), "only what is counted")
            try expectEqual(try await doom(three, counted: others), .doomed)
            try expectEqual(try await doom(three, counted: others), .notLive)
            try expectEqual(scene.names(try unwrap(try await scene.current("three")).copies), ["b", "c"])
            try expectEqual(
                try await doom(two, counted: others, factor: 1), .kept(others: 1, required: 2),
                "the factor of a spec that was replaced")
            let snapshot = try await stores.fleet.snapshot()
            let lowered = CatalogScene.desired(["a", "b", "c"], factor: 1)
            _ = try await stores.fleet.accept(
                CatalogScene.proposal(lowered, digest: "lowered", parent: snapshot.revision))
            try expectEqual(
                try await doom(two, counted: others), .kept(others: 1, required: 2), "a worker that does not know yet")
            try expectEqual(try await doom(two, counted: others, factor: 1), .doomed)
            try expectEqual(try await scene.due().count, 2)
            // The row of a bucket that is not declared any more keeps an old factor, which says nothing.
            let kept = try await scene.put("kept", on: ["a", "b"])
            var undeclared = CatalogScene.desired(["a", "b", "c"], factor: 2, buckets: ["photos", "other"])
            _ = try await stores.fleet.accept(CatalogScene.proposal(undeclared, digest: "raised", parent: 2))
            undeclared.buckets.removeAll { $0.name == "photos" }
            _ = try await stores.fleet.accept(CatalogScene.proposal(undeclared, digest: "undeclared", parent: 3))
            try expectEqual(try await doom(kept, counted: others, factor: 2), .kept(others: 1, required: 2))
            try expectEqual(try await doom(kept, counted: others, factor: 1), .doomed)
        },
        CatalogPromise("suspect copies and those on draining backends do not count, and the last one always stays") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let all = try ["a", "b", "c"].map(scene.id)
            func doom(_ intent: WriteIntent, _ index: Int) async throws -> DoomOutcome {
                try await stores.moves.doom(
                    DoomRequest(
                        copy: intent.candidates[index].id, version: intent.version, factor: 2, counted: all,
                        readGrace: .zero))
            }
            let sole = try await scene.put("sole", on: ["a"])
            try expectEqual(try await doom(sole, 0), .kept(others: 0, required: 1))
            _ = try await stores.objects.markSuspect(sole.candidates[0].id)
            try expectEqual(try await doom(sole, 0), .kept(others: 0, required: 1), "though it is suspect")
            let mixed = try await scene.put("mixed", on: ["a", "b", "c"])
            _ = try await stores.objects.markSuspect(mixed.candidates[0].id)
            try expectEqual(try await doom(mixed, 1), .kept(others: 1, required: 2))
            _ = try await scene.change("c", .active, .draining)
            try expectEqual(try await doom(mixed, 0), .kept(others: 1, required: 2))
            _ = try await scene.change("c", .draining, .active)
            try expectEqual(try await doom(mixed, 0), .doomed)
        },
        CatalogPromise("of two dooms at once of different copies, one succeeds where only one may go") { stores in
            let scene = try await CatalogScene.open(stores)
            let all = try ["a", "b", "c"].map(scene.id)
            for round in 0..<10 {
                let intent = try await scene.put("k\(round)", on: ["a", "b", "c"])
                let outcomes = try await withThrowingTaskGroup(of: DoomOutcome.self) { group in
                    for index in 0..<3 {
                        group.addTask {
                            try await stores.moves.doom(
                                DoomRequest(
                                    copy: intent.candidates[index].id, version: intent.version, factor: 2, counted: all,
                                    readGrace: .zero))
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                try expectEqual(outcomes.count { $0 == .doomed }, 1, "round \(round)")
                try expectEqual(try unwrap(try await scene.current("k\(round)")).copies.count, 2)
            }
        },
    ]
}
