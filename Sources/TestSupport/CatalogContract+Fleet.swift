import Catalog
import Spec

extension CatalogContract {
    static let fleet: [CatalogPromise] = [
        CatalogPromise("a spec is accepted on its parent only, and an old file cannot roll the fleet back") { stores in
            try expectEqual(try await stores.fleet.snapshot().revision, 0)
            func accept(_ digest: String, _ parent: Int64, rollback: Bool = false) async throws -> SpecAcceptance {
                try await stores.fleet.accept(
                    CatalogScene.proposal(
                        CatalogScene.desired(["a"]), digest: digest, parent: parent, allowsRollback: rollback))
            }
            try expectEqual(try await accept("one", 7), .conflict(current: 0))
            try expectEqual(try await accept("one", 0), .accepted(revision: 1))
            try expectEqual(try await accept("one", 0), .unchanged(revision: 1))
            try expectEqual(try await accept("two", 0), .conflict(current: 1))
            try expectEqual(try await accept("two", 1), .accepted(revision: 2))
            try expectEqual(try await accept("one", 2), .superseded(current: 2, acceptedAs: 1))
            try expectEqual(try await accept("one", 2, rollback: true), .accepted(revision: 3))
            try expectEqual(try await accept("two", 3), .superseded(current: 3, acceptedAs: 2))
            let snapshot = try await stores.fleet.snapshot()
            try expectEqual(snapshot.revision, 3)
            try expectEqual(snapshot.digest, "one")
            try expect(snapshot.acceptedAt > 0)
        },
        CatalogPromise("of many who propose on one parent, one is accepted") { stores in
            let outcomes = try await withThrowingTaskGroup(of: SpecAcceptance.self) { group in
                for number in 0..<8 {
                    group.addTask {
                        try await stores.fleet.accept(
                            CatalogScene.proposal(CatalogScene.desired(["a"]), digest: "d\(number)", parent: 0))
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            try expectEqual(outcomes.count { $0 == .accepted(revision: 1) }, 1)
            try expectEqual(outcomes.count { $0 == .conflict(current: 1) }, 7)
        },
        CatalogPromise("a backend's spec comes back whole, but for literal secrets") { stores in
            let s3 = BackendSpec(
                name: "b2", labels: ["region": "eu west", "odd": "a=b\nc \\n"], state: .active,
                location: .s3(endpoint: "https://s3.example.com", region: "eu", bucket: "data", usesPathStyle: false),
                keyPrefix: "x/y z/",
                credentials: BackendCredentials(
                    accessKeyID: .environment(name: "ID"), secretAccessKey: .file(path: "/run/a b")),
                quota: ByteCount(7), usageLimits: UsageLimits(apiRequests: 5, egress: ByteCount(6), ingress: nil),
                removal: .abandon(token: "lose 3"), isDeletionProtected: true)
            var disk = BackendSpec(name: "disk", location: .directory(path: "/srv/a b"), keyPrefix: "", removal: .purge)
            disk.credentials = BackendCredentials(
                accessKeyID: .environment(name: "ID"), secretAccessKey: .literal(Secret("hunter2")))
            let desired = DesiredState(
                fleet: FleetSpec(name: "home", replication: ReplicationSpec(factor: 1)), backends: [s3, disk],
                buckets: [BucketSpec(name: "p")])
            _ = try await stores.fleet.accept(CatalogScene.proposal(desired, digest: "one", parent: 0))
            let snapshot = try await stores.fleet.snapshot()
            try expectEqual(snapshot.backend("b2")?.spec, s3)
            let found = try unwrap(snapshot.backend("disk"))
            disk.credentials?.secretAccessKey = .literal(Secret(""))
            try expectEqual(found.spec, disk)
        },
        CatalogPromise("a backend that vanishes from the files is undeclared, and returns as the one it was") {
            stores in
            let scene = try await CatalogScene.open(stores, ["a", "b"])
            let before = try unwrap(try await stores.fleet.snapshot().backend("a"))
            try expectEqual(before.phase, .active)
            try expectEqual(before.generation, 1)
            _ = try await stores.fleet.accept(
                CatalogScene.proposal(CatalogScene.desired(["b"]), digest: "two", parent: 1))
            let undeclared = try unwrap(try await stores.fleet.snapshot().backend("a"))
            try expect(!undeclared.isDeclared)
            try expectEqual(undeclared.id, before.id)
            _ = try await stores.fleet.accept(
                CatalogScene.proposal(CatalogScene.desired(["a", "b"], quotas: ["a": 5]), digest: "three", parent: 2))
            let back = try unwrap(try await stores.fleet.snapshot().backend("a"))
            try expect(back.isDeclared)
            try expectEqual([back.id, back.id], [before.id, undeclared.id])
            try expectEqual(back.uid, before.uid)
            try expectEqual(back.generation, 2, "its quota changed")
            try expectEqual(try unwrap(try await stores.fleet.snapshot().backend("b")).generation, 1, "nothing changed")
            let intent = try scene.intent("k", on: ["a"], size: 6)
            try expectEqual(try await stores.writes.intend(intent).refused.values.first, .overQuota)
        },
        CatalogPromise("buckets are declared, undeclared and declared again as the same") { stores in
            _ = try await CatalogScene.open(stores)
            let photos = try unwrap(try await stores.fleet.snapshot().bucket("photos"))
            _ = try await stores.fleet.accept(
                CatalogScene.proposal(
                    CatalogScene.desired(["a"], buckets: ["docs", "music"]), digest: "two", parent: 1))
            var snapshot = try await stores.fleet.snapshot()
            try expectEqual(snapshot.buckets.map(\.name), ["docs", "music", "photos"])
            try expectEqual(snapshot.bucket("photos")?.isDeclared, false)
            try expectEqual(Set(snapshot.buckets.map(\.id)).count, 3)
            _ = try await stores.fleet.accept(
                CatalogScene.proposal(CatalogScene.desired(["a"]), digest: "three", parent: 2))
            snapshot = try await stores.fleet.snapshot()
            try expectEqual(snapshot.bucket("photos"), photos)
        },
        CatalogPromise("a refused spec changes nothing") { stores in
            _ = try await CatalogScene.open(stores)
            _ = try await stores.fleet.accept(
                CatalogScene.proposal(CatalogScene.desired(["z"]), digest: "two", parent: 9))
            let snapshot = try await stores.fleet.snapshot()
            try expectEqual(snapshot.backends.map(\.name), ["a", "b", "c"])
            try expect(snapshot.backends.allSatisfy(\.isDeclared))
        },
        CatalogPromise(
            "a backend is drained when nothing is left but names that wait out the horizon, retired when not even those"
        ) { stores in
            let scene = try await CatalogScene.open(stores)
            let a = try scene.id("a")
            try await scene.put("k", on: ["a", "b"], size: 10)
            let writing = try scene.intent("l", on: ["a"], size: 5)
            _ = try await stores.writes.intend(writing)
            try expectEqual(try await scene.change("a", .draining, .drained), .notFrom(.active))
            try expectEqual(
                try await scene.change("a", .active, .draining, under: 2), .notFrom(.active),
                "under a spec that is not in force")
            try expectEqual(try await scene.change("a", .active, .draining, under: 1), .done)
            try expectEqual(try await scene.change("a", .active, .draining), .notFrom(.draining))
            let drain = try unwrap(try await stores.fleet.drains().first { $0.backend == a })
            try expect(drain.totalCopies >= 1 && drain.startedAt > 0 && drain.finishedAt == nil)
            try expectEqual(
                try await scene.change("a", .draining, .drained), .residue(BackendResidue(writing: 1, live: 1)))
            guard case .committed = try await stores.writes.commit(scene.commit(writing)) else {
                throw BrokenPromise(description: "a write that began before the drain may finish")
            }
            _ = try await stores.writes.delete(
                bucket: scene.bucket, ["k", "l"].map { DeleteRequest(key: $0) }, readGrace: .zero)
            try expectEqual(try await scene.change("a", .draining, .drained), .residue(BackendResidue(doomed: 2)))
            let token = scene.ids.makeLeaseToken()
            let due = try await scene.due(["a"], token: token)
            try await stores.deletions.settle(due[0].copy.id, token: token, .gone)
            try await stores.deletions.settle(due[1].copy.id, token: token, .lookAgain(after: .zero))
            try expectEqual(try await scene.change("a", .draining, .drained), .done)
            try expect(try unwrap(try await stores.fleet.drains().first { $0.backend == a }).finishedAt != nil)
            try expectEqual(try await scene.change("a", .drained, .retiring), .done)
            try expectEqual(
                try await scene.change("a", .retiring, .retired), .residue(BackendResidue(waitingHorizon: 1)))
            try await scene.deleteDue()
            try expectEqual(try await scene.change("a", .retiring, .retired), .done)
            let snapshot = try await stores.fleet.snapshot()
            try expect(snapshot.backend("a") == nil, "retired ones are left out")
        },
        CatalogPromise("a drain that is called off leaves no trace, and a drained backend may become active again") {
            stores in
            let scene = try await CatalogScene.open(stores)
            _ = try await scene.change("a", .active, .draining)
            try expectEqual(try await scene.change("a", .draining, .active), .done)
            try expectEqual(try await stores.fleet.drains(), [])
            _ = try await scene.change("a", .active, .draining)
            try expectEqual(try await scene.change("a", .draining, .drained), .done)
            try expectEqual(try await scene.change("a", .drained, .active), .done)
            try await scene.put("k", on: ["a"])
        },
        CatalogPromise(
            "neither a retiring backend nor a retired name can be declared again, but may stay listed as removed"
        ) { stores in
            let scene = try await CatalogScene.open(stores)
            _ = try await scene.change("a", .active, .draining)
            _ = try await scene.change("a", .draining, .drained)
            _ = try await scene.change("a", .drained, .retiring)
            func accept(_ state: DesiredBackendState, _ digest: String, _ parent: Int64) async throws -> SpecAcceptance
            {
                let proposal = CatalogScene.proposal(
                    CatalogScene.desired(["a", "b", "c"], states: ["a": state]), digest: digest, parent: parent)
                let verdict = try await stores.fleet.verdict(proposal)
                let accepted = try await stores.fleet.accept(proposal)
                try expectEqual(verdict, accepted, "said before")
                return accepted
            }
            try expectEqual(try await accept(.draining, "x", 1), .refused(reason: .retiringCannotReturn(backend: "a")))
            try expectEqual(try await accept(.removed, "two", 1), .accepted(revision: 2))
            _ = try await scene.change("a", .retiring, .retired)
            try expectEqual(try await accept(.active, "y", 2), .refused(reason: .nameRetired(backend: "a")))
            var removed = CatalogScene.desired(["a", "b", "c"], quotas: ["b": 1], states: ["a": .removed])
            removed.fleet.isSuspended = true
            try expectEqual(
                try await stores.fleet.accept(CatalogScene.proposal(removed, digest: "three", parent: 2)),
                .accepted(revision: 3))
            try expect(try await stores.fleet.snapshot().backend("a") == nil)
        },
        CatalogPromise("the marker is recorded once and stays") { stores in
            let scene = try await CatalogScene.open(stores)
            try expect(try await !unwrap(stores.fleet.snapshot().backend("a")).isMarked)
            for _ in 1...2 { try await stores.fleet.recordMarked(try scene.id("a")) }
            try expect(try await unwrap(stores.fleet.snapshot().backend("a")).isMarked)
            try expect(try await !unwrap(stores.fleet.snapshot().backend("b")).isMarked)
        },
        CatalogPromise("current versions are grouped by who holds them") { stores in
            let scene = try await CatalogScene.open(stores)
            try await scene.put("k", on: ["b", "a"], size: 5)
            try await scene.put("l", on: ["a", "b"], size: 9)
            let suspect = try await scene.put("m", on: ["a", "c"], size: 1)
            _ = try await stores.objects.markSuspect(suspect.candidates[0].id)
            try await scene.put("gone", on: ["a"])
            _ = try await stores.writes.delete(bucket: scene.bucket, [DeleteRequest(key: "gone")], readGrace: .zero)
            let groups = try await stores.fleet.copyGroups()
            let (a, b, c) = (try scene.id("a"), try scene.id("b"), try scene.id("c"))
            try expectEqual(groups.count, 2)
            let pair = try unwrap(groups.first { $0.holders == [a, b].sorted() })
            try expectEqual([pair.versions, pair.bytes.value, pair.largest.value], [2, 14, 9])
            try expect(["k", "l"].contains(pair.example))
            let mixed = try unwrap(groups.first { $0.holders == [c] })
            try expectEqual(mixed.suspects, [a])
        },
    ]

    static let status: [CatalogPromise] = [
        CatalogPromise("conditions are replaced per subject, and their time moves only with their status") { stores in
            let (a, b) = (Subject(.backend, "a"), Subject(.backend, "b"))
            func condition(_ subject: Subject, _ type: ConditionType, _ status: ConditionStatus, _ message: String = "")
                -> ConditionRecord
            {
                ConditionRecord(
                    subject, type, status, status == .yes ? .active : .unreachable, message, observedGeneration: 3)
            }
            try await stores.status.publish(
                [condition(a, .ready, .yes), condition(a, .reachable, .yes), condition(b, .ready, .no)], events: [])
            let first = try await stores.status.conditions()
            try expectEqual(first.count, 3)
            try expect(first.allSatisfy { $0.lastTransitionAt > 0 && $0.observedGeneration == 3 })
            try await stores.status.publish([condition(a, .ready, .yes, "still")], events: [])
            let second = try await stores.status.conditions()
            try expectEqual(Set(second.map { "\($0.subject) \($0.type)" }), ["backend/a ready", "backend/b ready"])
            func time(_ records: [ConditionRecord], _ subject: Subject) -> Int64? {
                records.first { $0.subject == subject && $0.type == .ready }?.lastTransitionAt
            }
            try expectEqual(time(second, a), time(first, a))
            try expectEqual(second.first { $0.subject == a }?.message, "still")
            try await stores.status.publish([condition(a, .ready, .no)], events: [])
            let third = try await stores.status.conditions()
            try expect(try unwrap(time(third, a)) >= unwrap(time(first, a)))
            try expectEqual(time(third, b), time(first, b))
        },
        CatalogPromise("events of one subject and reason are one, counted, latest first") { stores in
            let a = Subject(.backend, "a")
            func event(_ reason: Reason, _ message: String) -> EventRecord {
                EventRecord(a, isWarning: false, reason, message)
            }
            try await stores.status.publish([], events: [event(.drainStarted, "one")])
            try await stores.status.publish([], events: [event(.drained, "x")])
            try await stores.status.publish([], events: [event(.drainStarted, "two")])
            let events = try await stores.status.events(limit: 10)
            try expectEqual(events.map(\.reason), [.drainStarted, .drained])
            try expectEqual(events.map(\.count), [2, 1])
            try expectEqual(events[0].message, "two")
            try expectEqual(try await stores.status.events(limit: 1).count, 1)
        },
    ]
}
