import Catalog
import S3
import Testing
import Transfer

@Suite struct MoveProtocolTests {
    private static let version = VersionID(ID128(high: 0, low: 1))
    private static let sources = (1...3).map {
        Copy(
            id: CopyID(ID128(high: 0, low: UInt64($0))), version: version, backend: BackendID(Int32($0)),
            physicalKey: "name \($0)",
            state: .live)
    }
    private static let made = UploadedCopy(id: CopyID(ID128(high: 0, low: 9)))
    private static let mismatch = StoreError(.bodyFailed, mayArriveLate: false, evidence: "mismatch")
    private static let reset = StoreError(.reset, mayArriveLate: true, evidence: "reset")

    private func copying() -> MoveProtocol {
        var machine = MoveProtocol(sources: Self.sources, commitAttemptsMax: 3)
        #expect(machine.start() == [.intend])
        #expect(machine.handle(.intended(.admitted)) == [.copy(from: Self.sources)])
        return machine
    }

    @Test func `intent, copy, commit, live`() {
        var machine = copying()
        #expect(machine.handle(.copied(Self.made)) == [.commit(Self.made)])
        #expect(machine.handle(.committed(.live)) == [.finish(.live(Self.made.id))])
        #expect(machine.handle(.committed(.live)) == [])
    }

    @Test func `a version that is gone, and a target that refuses, end the move`() {
        var gone = MoveProtocol(sources: Self.sources, commitAttemptsMax: 3)
        _ = gone.start()
        #expect(gone.handle(.intended(.notRetained)) == [.finish(.superseded)])
        var full = MoveProtocol(sources: Self.sources, commitAttemptsMax: 3)
        _ = full.start()
        #expect(full.handle(.intended(.refused(.overQuota))) == [.finish(.refused(.overQuota))])
        var late = copying()
        _ = late.handle(.copied(Self.made))
        #expect(late.handle(.committed(.superseded)) == [.finish(.superseded)])
    }

    @Test func `a damaged source is accused, and the next one tried under a new name`() {
        var machine = copying()
        #expect(
            machine.handle(.copyFailed(.damaged([Self.sources[0]], Self.mismatch)))
                == [.markSuspect(Self.sources[0]), .giveUp(mayArriveLate: false)])
        #expect(machine.handle(.gaveUp) == [.intend])
        #expect(machine.handle(.intended(.admitted)) == [.copy(from: Array(Self.sources[1...]))])
    }

    @Test func `bytes of several sources accuse none, and each is tried at most once`() {
        var machine = copying()
        #expect(
            machine.handle(.copyFailed(.damaged(Array(Self.sources[0...1]), Self.mismatch))) == [
                .giveUp(mayArriveLate: false)
            ])
        #expect(machine.handle(.gaveUp) == [.intend])
        #expect(machine.handle(.intended(.admitted)) == [.copy(from: [Self.sources[2]])])
        _ = machine.handle(.copyFailed(.damaged([Self.sources[2]], Self.mismatch)))
        #expect(machine.handle(.gaveUp) == [.finish(.sourceFailed([Self.mismatch]))])
    }

    @Test func `a target that fails ends the move, and may have the bytes after all`() {
        var machine = copying()
        #expect(machine.handle(.copyFailed(.target(Self.reset))) == [.giveUp(mayArriveLate: true)])
        #expect(machine.handle(.gaveUp) == [.finish(.targetFailed(Self.reset))])
    }

    @Test func `a commit whose reply was lost is made again, and the lease decides in the end`() {
        var machine = copying()
        _ = machine.handle(.copied(Self.made))
        let lost = CatalogError.unknownOutcome(evidence: "lost")
        #expect(machine.handle(.commitFailed(lost)) == [.commit(Self.made)])
        #expect(machine.handle(.commitFailed(lost)) == [.commit(Self.made)])
        #expect(machine.handle(.commitFailed(lost)) == [.finish(.catalogFailed(lost))])
    }

    @Test func `an intent whose reply was lost is given up`() {
        var machine = MoveProtocol(sources: Self.sources, commitAttemptsMax: 3)
        _ = machine.start()
        let lost = CatalogError.unknownOutcome(evidence: "lost")
        #expect(machine.handle(.intentFailed(lost)) == [.giveUp(mayArriveLate: false)])
        #expect(machine.handle(.gaveUp) == [.finish(.catalogFailed(lost))])
    }
}

@Suite struct DeleteProtocolTests {
    private static let copy = Copy(
        id: CopyID(ID128(high: 0, low: 1)), version: VersionID(ID128(high: 0, low: 2)), backend: BackendID(1),
        physicalKey: "name",
        state: .doomed)
    private static let backoff = RetryBackoff(first: .seconds(4), max: .seconds(100))

    private func machine(
        late: Bool = false, second: Bool = false, attempts: Int = 0, horizon: Duration = .seconds(3600)
    ) -> DeleteProtocol {
        DeleteProtocol(
            DoomedCopy(copy: Self.copy, mayArriveLate: late, isSecondLook: second, attempts: attempts),
            horizon: horizon,
            backoff: Self.backoff, jitter: 0.5)
    }

    @Test func `uploads of the name go first, then the object`() {
        var machine = machine()
        #expect(machine.start() == [.listUploads])
        #expect(machine.handle(.uploads(["u1", "u2"])) == [.abort(upload: "u1")])
        #expect(machine.handle(.aborted) == [.abort(upload: "u2")])
        #expect(machine.handle(.aborted) == [.delete])
        #expect(machine.handle(.deleted) == [.finish(.gone)])
        #expect(machine.handle(.deleted) == [])
    }

    @Test func `where a write may still arrive, it is looked at, twice, the horizon apart`() {
        var first = machine(late: true)
        _ = first.start()
        _ = first.handle(.uploads([]))
        #expect(first.handle(.deleted) == [.look])
        #expect(first.handle(.looked(isThere: false)) == [.finish(.lookAgain(after: .seconds(3600)))])
        var second = machine(late: true, second: true)
        _ = second.start()
        _ = second.handle(.uploads([]))
        _ = second.handle(.deleted)
        #expect(second.handle(.looked(isThere: false)) == [.finish(.gone)])
    }

    @Test func `a writer that is dead for certain needs no second look`() {
        var machine = machine(late: true, horizon: .zero)
        _ = machine.start()
        _ = machine.handle(.uploads([]))
        _ = machine.handle(.deleted)
        #expect(machine.handle(.looked(isThere: false)) == [.finish(.gone)])
    }

    @Test func `an object that is there after its deletion is not gone`() {
        var machine = machine(late: true, second: true)
        _ = machine.start()
        _ = machine.handle(.uploads([]))
        _ = machine.handle(.deleted)
        guard case .finish(.failed)? = machine.handle(.looked(isThere: true)).first else {
            Issue.record("a backend's word was taken for the deed")
            return
        }
    }

    @Test func `a failure at any step is tried again later`() {
        let error = StoreError(.wrongLocation, mayArriveLate: false, evidence: "NoSuchBucket")
        let failed: [DeleteProtocol.Effect] = [
            .finish(.failed(retryAfter: .seconds(3), evidence: "wrongLocation: NoSuchBucket"))
        ]
        for steps in 0...2 {
            var machine = machine()
            _ = machine.start()
            if steps > 0 { _ = machine.handle(.uploads(["u"])) }
            if steps > 1 { _ = machine.handle(.aborted) }
            #expect(machine.handle(.failed(error)) == failed)
        }
    }

    @Test func `pauses double up to a cap, half of each at random`() {
        let pauses = [0, 1, 2, 10, 1_000].map { Self.backoff.pause(after: $0, jitter: 0) }
        #expect(pauses == [.seconds(2), .seconds(4), .seconds(8), .seconds(50), .seconds(50)])
        #expect(Self.backoff.pause(after: 0, jitter: 0.999) < .seconds(4))
    }
}
