import Catalog
import HTTP
import S3
import Synchronization
import TestSupport
import Testing
import Transfer

@Suite(.timeLimit(.minutes(1))) struct WriteDriverTests {
    private static let bytes = MemoryFleet.contents(of: "body", count: 10_000)

    @Test func `a write is readable on each of its backends, and describes itself there`() async throws {
        let fleet = MemoryFleet("a: | b: | c:")
        guard case .committed(_, _, let copies) = await fleet.put("k/ü", Self.bytes, on: ["a", "b", "c"]) else {
            Issue.record("not committed")
            return
        }
        #expect(copies == 2)
        #expect(fleet.picture == "a: k/ü | b: k/ü | c:")
        #expect(try await fleet.read("k/ü") == Self.bytes)
        for name in ["a", "b"] {
            let physical = try #require(fleet.store(name).names.first)
            let stored = try #require(fleet.store(name).stored(physical))
            #expect(stored.bytes == Self.bytes)
            #expect(CopyMetadata.parse(stored.metadata)?.key == "k/ü")
        }
    }

    @Test(arguments: [1, 2]) func `an empty object is an object`(ack: Int) async throws {
        let fleet = MemoryFleet("a: | b:")
        guard case .committed = await fleet.put("empty", Bytes(""), on: ["a", "b"], ack: ack) else {
            Issue.record("not committed")
            return
        }
        #expect(try await fleet.read("empty") == Bytes(""))
    }

    @Test func `an overwrite dooms the old copies, and the old bytes go after the grace`() async throws {
        let fleet = MemoryFleet("a: k | b: k | c:")
        _ = await fleet.put("k", Self.bytes, on: ["b", "c"])
        #expect(fleet.picture == "a: k! | b: k k! | c: k")
        try await fleet.sweep()
        #expect(fleet.picture == "a: | b: k | c: k")
        #expect(fleet.names.count == 2)
        #expect(try await fleet.read("k") == Self.bytes)
    }

    private static func copying(_ picture: FleetPicture) -> MemoryFleet {
        MemoryFleet(picture) { _ in
            MemoryStore(
                capabilities: StoreCapabilities(
                    conditionalCreate: true, versioned: false, lateArrivalHorizon: .zero, copiesWithin: true))
        }
    }

    private func copy(_ fleet: MemoryFleet, etag: String? = nil, on names: [String] = ["a", "b"]) async throws
        -> WriteResult
    {
        let source = try #require(
            try await fleet.catalog.current(ObjectName(bucket: fleet.bucket, key: "k")))
        let sources = Dictionary(uniqueKeysWithValues: source.copies.map { ($0.backend, $0) })
        var digests = source.version.digests
        if let etag { digests = ContentDigests(etag: etag) }
        return await WriteDriver(ledger: fleet.catalog, context: fleet.context()).copy(
            fleet.request("to", size: Int(source.version.size), on: names), from: sources, digests: digests)
    }

    @Test func `a copy within the backends moves no byte, and describes itself`() async throws {
        let fleet = Self.copying("a: k | b: k | c:")
        guard case .committed(_, _, 2) = try await copy(fleet) else {
            Issue.record("not committed")
            return
        }
        #expect(fleet.picture == "a: k to | b: k to | c:")
        #expect(try await fleet.read("to") == MemoryFleet.contents(of: "k"))
        for name in ["a", "b"] {
            #expect(fleet.store(name).calls(.put) == 0 && fleet.store(name).calls(.copy) == 1)
            let physical = try #require(fleet.store(name).names.first { $0.contains("/to~") })
            #expect(CopyMetadata.parse(try #require(fleet.store(name).stored(physical)).metadata)?.key == "to")
        }
    }

    @Test func `a copy within that certainly failed on one backend is the others', as any write`() async throws {
        let fleet = Self.copying("a: k | b: k")
        fleet.store("b").inject(.fail(.noSuchKey), into: .copy)
        guard case .committed(_, _, 1) = try await copy(fleet) else {
            Issue.record("not committed")
            return
        }
        try await fleet.sweep()
        #expect(fleet.picture == "a: k to | b: k")
    }

    @Test func `a copy within whose answer is lost stores nothing`() async throws {
        let fleet = Self.copying("a: k | b: k")
        fleet.store("b").inject(.lostReply, into: .copy)
        guard case .refused(.backendsFailed) = try await copy(fleet) else {
            Issue.record("not refused")
            return
        }
        try await fleet.sweep()
        #expect(fleet.picture == "a: k | b: k")
        #expect(fleet.names.count == 2)
    }

    @Test func `a copy within is believed by its MD5 alone`() async throws {
        let fleet = Self.copying("a: k | b: k")
        guard case .refused = try await copy(fleet, etag: String(repeating: "0", count: 32)) else {
            Issue.record("believed")
            return
        }
        try await fleet.sweep()
        #expect(fleet.picture == "a: k | b: k")
    }

    @Test func `a body that ends early stores nothing and leaves the old value`() async throws {
        let fleet = MemoryFleet("a: k | b: k")
        let body = HashingBody(MemoryBody(Self.bytes, runBytes: 1_000, cutAfter: 5_000), length: 10_000)
        let driver = WriteDriver(ledger: fleet.catalog, context: fleet.context())
        let result = await driver.put(fleet.request("k", size: 10_000, on: ["a", "b"]), body: body)
        guard case .refused(.bodyFailed) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(try await fleet.read("k") == MemoryFleet.contents(of: "k"))
        try await fleet.sweep()
        #expect(fleet.picture == "a: k | b: k")
        #expect(fleet.names.count == 2)
    }

    @Test func `a target that refuses is replaced`() async throws {
        let fleet = MemoryFleet("a: | b(draining): | c:")
        _ = await fleet.put("k", Self.bytes, on: ["a", "b", "c"])
        #expect(fleet.picture == "a: k | b(draining): | c: k")
    }

    @Test func `backends that are away before the first byte are replaced`() async throws {
        let fleet = MemoryFleet("a: | b: | c:")
        fleet.store("a").inject(.fail(.unreachable), into: .put)
        _ = await fleet.put("k", Self.bytes, on: ["a", "b", "c"], ack: 1)
        #expect(fleet.picture == "a: k! | b: k | c:")
        #expect(try await fleet.read("k") == Self.bytes)
    }

    @Test func `one that is full is done without, if minAck allows it`() async throws {
        let fleet = MemoryFleet("a: | b:")
        fleet.store("b").inject(.fail(.noSpace), into: .put)
        #expect(await fleet.put("k", Self.bytes, on: ["a", "b"]).isCommitted)
        #expect(fleet.picture == "a: k | b: k!")
        let strict = MemoryFleet("a: | b:")
        strict.store("b").inject(.fail(.noSpace), into: .put)
        #expect(await !strict.put("k", Self.bytes, on: ["a", "b"], minAck: 2).isCommitted)
        #expect(strict.picture == "a: k! | b: k!")
        #expect(try await strict.read("k") == nil)
    }

    @Test(arguments: [StoreFault.late, .lostReply, .cutAfter(3_000)])
    func `a target whose outcome is unknown fails the write, and its late bytes are found and deleted`(
        fault: StoreFault
    ) async throws {
        let fleet = MemoryFleet("a: k | b: k")
        fleet.store("b").inject(fault, into: .put)
        #expect(await !fleet.put("k", Self.bytes, on: ["a", "b"]).isCommitted)
        #expect(try await fleet.read("k") == MemoryFleet.contents(of: "k"))
        // The first deletion comes before the late bytes, the second look behind the horizon finds them.
        let token = fleet.identifiers.makeLeaseToken()
        for doomed in try await fleet.catalog.claimDoomed(
            backend: fleet.backend("b"), limit: 10, token: token, lease: .seconds(60))
        {
            try await fleet.catalog.settle(
                doomed.copy.id, token: token, await CopyDeleter(context: fleet.context()).delete(doomed))
        }
        fleet.store("b").deliverLate()
        try await fleet.sweep()
        #expect(fleet.names.count == 2)
        #expect(fleet.picture == "a: k | b: k")
    }

    @Test func `a backend that stored other bytes than were sent is not believed`() async throws {
        let fleet = MemoryFleet("a: | b:") { _ in MemoryStore() }
        let liar = LyingETagStore(fleet.store("b"))
        var context = fleet.context()
        context.stores[fleet.backend("b")] = liar
        #expect(await !fleet.put("k", Self.bytes, on: ["a", "b"], context: context).isCommitted)
    }

    @Test func `a lost reply to COMMIT is resolved to what happened`() async throws {
        let happened = MemoryFleet("a: | b:")
        happened.catalog.inject(.lostReply, into: .commit)
        happened.catalog.inject(.unavailable, into: .resolve)
        #expect(await happened.put("k", Self.bytes, on: ["a", "b"]).isCommitted)
        #expect(happened.picture == "a: k | b: k")
        let not = MemoryFleet("a: k | b: k")
        not.catalog.inject(.lostRequest, into: .commit)
        #expect(await not.put("k", Self.bytes, on: ["a", "b"]) == .refused(.fenceLost))
        #expect(try await not.read("k") == MemoryFleet.contents(of: "k"))
        try await not.sweep()
        #expect(not.picture == "a: k | b: k")
    }

    @Test func `an outcome that nobody can tell stays untold, and the row is left to the reaper`() async throws {
        let fleet = MemoryFleet("a: | b:")
        fleet.catalog.inject(.lostReply, into: .commit)
        fleet.catalog.inject(.unavailable, into: .resolve, times: 100)
        guard case .unknown = await fleet.put("k", Self.bytes, on: ["a", "b"]) else {
            Issue.record("an outcome was guessed")
            return
        }
        try await fleet.sweep()
        #expect(try await fleet.read("k") == Self.bytes)
    }

    @Test func `conditions decide under the lock, and a write that fails them leaves nothing`() async throws {
        let fleet = MemoryFleet("a: k | b: k")
        #expect(
            await fleet.put("k", Self.bytes, on: ["a", "b"], precondition: WritePrecondition(ifNoneMatch: .any))
                == .preconditionFailed)
        #expect(
            await fleet.put("new", Self.bytes, on: ["a", "b"], precondition: WritePrecondition(ifMatch: .any))
                == .noSuchKey)
        try await fleet.sweep()
        #expect(fleet.picture == "a: k | b: k")
        #expect(fleet.names.count == 2)
    }

    @Test func `of many who create one key, one succeeds`() async throws {
        let fleet = MemoryFleet("a: | b:")
        let results = await withTaskGroup(of: WriteResult.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    await fleet.put(
                        "k", Self.bytes, on: ["a", "b"], precondition: WritePrecondition(ifNoneMatch: .any))
                }
            }
            return await group.reduce(into: [WriteResult]()) { $0.append($1) }
        }
        #expect(results.count { $0.isCommitted } == 1)
        #expect(results.count { $0 == .preconditionFailed } == 15)
    }

    @Test func `the lease is renewed while bytes flow`() async throws {
        let fleet = MemoryFleet("a: | b:")
        let gate = Gate()
        fleet.store("b").inject(.held(gate), into: .put)
        let context = fleet.context(sleep: { _ in
            // Time passes only when the writer sleeps: far beyond its lease, in small steps.
            fleet.catalog.advance(.seconds(40))
            if fleet.catalog.calls(.renew) >= 10 { gate.open() }
            await Task.yield()
        })
        #expect(await fleet.put("k", Self.bytes, on: ["a", "b"], context: context).isCommitted)
        #expect(fleet.catalog.calls(.renew) >= 10)
    }

    @Test func `a writer that lost its lease does not commit`() async throws {
        let fleet = MemoryFleet("a: k | b: k")
        let gate = Gate()
        fleet.store("b").inject(.held(gate), into: .put)
        async let result = fleet.put("k", Self.bytes, on: ["a", "b"])
        while gate.waiting == 0 { await Task.yield() }
        fleet.catalog.advance(.seconds(3600))
        #expect(try await fleet.catalog.reapExpiredWrites(limit: 10) == 2)
        gate.open()
        #expect(await result == .refused(.fenceLost))
        try await fleet.sweep()
        #expect(fleet.picture == "a: k | b: k")
        #expect(fleet.names.count == 2)
    }

    @Test func `a client that goes away leaves nothing behind`() async throws {
        let fleet = MemoryFleet("a: k | b: k")
        let gate = Gate()
        let body = HashingBody(GatedReader(gate, [Self.bytes]), length: Int64(Self.bytes.count))
        let driver = WriteDriver(ledger: fleet.catalog, context: fleet.context())
        let request = fleet.request("k", size: Self.bytes.count, on: ["a", "b"])
        await withTaskGroup(of: Void.self) { group in
            group.addTask { #expect(await !driver.put(request, body: CancellableBody(gate, body)).isCommitted) }
            while gate.waiting == 0 { await Task.yield() }
            group.cancelAll()
        }
        #expect(fleet.catalog.calls(.giveUp) == 1)
        try await fleet.sweep()
        #expect(fleet.picture == "a: k | b: k")
        #expect(fleet.names.count == 2)
    }

    @Test func `every crash point of a write is passed in order`() async {
        let fleet = MemoryFleet("a: | b:")
        let passed = Mutex<[CrashPoint]>([])
        let plan = CrashPlan { point in passed.withLock { $0.append(point) } }
        _ = await fleet.put("k", Self.bytes, on: ["a", "b"], context: fleet.context(crashPlan: plan))
        #expect(passed.withLock { $0 } == [.afterIntent, .afterUpload, .afterCommit])
    }
}

extension WriteResult {
    var isCommitted: Bool { if case .committed = self { true } else { false } }
}

/// Fails as a connection does whose client hung up.
final class CancellableBody: DigestingBody {
    private let gate: Gate
    private let body: HashingBody
    init(_ gate: Gate, _ body: HashingBody) {
        self.gate = gate
        self.body = body
    }
    var contentDigests: ContentDigests? { body.contentDigests }
    func next() async throws(BodyError) -> Bytes? {
        await gate.wait()
        if Task.isCancelled { throw .cancelled }
        return try await body.next()
    }
}

/// Says that it stored something else.
struct LyingETagStore: ObjectStore {
    let store: MemoryStore
    init(_ store: MemoryStore) { self.store = store }
    var capabilities: StoreCapabilities { store.capabilities }
    func put(
        _ key: String, length: Int64, body: any BodyReader, metadata: StoredMetadata, ifAbsent: Bool
    ) async throws(StoreError) -> StoredObject {
        var stored = try await store.put(key, length: length, body: body, metadata: metadata, ifAbsent: ifAbsent)
        stored.etag = String(repeating: "0", count: 32)
        return stored
    }
    func get(_ key: String, range: ByteRange?) async throws(StoreError) -> StoreReading {
        try await store.get(key, range: range)
    }
    func head(_ key: String) async throws(StoreError) -> StoredObject { try await store.head(key) }
    func list(prefix: String, after: String?, limit: Int) async throws(StoreError) -> StoreListing {
        try await store.list(prefix: prefix, after: after, limit: limit)
    }
    func copy(_ source: String, to key: String, metadata: StoredMetadata) async throws(StoreError) -> StoredObject {
        try await store.copy(source, to: key, metadata: metadata)
    }
    func delete(_ key: String, providerVersion: String?) async throws(StoreError) {
        try await store.delete(key, providerVersion: providerVersion)
    }
    func createUpload(_ key: String, metadata: StoredMetadata) async throws(StoreError) -> String {
        try await store.createUpload(key, metadata: metadata)
    }
    func putPart(
        _ key: String, uploadID: String, number: Int, length: Int64, body: any BodyReader
    ) async throws(StoreError) -> StoredPart {
        try await store.putPart(key, uploadID: uploadID, number: number, length: length, body: body)
    }
    func completeUpload(_ key: String, uploadID: String, parts: [StoredPart]) async throws(StoreError) -> StoredObject {
        try await store.completeUpload(key, uploadID: uploadID, parts: parts)
    }
    func abortUpload(_ key: String, uploadID: String) async throws(StoreError) {
        try await store.abortUpload(key, uploadID: uploadID)
    }
    func openUploads(_ key: String) async throws(StoreError) -> [String] { try await store.openUploads(key) }
    func listUploads(prefix: String) async throws(StoreError) -> [OpenUpload] {
        try await store.listUploads(prefix: prefix)
    }
}
