import Catalog
import Crypto
import HTTP
import S3
import Spec
import TestSupport
import Testing
import Transfer

@Suite(.timeLimit(.minutes(1))) struct UploadDriverTests {
    private static let parts = (1...3).map { MemoryFleet.contents(of: "part \($0)", count: 2_000 + $0) }
    private static let whole = Bytes(parts.flatMap(\.array))

    private func driver(_ fleet: MemoryFleet) -> UploadDriver {
        UploadDriver(uploads: fleet.catalog, writes: fleet.catalog, context: fleet.context())
    }

    private func create(_ fleet: MemoryFleet, on names: [String] = ["a", "b"], minAck: Int = 1) async throws -> UploadID
    {
        let request = fleet.request("k", size: 0, on: names, minAck: minAck)
        guard case .created(let id) = await driver(fleet).create(request, checksumAlgorithm: nil, checksumType: nil)
        else {
            throw BodyError.source("not created")
        }
        return id
    }

    private func put(_ fleet: MemoryFleet, _ id: UploadID, _ number: Int, _ bytes: Bytes) async throws -> PartResult {
        let upload = try #require(try await fleet.catalog.find(id, object: fleet.object("k")))
        return await driver(fleet).putPart(
            upload, number: number, size: Int64(bytes.count), requirement: WriteRequirement(ack: 2, minAck: 1),
            body: HashingBody(bytes))
    }

    private func putAll(_ fleet: MemoryFleet, _ id: UploadID) async throws {
        for (index, bytes) in Self.parts.enumerated().reversed() {
            guard case .stored = try await put(fleet, id, index + 1, bytes) else {
                throw BodyError.source("part \(index + 1)")
            }
        }
    }

    private func etag(_ bytes: Bytes) -> String { Hex.encode(Digest.hash(.md5, bytes.array)) }

    private func complete(_ fleet: MemoryFleet, _ id: UploadID, precondition: WritePrecondition = .none) async
        -> CompleteResult
    {
        await driver(fleet).complete(
            id, object: fleet.object("k"),
            chosen: Self.parts.enumerated().map { ChosenPart(number: $0 + 1, etag: etag($1)) },
            requirement: WriteRequirement(ack: 2, minAck: 1), precondition: precondition, readGrace: .seconds(600)
        ) { _, parts in
            ContentDigests(
                etag: Hex.encode(Digest.hash(.md5, parts.flatMap { Hex.decode($0.etag) ?? [] })) + "-\(parts.count)")
        }
    }

    private func isCompleted(_ result: CompleteResult) -> Bool { if case .completed = result { true } else { false } }

    @Test func `parts in any order become one object on each backend, and no byte moves`() async throws {
        let fleet = MemoryFleet("a: | b: | c:")
        let id = try await create(fleet)
        try await putAll(fleet, id)
        #expect(fleet.picture == "a: k? | b: k? | c:")
        let sent = fleet.store("a").calls(.put) + fleet.store("a").calls(.putPart)
        #expect(isCompleted(await complete(fleet, id)))
        #expect(fleet.store("a").calls(.put) + fleet.store("a").calls(.putPart) == sent)
        #expect(fleet.picture == "a: k | b: k | c:")
        #expect(try await fleet.read("k") == Self.whole)
        #expect(fleet.catalog.tables.snapshot().usage[fleet.backend("a")]?.live.bytes.value == Int64(Self.whole.count))
    }

    @Test func `a repeated Complete answers as the first`() async throws {
        let fleet = MemoryFleet("a: | b:")
        let id = try await create(fleet)
        try await putAll(fleet, id)
        let first = await complete(fleet, id)
        #expect(isCompleted(first))
        #expect(await complete(fleet, id) == first)
    }

    @Test func `a part sent again replaces the one before`() async throws {
        let fleet = MemoryFleet("a: | b:")
        let id = try await create(fleet)
        _ = try await put(fleet, id, 2, Bytes("wrong"))
        try await putAll(fleet, id)
        #expect(isCompleted(await complete(fleet, id)))
        #expect(try await fleet.read("k") == Self.whole)
    }

    @Test func `a backend whose Complete took place unseen is looked at, not guessed`() async throws {
        let fleet = MemoryFleet("a: | b:")
        let id = try await create(fleet)
        try await putAll(fleet, id)
        fleet.store("b").inject(.lostReply, into: .completeUpload)
        guard case .refused(.backendsFailed) = await complete(fleet, id) else {
            Issue.record("an unknown outcome was taken for one or the other")
            return
        }
        #expect(try await fleet.read("k") == nil)
        // Both backends have completed; the client asks again.
        #expect(isCompleted(await complete(fleet, id)))
        #expect(fleet.store("b").calls(.head) == 1)
        #expect(fleet.picture == "a: k | b: k")
    }

    @Test func `another object under the name is not taken for the completed one`() async throws {
        let fleet = MemoryFleet("a: | b:")
        let id = try await create(fleet)
        try await putAll(fleet, id)
        fleet.store("b").inject(.lostReply, into: .completeUpload)
        _ = await complete(fleet, id)
        let name = fleet.store("b").names[0]
        fleet.store("b").place(name, Bytes("something else"), StoredMetadata())
        #expect(!isCompleted(await complete(fleet, id)))
        #expect(try await fleet.read("k") == nil)
    }

    @Test func `a lost reply to COMMIT is resolved`() async throws {
        let fleet = MemoryFleet("a: | b:")
        let id = try await create(fleet)
        try await putAll(fleet, id)
        fleet.catalog.inject(.lostReply, into: .commit)
        #expect(isCompleted(await complete(fleet, id)))
        #expect(fleet.picture == "a: k | b: k")
    }

    @Test func `an upload whose copies were all given up is not there any more`() async throws {
        let fleet = MemoryFleet("a: | b:")
        let id = try await create(fleet)
        try await putAll(fleet, id)
        let upload = try #require(try await fleet.catalog.find(id, object: fleet.object("k")))
        // As after a COMMIT that was lost on its way.
        #expect(try await fleet.catalog.resolve(upload.version, readGrace: .seconds(600)) == .notCommitted)
        #expect(await complete(fleet, id) == .noSuchUpload)
    }

    @Test func `a backend that fails a part leaves the upload, and the rest goes on`() async throws {
        let fleet = MemoryFleet("a: | b:")
        let id = try await create(fleet)
        fleet.store("b").inject(.fail(.noSpace), into: .putPart)
        try await putAll(fleet, id)
        #expect(isCompleted(await complete(fleet, id)))
        #expect(fleet.picture == "a: k | b: k!")
        try await fleet.sweep()
        #expect(fleet.picture == "a: k | b:")
        #expect(fleet.store("b").openUploadCount == 0)
        #expect(try await fleet.read("k") == Self.whole)
    }

    @Test func `a part whose body breaks off is no part`() async throws {
        let fleet = MemoryFleet("a: | b:")
        let id = try await create(fleet)
        let upload = try #require(try await fleet.catalog.find(id, object: fleet.object("k")))
        let body = HashingBody(
            MemoryBody(Self.parts[0], runBytes: 100, cutAfter: 1_000), length: Int64(Self.parts[0].count))
        let result = await driver(fleet).putPart(
            upload, number: 1, size: Int64(Self.parts[0].count), requirement: WriteRequirement(ack: 2, minAck: 1),
            body: body)
        guard case .refused(.bodyFailed) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(try await fleet.catalog.parts(id, after: 0, limit: 10) == [])
        try await putAll(fleet, id)
        #expect(isCompleted(await complete(fleet, id)))
    }

    @Test func `reserved bytes are given back only where the part is certainly not recorded`() async throws {
        let fleet = MemoryFleet("a: | b:")
        let id = try await create(fleet)
        let bytes = Self.parts[0]
        func put() async throws -> PartResult {
            let upload = try #require(try await fleet.catalog.find(id, object: fleet.object("k")))
            return await driver(fleet).putPart(
                upload, number: 1, size: Int64(bytes.count), requirement: WriteRequirement(ack: 2, minAck: 1),
                reserves: true, body: HashingBody(bytes))
        }
        func reserved() -> Int64 { fleet.catalog.tables.usage[fleet.backend("a")]?.writing.bytes.value ?? 0 }
        for name in ["a", "b"] { fleet.store(name).inject(.fail(.throttled), into: .putPart) }
        guard case .refused(.backendsFailed) = try await put() else {
            Issue.record("not refused")
            return
        }
        #expect(reserved() == 0)
        // The part is recorded, and nobody was told.
        fleet.catalog.inject(.lostReply, into: .recordPart)
        guard case .refused(.catalog) = try await put() else {
            Issue.record("not unknown")
            return
        }
        #expect(reserved() == Int64(bytes.count))
        guard case .stored = try await put() else {
            Issue.record("not stored")
            return
        }
        #expect(reserved() == Int64(bytes.count), "sent again, it counts once")
    }

    @Test func `an aborted upload takes nothing more and leaves nothing behind`() async throws {
        let fleet = MemoryFleet("a: k | b: k")
        let id = try await create(fleet)
        let upload = try #require(try await fleet.catalog.find(id, object: fleet.object("k")))
        try await putAll(fleet, id)
        #expect(try await fleet.catalog.abort(id, object: fleet.object("k")))
        let late = await driver(fleet).putPart(
            upload, number: 4, size: 4, requirement: WriteRequirement(ack: 2, minAck: 1),
            body: HashingBody(Bytes("late")))
        #expect(late == .noSuchUpload)
        #expect(await complete(fleet, id) == .noSuchUpload)
        try await fleet.sweep()
        #expect(fleet.picture == "a: k | b: k")
        #expect(fleet.store("a").openUploadCount == 0 && fleet.store("b").openUploadCount == 0)
        #expect(try await fleet.read("k") == MemoryFleet.contents(of: "k"))
    }

    @Test func `a condition is judged when the upload completes`() async throws {
        let fleet = MemoryFleet("a: | b:")
        let id = try await create(fleet)
        try await putAll(fleet, id)
        #expect(await fleet.put("k", Bytes("meanwhile"), on: ["a", "b"]).isCommitted)
        #expect(await complete(fleet, id, precondition: WritePrecondition(ifNoneMatch: .any)) == .preconditionFailed)
        #expect(try await fleet.read("k") == Bytes("meanwhile"))
    }

    @Test func `Create makes do with minAck, and leaves nothing when it cannot`() async throws {
        let fleet = MemoryFleet("a: | b:")
        fleet.store("b").inject(.fail(.unreachable), into: .createUpload)
        _ = try await create(fleet)
        #expect(fleet.picture == "a: k? | b: k!")
        let strict = MemoryFleet("a: | b:")
        strict.store("b").inject(.fail(.unreachable), into: .createUpload)
        await #expect(throws: BodyError.self) { _ = try await create(strict, minAck: 2) }
        try await strict.sweep()
        #expect(strict.picture == "a: | b:")
        #expect(strict.store("a").openUploadCount == 0)
    }
}
