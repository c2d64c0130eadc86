import Catalog
import HTTP
import S3
import Synchronization
import TestSupport
import Testing
import Transfer

@Suite(.timeLimit(.minutes(1))) struct CopyMoverTests {
    private func claim(_ fleet: MemoryFleet, _ scope: MoveScope) async throws -> (ClaimedVersion, LeaseToken) {
        let token = fleet.identifiers.makeLeaseToken()
        let claimed = try await fleet.catalog.claim(scope, limit: 1, token: token, lease: .seconds(60))
        return (try #require(claimed.first), token)
    }

    private func copy(
        _ fleet: MemoryFleet, to target: String, scope: MoveScope? = nil, context: TransferContext? = nil
    ) async throws -> MoveResult {
        let all = fleet.stores.keys.sorted()
        let (claimed, token) = try await claim(fleet, scope ?? .short(bucket: fleet.bucket, factor: 4, staying: all))
        let catalog = fleet.catalog
        let mover = CopyMover(moves: catalog, writes: catalog, context: context ?? fleet.context()) { finding in
            if case .suspect(let copy) = finding {
                do { _ = try await catalog.markSuspect(copy.id) } catch { Issue.record(error) }
            }
        }
        let sources = claimed.placed.copies.filter { $0.state == .live }
        let result = await mover.copy(
            claimed, from: sources, to: fleet.backend(target), token: token, readGrace: .seconds(600))
        try await catalog.release(claimed.placed.version.id, token: token, .finished)
        return result
    }

    @Test func `a copy is made with the same bytes and the same description`() async throws {
        let fleet = MemoryFleet("a: k | b:")
        guard case .live = try await copy(fleet, to: "b") else {
            Issue.record("not live")
            return
        }
        #expect(fleet.picture == "a: k | b: k")
        let (old, new) = (fleet.store("a").names[0], fleet.store("b").names[0])
        #expect(old != new)
        #expect(fleet.store("b").stored(new)?.bytes == MemoryFleet.contents(of: "k"))
        #expect(
            CopyMetadata.parse(try #require(fleet.store("b").stored(new)).metadata)?.headers.contentType == "image/png")
    }

    @Test func `a drain copies first and dooms then, and the last copies stay`() async throws {
        let fleet = MemoryFleet("a(draining): k | b: k | c:")
        let a = fleet.backend("a")
        let mover = CopyMover(moves: fleet.catalog, writes: fleet.catalog, context: fleet.context()) { _ in }
        let source = try #require(fleet.catalog.tables.copies.values.first { $0.copy.backend == a }?.copy)
        let request = DoomRequest(
            copy: source.id, version: source.version, factor: 2, counted: [fleet.backend("b"), fleet.backend("c")],
            readGrace: .seconds(600))
        #expect(try await mover.doom(request) == .kept(others: 1, required: 2))
        guard case .live = try await copy(fleet, to: "c", scope: .leaving(a)) else {
            Issue.record("not live")
            return
        }
        #expect(try await mover.doom(request) == .doomed)
        #expect(try await mover.doom(request) == .notLive)
        #expect(fleet.picture == "a(draining): k! | b: k | c: k")
    }

    @Test func `a damaged source never becomes a copy; it is accused, and the next one serves`() async throws {
        let fleet = MemoryFleet("a: k | b: k | c:")
        fleet.store("a").damage(fleet.store("a").names[0])
        guard case .live = try await copy(fleet, to: "c") else {
            Issue.record("not live")
            return
        }
        #expect(fleet.picture == "a: k* | b: k | c: k k!")
        let made = fleet.catalog.tables.copies.values.first {
            $0.copy.backend == fleet.backend("c") && $0.copy.state == .live
        }
        #expect(fleet.store("c").stored(try #require(made).copy.physicalKey)?.bytes == MemoryFleet.contents(of: "k"))
        try await fleet.sweep()
        #expect(fleet.picture == "a: k* | b: k | c: k")
        #expect(fleet.names.count == 3)
    }

    @Test func `a sole damaged copy is not multiplied`() async throws {
        let fleet = MemoryFleet("a: k | b:")
        fleet.store("a").damage(fleet.store("a").names[0])
        guard case .sourceFailed = try await copy(fleet, to: "b") else {
            Issue.record("damage was copied")
            return
        }
        try await fleet.sweep()
        #expect(fleet.picture == "a: k* | b:")
        #expect(fleet.store("b").names == [])
    }

    @Test func `a source that breaks off is gone on from another`() async throws {
        let fleet = MemoryFleet("a: k | b: k | c:", sizes: ["k": 5_000]) { _ in MemoryStore(runBytes: 100) }
        fleet.store("a").inject(.cutAfter(2_345), into: .get)
        guard case .live = try await copy(fleet, to: "c") else {
            Issue.record("not live")
            return
        }
        #expect(fleet.picture == "a: k | b: k | c: k")
    }

    @Test(arguments: [StoreFault.fail(.noSpace), .lostReply, .late, .cutAfter(10)])
    func `a target that fails leaves nothing behind`(fault: StoreFault) async throws {
        let fleet = MemoryFleet("a: k | b:")
        fleet.store("b").inject(fault, into: .put)
        guard case .targetFailed = try await copy(fleet, to: "b") else {
            Issue.record("not failed")
            return
        }
        #expect(fleet.picture == "a: k | b: k!")
        fleet.store("b").deliverLate()
        try await fleet.sweep()
        #expect(fleet.picture == "a: k | b:")
        #expect(fleet.store("b").names == [])
    }

    @Test func `an object that is overwritten meanwhile is not brought back`() async throws {
        let fleet = MemoryFleet("a: k | b:")
        let gate = Gate()
        fleet.store("b").inject(.held(gate), into: .put)
        async let result = copy(fleet, to: "b")
        while gate.waiting == 0 { await Task.yield() }
        let body = Bytes("new")
        #expect(await fleet.put("k", body, on: ["a"], ack: 1).isCommitted)
        gate.open()
        #expect(try await result == .superseded)
        try await fleet.sweep()
        #expect(fleet.picture == "a: k | b:")
        #expect(try await fleet.read("k") == body)
    }

    @Test func `a commit whose reply was lost is made again`() async throws {
        let fleet = MemoryFleet("a: k | b:")
        fleet.catalog.inject(.lostReply, into: .commitCopy)
        guard case .live = try await copy(fleet, to: "b") else {
            Issue.record("not live")
            return
        }
        #expect(fleet.catalog.calls(.commitCopy) == 2)
        #expect(fleet.picture == "a: k | b: k")
    }

    @Test func `a target that is draining or has a copy refuses`() async throws {
        let fleet = MemoryFleet("a: k | b(draining):")
        #expect(try await copy(fleet, to: "b") == .refused(.notActive))
        #expect(try await copy(fleet, to: "a") == .refused(.alreadyThere))
    }

    @Test func `every crash point of a move is passed in order`() async throws {
        let fleet = MemoryFleet("a: k | b:")
        let passed = Mutex<[CrashPoint]>([])
        let plan = CrashPlan { point in passed.withLock { $0.append(point) } }
        _ = try await copy(fleet, to: "b", context: fleet.context(crashPlan: plan))
        #expect(passed.withLock { $0 } == [.afterMoveIntent, .afterMoveUpload, .afterMoveCommit])
    }
}

@Suite struct CopyDeleterTests {
    private func delete(_ fleet: MemoryFleet, on name: String) async throws -> [DeletionResult] {
        let token = fleet.identifiers.makeLeaseToken()
        var results: [DeletionResult] = []
        for doomed in try await fleet.catalog.claimDoomed(
            backend: fleet.backend(name), limit: 10, token: token, lease: .seconds(60))
        {
            let result = await CopyDeleter(context: fleet.context()).delete(doomed)
            try await fleet.catalog.settle(doomed.copy.id, token: token, result)
            results.append(result)
        }
        return results
    }

    @Test func `what is doomed goes, and nothing else`() async throws {
        let fleet = MemoryFleet("a: k1 k2! k3? | b: k2")
        #expect(try await delete(fleet, on: "a") == [.gone])
        #expect(fleet.picture == "a: k1 k3? | b: k2")
        #expect(fleet.store("a").names.count == 1)
    }

    @Test func `a copy that is absent already is gone`() async throws {
        let fleet = MemoryFleet("a: k!")
        fleet.store("a").lose(fleet.store("a").names[0])
        #expect(try await delete(fleet, on: "a") == [.gone])
    }

    @Test(arguments: [StoreError.Code.wrongLocation, .accessDenied, .timedOut, .serverError])
    func `an answer that is not the deed is tried again later`(code: StoreError.Code) async throws {
        let fleet = MemoryFleet("a: k!")
        fleet.store("a").inject(.fail(code), into: .delete)
        guard case .failed(let pause, _)? = try await delete(fleet, on: "a").first else {
            Issue.record("believed")
            return
        }
        #expect(pause > .zero && pause <= .seconds(5))
        #expect(try await delete(fleet, on: "a") == [])
        fleet.catalog.advance(.seconds(5))
        #expect(try await delete(fleet, on: "a") == [.gone])
    }

    @Test func `an upload that is open under the name goes too`() async throws {
        let fleet = MemoryFleet("a: k!")
        _ = try await fleet.store("a").createUpload(fleet.store("a").names[0], metadata: StoredMetadata())
        _ = try await fleet.store("a").createUpload("of somebody else", metadata: StoredMetadata())
        #expect(try await delete(fleet, on: "a") == [.gone])
        #expect(try await fleet.store("a").listUploads(prefix: "").map(\.key) == ["of somebody else"])
    }

    @Test func `a backend without a connection is no proof of absence`() async throws {
        let fleet = MemoryFleet("a: k!")
        var context = fleet.context()
        context.stores = [:]
        let token = fleet.identifiers.makeLeaseToken()
        let doomed = try await fleet.catalog.claimDoomed(
            backend: fleet.backend("a"), limit: 1, token: token, lease: .seconds(60))
        guard case .failed = await CopyDeleter(context: context).delete(try #require(doomed.first)) else {
            Issue.record("believed")
            return
        }
    }
}
