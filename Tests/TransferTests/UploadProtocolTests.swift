import Catalog
import HTTP
import S3
import Testing
import Transfer

@Suite struct UploadProtocolTests {
    private static func copy(_ number: UInt64) -> CopyID { CopyID(ID128(high: 0, low: number)) }
    private static let (a, b) = (copy(1), copy(2))
    private static let id = UploadID(ID128(high: 1, low: 1))
    private static let version = VersionID(ID128(high: 2, low: 1))
    private static let token = LeaseToken(ID128(high: 3, low: 1))
    private static let object = ObjectName(bucket: BucketID(1), key: "k")
    private static let reset = StoreError(.reset, mayArriveLate: true, evidence: "reset")
    private static let noUpload = StoreError(.noSuchUpload, mayArriveLate: false, evidence: "404")
    private static let digests = ContentDigests(etag: "whole-2")

    // MARK: Create

    @Test func `the rows, then the backends' uploads, then their ids`() {
        var machine = UploadProtocol.Creation(id: Self.id, minAck: 1)
        #expect(machine.start() == [.intend])
        #expect(
            machine.handle(.intended(IntentOutcome(admitted: [Self.a, Self.b], refused: [:])))
                == [.open([Self.a, Self.b])])
        #expect(machine.handle(.opened(Self.a, backendUploadID: "u")) == [])
        #expect(machine.handle(.openFailed(Self.b, Self.reset)) == [.record([Self.a: "u"])])
        #expect(machine.handle(.recorded(true)) == [.finish(.created(Self.id))])
        #expect(machine.handle(.recorded(true)) == [])
    }

    @Test func `too few backends: what was begun is aborted before the client hears of it`() {
        var machine = UploadProtocol.Creation(id: Self.id, minAck: 2)
        _ = machine.start()
        _ = machine.handle(.intended(IntentOutcome(admitted: [Self.a, Self.b], refused: [:])))
        _ = machine.handle(.opened(Self.a, backendUploadID: "u"))
        #expect(machine.handle(.openFailed(Self.b, Self.reset)) == [.abort])
        #expect(
            machine.handle(.aborted)
                == [.finish(.refused(.backendsFailed(succeeded: 1, required: 2, errors: [Self.reset])))])
    }

    // MARK: Parts

    private func sending(minAck: Int = 1, reserves: Bool = true) -> UploadProtocol.Part {
        var machine = UploadProtocol.Part(copies: [Self.a, Self.b], size: 10, minAck: minAck, reserves: reserves)
        _ = machine.start()
        if reserves { _ = machine.handle(.reserved(.reserved(dropped: []))) }
        _ = machine.handle(.bodyRead(Self.digests))
        return machine
    }

    @Test func `bytes are reserved before they leave, and become the part's own`() {
        var machine = UploadProtocol.Part(copies: [Self.a, Self.b], size: 10, minAck: 1, reserves: true)
        #expect(machine.start() == [.reserve(10, keeping: 1)])
        #expect(machine.handle(.reserved(.reserved(dropped: []))) == [.send([Self.a, Self.b])])
        #expect(machine.handle(.bodyRead(Self.digests)) == [])
        #expect(machine.handle(.stored(Self.a, etag: "x")) == [])
        #expect(
            machine.handle(.stored(Self.b, etag: "y"))
                == [.record([Self.a: "x", Self.b: "y"], Self.digests, reserved: 10)])
        #expect(machine.handle(.recorded(true)) == [.finish(.stored(etag: "whole-2", checksums: [:]))])
    }

    @Test func `a backend that is full takes no byte`() {
        var machine = UploadProtocol.Part(copies: [Self.a], size: 10, minAck: 1, reserves: true)
        _ = machine.start()
        #expect(
            machine.handle(.reserved(.overQuota))
                == [.finish(.refused(.insufficientBackends(admitted: 0, required: 1, refusals: [.overQuota])))])
    }

    @Test func `a backend that was full when the bytes were reserved is not sent any`() {
        var machine = UploadProtocol.Part(copies: [Self.a, Self.b], size: 10, minAck: 1, reserves: true)
        _ = machine.start()
        #expect(machine.handle(.reserved(.reserved(dropped: [Self.a]))) == [.send([Self.b])])
    }

    @Test func `too few answers: what was reserved is given back`() {
        var machine = sending(minAck: 2)
        _ = machine.handle(.stored(Self.a, etag: "x"))
        #expect(machine.handle(.failed(Self.b, Self.reset)) == [.giveBack(10)])
        #expect(
            machine.handle(.gaveBack)
                == [.finish(.refused(.backendsFailed(succeeded: 1, required: 2, errors: [Self.reset])))])
    }

    @Test func `where the part may be recorded, nothing is given back`() {
        var machine = sending()
        _ = machine.handle(.stored(Self.a, etag: "x"))
        _ = machine.handle(.stored(Self.b, etag: "y"))
        let lost = CatalogError.unknownOutcome(evidence: "lost")
        #expect(machine.handle(.recordFailed(lost)) == [.finish(.refused(.catalog(lost)))])
    }

    @Test func `an upload that no backend knows is gone`() {
        var machine = sending(reserves: false)
        _ = machine.handle(.failed(Self.a, Self.noUpload))
        #expect(machine.handle(.failed(Self.b, Self.noUpload)) == [.finish(.noSuchUpload)])
    }

    // MARK: Complete

    private static func upload(_ copies: [CopyID]) -> Upload {
        Upload(
            id: id, object: object, version: version, token: token, state: .completing, headers: ObjectHeaders(),
            checksumAlgorithm: nil, checksumType: nil,
            copies: copies.map { copy in
                UploadCopy(
                    copy: copy, backend: BackendID(Int32(copy.raw.low)), physicalKey: "n\(copy.raw.low)",
                    backendUploadID: "u")
            }, createdAt: 0)
    }

    private static let parts = (1...2).map { number in
        UploadPart(
            number: number, attempt: token, size: 5, etag: "p\(number)", checksums: [:],
            backendETags: [a: "p\(number)", b: "p\(number)"])
    }

    private func completing(minAck: Int = 1) -> UploadProtocol.Completion {
        var machine = UploadProtocol.Completion(
            requirement: WriteRequirement(ack: 2, minAck: minAck), precondition: .none, readGrace: .seconds(1),
            resolveAttemptsMax: 2)
        #expect(machine.start() == [.begin])
        let effects = machine.handle(
            .begun(.proceed(Self.upload([Self.a, Self.b]), Self.parts), digests: Self.digests))
        #expect(effects.count == 2)
        return machine
    }

    @Test func `NoSuchUpload is looked into, and what stands there under the name counts`() {
        var machine = completing()
        _ = machine.handle(.completed(Self.a, StoredObject(size: 10, etag: "x")))
        #expect(machine.handle(.completeFailed(Self.b, Self.noUpload)) == [.look(Self.upload([Self.b]).copies[0])])
        let effects = machine.handle(.looked(Self.b, StoredObject(size: 10, etag: "x")))
        guard case .commit(let commit) = effects.first else {
            Issue.record("\(effects)")
            return
        }
        #expect(commit.uploaded.map(\.id) == [Self.a, Self.b] && commit.size == 10 && commit.upload == Self.id)
        #expect(
            machine.handle(.write(.committed(.committed(committedAt: 7, sequence: 8))))
                == [.finish(.completed(Self.digests, size: 10, committedAt: 7))])
    }

    @Test func `an object of another size under the name is not ours`() {
        var machine = completing(minAck: 2)
        _ = machine.handle(.completed(Self.a, StoredObject(size: 10, etag: "x")))
        _ = machine.handle(.completeFailed(Self.b, Self.noUpload))
        guard
            case .finish(.refused(.backendsFailed)) = machine.handle(.looked(Self.b, StoredObject(size: 9, etag: "x")))
                .first
        else {
            Issue.record("taken for the completed one")
            return
        }
    }

    @Test func `an upload without copies is gone`() {
        var machine = UploadProtocol.Completion(
            requirement: WriteRequirement(ack: 2, minAck: 1), precondition: .none, readGrace: .seconds(1),
            resolveAttemptsMax: 2)
        _ = machine.start()
        #expect(
            machine.handle(.begun(.proceed(Self.upload([]), Self.parts), digests: Self.digests))
                == [.finish(.noSuchUpload)])
    }

    @Test func `a lost COMMIT is resolved`() {
        var machine = completing()
        _ = machine.handle(.completed(Self.a, StoredObject(size: 10, etag: "x")))
        _ = machine.handle(.completed(Self.b, StoredObject(size: 10, etag: "x")))
        let lost = CatalogError.unknownOutcome(evidence: "lost")
        #expect(machine.handle(.write(.commitFailed(lost))) == [.resolve(Self.version)])
        #expect(
            machine.handle(.write(.resolved(.committed(committedAt: 7, sequence: 8))))
                == [.finish(.completed(Self.digests, size: 10, committedAt: 7))])
    }
}
