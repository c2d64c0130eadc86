import Catalog
import Crypto
import HTTP
import S3
import TestSupport
import Testing
import Transfer

@Suite("Copies in parts", .timeLimit(.minutes(1))) struct PartedCopyTests {
    private static let size = 3_500

    private func context(_ fleet: MemoryFleet) -> TransferContext {
        var context = fleet.context()
        context.limits.movePartSize = 1_000
        return context
    }

    private func fleet(_ picture: FleetPicture) -> MemoryFleet {
        MemoryFleet(picture, sizes: ["k": PartedCopyTests.size]) { _ in MemoryStore(runBytes: 300) }
    }

    /// One worker's attempt: takes up what is there, or begins anew.
    private func attempt(_ fleet: MemoryFleet, to target: String = "b") async throws -> MoveResult {
        let token = fleet.identifiers.makeLeaseToken()
        let all = fleet.stores.keys.sorted()
        let claimed = try #require(
            try await fleet.catalog.claim(
                .short(bucket: fleet.bucket, factor: 4, staying: all), limit: 1, token: token, lease: .seconds(60)
            ).first)
        let catalog = fleet.catalog
        let mover = CopyMover(moves: catalog, writes: catalog, context: context(fleet)) { finding in
            if case .suspect(let copy) = finding {
                do { _ = try await catalog.markSuspect(copy.id) } catch { Issue.record(error) }
            }
        }
        let progress = try await mover.resumable(claimed.placed.version, token: token)
        let result = await mover.copy(
            claimed, from: claimed.placed.copies.filter { $0.state == .live },
            to: progress?.candidate.backend ?? fleet.backend(target), token: token, readGrace: .seconds(600),
            resuming: progress)
        try await catalog.release(claimed.placed.version.id, token: token, .finished)
        return result
    }

    private func expectCopied(_ fleet: MemoryFleet, on name: String = "b") throws {
        let made = try #require(
            fleet.catalog.tables.copies.values.first {
                $0.copy.backend == fleet.backend(name) && $0.copy.state == .live
            })
        let stored = try #require(fleet.store(name).stored(made.copy.physicalKey))
        #expect(stored.bytes == MemoryFleet.contents(of: "k", count: PartedCopyTests.size))
        #expect(CopyMetadata.parse(stored.metadata)?.key == "k")
    }

    @Test func `a large object arrives in parts, whole`() async throws {
        let fleet = fleet("a: k | b:")
        guard case .live = try await attempt(fleet) else {
            Issue.record("not live")
            return
        }
        #expect(fleet.store("b").calls(.putPart) == 4 && fleet.store("b").calls(.put) == 0)
        #expect(fleet.store("b").openUploadCount == 0)
        try expectCopied(fleet)
    }

    @Test(arguments: [StoreFault.fail(.reset), .fail(.throttled), .fail(.unreachable), .lostReply])
    func `an interrupted copy is gone on with behind its last part`(fault: StoreFault) async throws {
        let fleet = fleet("a: k | b:")
        // The first two parts pass, then each attempt at the third fails.
        let target = fleet.store("b")
        let gate = Gate()
        target.inject(.held(gate), into: .putPart)
        async let first = attempt(fleet)
        while gate.waiting == 0 { await Task.yield() }
        target.inject(fault, into: .putPart, times: 3)
        gate.open()
        guard case .targetFailed = try await first else {
            Issue.record("not interrupted")
            return
        }
        #expect(fleet.picture == "a: k | b: k?", "kept, not given up")
        let before = target.calls(.putPart)
        guard case .live = try await attempt(fleet) else {
            Issue.record("not live")
            return
        }
        #expect(target.calls(.putPart) - before == 3, "the first part was there already")
        try expectCopied(fleet)
    }

    @Test func `a source that changed since the first parts is found out`() async throws {
        let fleet = fleet("a: k | b:")
        fleet.store("b").inject(.fail(.reset), into: .completeUpload)
        guard case .targetFailed = try await attempt(fleet) else {
            Issue.record("not interrupted")
            return
        }
        fleet.store("a").damage(fleet.store("a").names[0])
        guard case .targetFailed = try await attempt(fleet) else {
            Issue.record("damage was copied")
            return
        }
        #expect(fleet.picture == "a: k | b: k!", "nobody is accused: the parts may be what is damaged")
        guard case .sourceFailed = try await attempt(fleet) else {
            Issue.record("damage was copied")
            return
        }
        try await fleet.sweep()
        #expect(fleet.picture == "a: k* | b:")
        #expect(fleet.store("b").names == [] && fleet.store("b").openUploadCount == 0)
    }

    @Test func `a damaged source never completes, and is accused`() async throws {
        let fleet = fleet("a: k | b: k | c:")
        fleet.store("a").damage(fleet.store("a").names[0])
        guard case .live = try await attempt(fleet, to: "c") else {
            Issue.record("not live")
            return
        }
        #expect(fleet.picture == "a: k* | b: k | c: k k!")
        let live = try #require(
            fleet.catalog.tables.copies.values.first {
                $0.copy.backend == fleet.backend("c") && $0.copy.state == .live
            })
        #expect(
            fleet.store("c").stored(live.copy.physicalKey)?.bytes
                == MemoryFleet.contents(of: "k", count: PartedCopyTests.size))
    }

    @Test func `a Complete whose answer is lost is looked for, not repeated blindly`() async throws {
        let fleet = fleet("a: k | b:")
        fleet.store("b").inject(.lostReply, into: .completeUpload)
        guard case .live = try await attempt(fleet) else {
            Issue.record("not live")
            return
        }
        try expectCopied(fleet)
    }

    @Test func `an upload that its target has forgotten is begun anew`() async throws {
        let fleet = fleet("a: k | b:")
        fleet.store("b").inject(.fail(.reset), into: .putPart, times: 3)
        guard case .targetFailed = try await attempt(fleet) else {
            Issue.record("not interrupted")
            return
        }
        for upload in try await fleet.store("b").listUploads(prefix: "") {
            try await fleet.store("b").abortUpload(upload.key, uploadID: upload.uploadID)
        }
        guard case .targetFailed(let error) = try await attempt(fleet) else {
            Issue.record("not failed")
            return
        }
        #expect(error.code == .noSuchUpload)
        guard case .live = try await attempt(fleet) else {
            Issue.record("not live")
            return
        }
        try expectCopied(fleet)
    }

    @Test func `an overwrite in the middle ends it`() async throws {
        let fleet = fleet("a: k | b:")
        let gate = Gate()
        fleet.store("b").inject(.held(gate), into: .putPart)
        async let result = attempt(fleet)
        while gate.waiting == 0 { await Task.yield() }
        #expect(await fleet.put("k", Bytes("new"), on: ["a"], ack: 1).isCommitted)
        gate.open()
        #expect(try await result == .superseded)
        try await fleet.sweep()
        #expect(fleet.picture == "a: k | b:")
        #expect(fleet.store("b").openUploadCount == 0)
    }

    @Test(arguments: [[0], [10], [4, 6], [4, 6, 0], [0, 10], [4, 0, 6], [0, 0]])
    func `parts without a byte are parts of the ETag`(sizes: [Int64]) async throws {
        let size = sizes.reduce(0, +)
        let bytes = (0..<size).map { UInt8($0) }
        var digests: [UInt8] = []
        var start = 0
        for part in sizes {
            digests += Digest.hash(.md5, Array(bytes[start..<(start + Int(part))]))
            start += Int(part)
        }
        let etag = Hex.encode(Digest.hash(.md5, digests)) + "-\(sizes.count)"
        let version = Version(
            id: VersionID(ID128(high: 1, low: 1)), object: ObjectName(bucket: BucketID(1), key: "k"), size: size,
            digests: ContentDigests(etag: etag), headers: ObjectHeaders(), partSizes: sizes, committedAt: 1, sequence: 1
        )
        let verifier = ContentVerifier(BytesReader(Bytes(bytes)), version)
        var read: [UInt8] = []
        while let run = try await verifier.next() { read += run.array }
        #expect(read == bytes)
    }

    /// Whatever fails in whatever order, the copy is made in the end, and is the object.
    @Test func `faults in any order end with the right bytes`() async throws {
        var random = SimulatedRandom(seed: 20_261_121)
        for round in 0..<60 {
            let fleet = fleet("a: k | b: | c: k")
            let target = fleet.store("b")
            let calls: [StoreCall] = [.putPart, .completeUpload, .createUpload]
            let faults: [StoreFault] = [.fail(.reset), .lostReply, .fail(.serverError), .cutAfter(400)]
            var isDone = false
            for _ in 0..<40 where !isDone {
                let call = calls[Int(random.next() % 3)]
                target.inject(faults[Int(random.next() % 4)], into: call, times: Int(random.next() % 4))
                if random.next() % 2 == 0 { fleet.store("a").inject(.cutAfter(700), into: .get) }
                if case .live = try await attempt(fleet) { isDone = true }
                target.heal()
                fleet.store("a").heal()
            }
            #expect(isDone, "round \(round) of seed 20261121")
            try expectCopied(fleet)
            try await fleet.sweep()
            target.deliverLate()
            try await fleet.sweep()
            #expect(target.names.count == 1 && target.openUploadCount == 0, "round \(round)")
        }
    }
}
