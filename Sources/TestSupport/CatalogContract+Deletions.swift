import Catalog
import Spec

extension CatalogContract {
    static let deletions: [CatalogPromise] = [
        CatalogPromise("a due copy is claimed by one worker, until it is settled or the lease is over") { stores in
            let scene = try await CatalogScene.open(stores)
            for number in 0..<10 { try await scene.put("k\(number)", on: ["a"]) }
            _ = try await stores.writes.delete(
                bucket: scene.bucket, (0..<10).map { DeleteRequest(key: "k\($0)") }, readGrace: .zero)
            let a = try scene.id("a")
            let claims = try await withThrowingTaskGroup(of: [CopyID].self) { group in
                for _ in 0..<3 {
                    group.addTask {
                        try await stores.deletions.claimDoomed(
                            backend: a, limit: 4, token: scene.ids.makeLeaseToken(), lease: .seconds(-1)
                        )
                        .map(\.copy.id)
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            try expect(claims.count >= 4)
            let token = scene.ids.makeLeaseToken()
            let due = try await scene.due(token: token)
            try expectEqual(due.count, 10, "the leases were over")
            try expectEqual(try await scene.due().count, 0)
            try await stores.deletions.settle(due[0].copy.id, token: scene.ids.makeLeaseToken(), .gone)
            try expectEqual(try await scene.usage("a").doomed.copies, 10, "another's token settles nothing")
            for one in due { try await stores.deletions.settle(one.copy.id, token: token, .gone) }
            try expectEqual(try await scene.usage("a"), BackendUsage())
        },
        CatalogPromise("a failed deletion comes back later and counts; one that may arrive late gets a second look") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let intent = try scene.intent("k", on: ["a"])
            _ = try await stores.writes.intend(intent)
            try await stores.writes.giveUp(intent.version, token: intent.token, late: intent.candidates.map(\.id))
            let copy = intent.candidates[0].id
            let a = try scene.id("a")
            func claim() async throws -> (DoomedCopy?, LeaseToken) {
                let token = scene.ids.makeLeaseToken()
                let due = try await scene.due(token: token)
                return (due.first, token)
            }
            var one: DoomedCopy?
            var token: LeaseToken
            (one, token) = try await claim()
            try expectEqual(one?.attempts, 0)
            try await stores.deletions.settle(copy, token: token, .failed(retryAfter: .seconds(3600), evidence: "503"))
            try expect(try await claim().0 == nil, "before its time")
            let second = try scene.intent("l", on: ["a"])
            _ = try await stores.writes.intend(second)
            try await stores.writes.giveUp(second.version, token: second.token, late: second.candidates.map(\.id))
            for attempt in 0..<10 {
                (one, token) = try await claim()
                try expectEqual(one?.attempts, attempt)
                try await stores.deletions.settle(
                    second.candidates[0].id, token: token, .failed(retryAfter: .zero, evidence: "503"))
            }
            try expectEqual(try await stores.fleet.residue(a), BackendResidue(doomed: 2, deadLetters: 1))
            (one, token) = try await claim()
            try await stores.deletions.settle(second.candidates[0].id, token: token, .lookAgain(after: .zero))
            let residue = try await stores.fleet.residue(a)
            try expectEqual([residue.doomed, residue.waitingHorizon], [1, 1])
            (one, token) = try await claim()
            try expectEqual(one?.isSecondLook, true)
            try expectEqual(one?.mayArriveLate, true)
            try await stores.deletions.settle(second.candidates[0].id, token: token, .gone)
            try expectEqual(try await scene.usage("a").doomed.copies, 1)
        },
        CatalogPromise("writes whose lease ran out are doomed, as ones that may arrive late; no others") { stores in
            let scene = try await CatalogScene.open(stores)
            let expired = try scene.intent("k", on: ["a", "b"], lease: .seconds(-1))
            let running = try scene.intent("l", on: ["a"])
            for intent in [expired, running] { _ = try await stores.writes.intend(intent) }
            try await scene.put("m", on: ["a"])
            try expectEqual(try await stores.deletions.reapExpiredWrites(limit: 10), 2)
            try expectEqual(try await stores.deletions.reapExpiredWrites(limit: 10), 0)
            let due = try await scene.due()
            try expectEqual(Set(due.map(\.copy.id)), Set(expired.candidates.map(\.id)))
            try expect(due.allSatisfy(\.mayArriveLate))
        },
        CatalogPromise("what is gone is forgotten, and its key can be written anew") { stores in
            let scene = try await CatalogScene.open(stores)
            try await scene.put("k", on: ["a", "b"])
            try await scene.put("kept", on: ["a"])
            _ = try await stores.writes.delete(bucket: scene.bucket, [DeleteRequest(key: "k")], readGrace: .zero)
            for _ in 0..<3 { _ = try await stores.deletions.forgetGone(limit: 100) }
            try expectEqual(try await scene.usage("a").doomed.copies, 1, "still doomed")
            try expectEqual(try await scene.deleteDue(), 2)
            var forgotten = 0
            for _ in 0..<10 { forgotten += try await stores.deletions.forgetGone(limit: 1) }
            try expect(forgotten >= 3, "two copies and a version: \(forgotten)")
            try await scene.put("k", on: ["a", "b"])
            try expect(try await scene.current("k") != nil)
            try expect(try await scene.current("kept") != nil)
        },
        CatalogPromise("the counters of a backend are the sums over its copies, in every state") { stores in
            let scene = try await CatalogScene.open(stores)
            func tally(_ copies: Int64, _ bytes: Int64) -> BackendUsage.Tally {
                BackendUsage.Tally(copies: copies, bytes: ByteCount(bytes))
            }
            try await scene.put("k", on: ["a", "b"], size: 7)
            let intent = try scene.intent("l", on: ["a"], size: 100)
            _ = try await stores.writes.intend(intent)
            try expectEqual(try await scene.usage("a"), BackendUsage(writing: tally(1, 100), live: tally(1, 7)))
            try await scene.put("k", on: ["a"], size: 9)
            try await stores.writes.giveUp(intent.version, token: intent.token, late: [])
            try expectEqual(try await scene.usage("a"), BackendUsage(live: tally(1, 9), doomed: tally(2, 107)))
            try expectEqual(try await scene.usage("b"), BackendUsage(doomed: tally(1, 7)))
            try await scene.deleteDue()
            try expectEqual(try await scene.usage("a"), BackendUsage(live: tally(1, 9)))
        },
    ]
}
