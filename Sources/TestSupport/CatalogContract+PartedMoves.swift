import Catalog

extension CatalogScene {
    /// A copy in parts whose worker ended an hour ago.
    fileprivate func interrupted(_ key: String, _ source: String, _ target: String) async throws -> CopyID {
        let version = try await put(key, on: [source]).version
        let (token, candidate) = (ids.makeLeaseToken(), try self.candidate(target))
        _ = try await stores.moves.intendCopy(candidate, of: version, token: token, lease: .seconds(60))
        _ = try await stores.moves.record(upload: "u", of: candidate.id, token: token)
        _ = try await stores.writes.renew(version, token: token, lease: .seconds(-3600))
        return candidate.id
    }
}

extension CatalogContract {
    static let partedMoves: [CatalogPromise] = [
        CatalogPromise("a copy in parts outlives its writer's lease, is taken over once, and keeps its parts") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let version = try await scene.put("k", on: ["a"]).version
            let (first, second) = (scene.ids.makeLeaseToken(), scene.ids.makeLeaseToken())
            let candidate = try scene.candidate("b")
            func intend(lease: Duration) async throws {
                let outcome = try await stores.moves.intendCopy(candidate, of: version, token: first, lease: lease)
                try expectEqual(outcome, .admitted)
            }
            try await intend(lease: .seconds(60))
            let parts = (1...3).map { MovedPart(number: $0, size: 5, md5: "m\($0)", etag: "e\($0)") }
            try expect(try await stores.moves.record(upload: "u", of: candidate.id, token: first))
            for part in parts.reversed() {
                try expect(try await stores.moves.record(part, of: candidate.id, token: first))
            }
            try expect(!(try await stores.moves.record(parts[0], of: candidate.id, token: second)), "not its lease")
            try expect(!(try await stores.moves.record(upload: "v", of: candidate.id, token: second)))
            func resume() async throws -> MoveProgress? {
                try await stores.moves.resumeCopy(of: version, token: second, lease: .seconds(60))
            }
            try expect(try await resume() == nil, "its writer is there")
            _ = try await stores.writes.renew(version, token: first, lease: .seconds(-1))
            try expectEqual(try await stores.deletions.reapExpiredWrites(limit: 10), 0)
            try expectEqual(try await resume(), MoveProgress(candidate: candidate, uploadID: "u", parts: parts))
            try expect(try await resume() == nil, "taken")
            try expect(!(try await stores.moves.record(parts[0], of: candidate.id, token: first)), "lost")
            let committed = try await stores.moves.commitCopy(
                UploadedCopy(id: candidate.id), of: version, token: second, readGrace: .zero)
            try expectEqual(committed, .live)
        },
        CatalogPromise("an interrupted copy in parts is kept for long only while somebody drains") { stores in
            let scene = try await CatalogScene.open(stores)
            _ = try await scene.interrupted("draining", "a", "b")
            let idle = try await scene.interrupted("idle", "c", "b")
            _ = try await scene.change("a", .active, .draining)
            try expectEqual(try await stores.deletions.reapExpiredWrites(limit: 10), 1)
            let due = try await scene.due().map(\.copy.id)
            try expectEqual(due, [idle])
            _ = try await scene.change("a", .draining, .active)
            try expectEqual(try await stores.deletions.reapExpiredWrites(limit: 10), 1, "called off")
        },
        CatalogPromise("an interrupted copy of a version that has enough readable copies is given up at once") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let version = try await scene.put("k", on: ["a", "c"]).version
            let (token, candidate) = (scene.ids.makeLeaseToken(), try scene.candidate("b"))
            _ = try await stores.moves.intendCopy(candidate, of: version, token: token, lease: .seconds(-1))
            _ = try await stores.moves.record(upload: "u", of: candidate.id, token: token)
            func publish(_ status: ConditionStatus) async throws {
                let found = ConditionRecord(
                    Subject(.backend, "c"), .identified, status, .unreachable, "", observedGeneration: 1)
                try await stores.status.publish([found], events: [])
            }
            try await publish(.unknown)
            try expectEqual(try await stores.deletions.reapExpiredWrites(limit: 10), 0, "one of them is away")
            try await publish(.yes)
            try expectEqual(try await stores.deletions.reapExpiredWrites(limit: 10), 1)
        },
        CatalogPromise("a copy in parts is given up when its version is replaced or its backend drains") { stores in
            let scene = try await CatalogScene.open(stores)
            var copies: [CopyID] = []
            for (key, backend) in [("old", "b"), ("kept", "c")] {
                let version = try await scene.put(key, on: ["a"]).version
                let (token, candidate) = (scene.ids.makeLeaseToken(), try scene.candidate(backend))
                _ = try await stores.moves.intendCopy(candidate, of: version, token: token, lease: .seconds(-1))
                _ = try await stores.moves.record(upload: "u", of: candidate.id, token: token)
                copies.append(candidate.id)
            }
            try expectEqual(try await stores.deletions.reapExpiredWrites(limit: 10), 0)
            try await scene.put("old", on: ["a"])
            _ = try await scene.change("c", .active, .draining)
            let kept = try unwrap(try await scene.current("kept")).version.id
            let resumed = try await stores.moves.resumeCopy(
                of: kept, token: scene.ids.makeLeaseToken(), lease: .seconds(60))
            try expect(resumed == nil, "its backend drains")
            try expectEqual(try await stores.deletions.reapExpiredWrites(limit: 10), 1)
            let due = try await scene.due()
            try expect(Set(copies).isSubset(of: due.map(\.copy.id)))
        },
    ]
}
