import Catalog
import HTTP
import S3
import Testing
import Transfer

@Suite struct WriteProtocolTests {
    private static func id(_ number: UInt64) -> CopyID { CopyID(ID128(high: 0, low: number)) }
    private static let candidates = (1...4).map {
        CopyCandidate(id: id(UInt64($0)), backend: BackendID(Int32($0)), physicalKey: "name \($0)")
    }
    private static let reset = StoreError(.reset, mayArriveLate: true, evidence: "reset")
    private static let refused = StoreError(.noSpace, mayArriveLate: false, evidence: "full")

    private func machine(ack: Int = 2, minAck: Int = 1, targets: Int = 4) -> WriteProtocol {
        WriteProtocol(
            candidates: Array(Self.candidates.prefix(targets)), requirement: WriteRequirement(ack: ack, minAck: minAck),
            resolveAttemptsMax: 3)
    }

    private func admitted(_ numbers: UInt64...) -> WriteProtocol.Event {
        .intended(IntentOutcome(admitted: numbers.map(Self.id), refused: [:]))
    }

    private func uploaded(_ number: UInt64) -> WriteProtocol.Event { .uploaded(UploadedCopy(id: Self.id(number))) }

    /// Until the commit of copies 1 and 2.
    private func committing() -> WriteProtocol {
        var machine = machine()
        _ = machine.start()
        _ = machine.handle(admitted(1, 2))
        _ = machine.handle(uploaded(1))
        _ = machine.handle(uploaded(2))
        return machine
    }

    @Test func `intent, upload to all at once, commit, done`() {
        var machine = machine()
        #expect(machine.start() == [.intend(Array(Self.candidates.prefix(2)), isAdditional: false)])
        #expect(machine.handle(admitted(1, 2)) == [.upload([Self.id(1), Self.id(2)])])
        #expect(machine.handle(uploaded(2)) == [])
        #expect(
            machine.handle(uploaded(1))
                == [.commit(uploaded: [UploadedCopy(id: Self.id(1)), UploadedCopy(id: Self.id(2))], failed: [:])])
        #expect(
            machine.handle(.committed(.committed(committedAt: 5, sequence: 6)))
                == [.finish(.committed(committedAt: 5, sequence: 6, copies: 2))])
        #expect(machine.handle(uploaded(1)) == [])
    }

    @Test func `a refused target is replaced before the upload`() {
        var machine = machine()
        _ = machine.start()
        let effects = machine.handle(
            .intended(IntentOutcome(admitted: [Self.id(1)], refused: [Self.id(2): .overQuota])))
        #expect(effects == [.intend([Self.candidates[2]], isAdditional: true)])
        #expect(machine.handle(admitted(3)) == [.upload([Self.id(1), Self.id(3)])])
    }

    @Test func `a first intent that admits nothing leaves no version to add to`() {
        var machine = machine(ack: 1)
        _ = machine.start()
        let effects = machine.handle(.intended(IntentOutcome(admitted: [], refused: [Self.id(1): .notActive])))
        #expect(effects == [.intend([Self.candidates[1]], isAdditional: false)])
    }

    @Test func `too few backends: nothing is uploaded`() {
        var machine = machine(ack: 2, minAck: 2, targets: 2)
        _ = machine.start()
        let refusals = IntentOutcome(admitted: [Self.id(1)], refused: [Self.id(2): .overQuota])
        #expect(machine.handle(.intended(refusals)) == [.giveUp(late: [])])
        #expect(
            machine.handle(.gaveUp)
                == [.finish(.refused(.insufficientBackends(admitted: 1, required: 2, refusals: [.overQuota])))])
    }

    @Test func `fewer copies than ack are enough only after definite failures`() {
        var definite = machine(targets: 2)
        _ = definite.start()
        _ = definite.handle(admitted(1, 2))
        _ = definite.handle(uploaded(1))
        #expect(
            definite.handle(.uploadFailed(Self.id(2), Self.refused))
                == [.commit(uploaded: [UploadedCopy(id: Self.id(1))], failed: [Self.id(2): false])])
        var unknown = machine(targets: 2)
        _ = unknown.start()
        _ = unknown.handle(admitted(1, 2))
        _ = unknown.handle(uploaded(1))
        #expect(unknown.handle(.uploadFailed(Self.id(2), Self.reset)) == [.giveUp(late: [Self.id(2)])])
        #expect(
            unknown.handle(.gaveUp) == [
                .finish(.refused(.backendsFailed(succeeded: 1, required: 2, errors: [Self.reset])))
            ])
    }

    @Test func `minAck is a floor`() {
        var machine = machine(ack: 2, minAck: 2, targets: 2)
        _ = machine.start()
        _ = machine.handle(admitted(1, 2))
        _ = machine.handle(uploaded(1))
        #expect(machine.handle(.uploadFailed(Self.id(2), Self.refused)) == [.giveUp(late: [])])
    }

    @Test func `a body that nobody touched goes to the next backends`() {
        var machine = machine()
        _ = machine.start()
        _ = machine.handle(admitted(1, 2))
        let dead = StoreError(.unreachable, mayArriveLate: false, evidence: "refused")
        #expect(machine.handle(.uploadFailed(Self.id(1), dead, isBodyUntouched: true)) == [])
        #expect(
            machine.handle(.uploadFailed(Self.id(2), dead, isBodyUntouched: true))
                == [.intend(Array(Self.candidates[2...3]), isAdditional: true)])
        #expect(machine.handle(admitted(3, 4)) == [.upload([Self.id(3), Self.id(4)])])
        _ = machine.handle(uploaded(3))
        #expect(
            machine.handle(uploaded(4)) == [
                .commit(
                    uploaded: [UploadedCopy(id: Self.id(3)), UploadedCopy(id: Self.id(4))],
                    failed: [Self.id(1): false, Self.id(2): false])
            ])
    }

    @Test func `a body that was touched is not sent again`() {
        var machine = machine(ack: 1)
        _ = machine.start()
        _ = machine.handle(admitted(1))
        #expect(machine.handle(.uploadFailed(Self.id(1), Self.reset)) == [.giveUp(late: [Self.id(1)])])
    }

    @Test func `when the replacements refuse, the failures of the first are the answer`() {
        var machine = machine(ack: 1, targets: 2)
        _ = machine.start()
        _ = machine.handle(admitted(1))
        _ = machine.handle(.uploadFailed(Self.id(1), Self.refused, isBodyUntouched: true))
        #expect(
            machine.handle(.intended(IntentOutcome(admitted: [], refused: [Self.id(2): .overQuota]))) == [
                .giveUp(late: [])
            ])
        #expect(
            machine.handle(.gaveUp) == [
                .finish(.refused(.backendsFailed(succeeded: 0, required: 1, errors: [Self.refused])))
            ])
    }

    @Test func `a body that fails gives the write up, whatever was stored`() {
        var machine = machine()
        _ = machine.start()
        _ = machine.handle(admitted(1, 2))
        let failure = StoreError(.bodyFailed, mayArriveLate: false, evidence: "", bodyError: .truncated)
        _ = machine.handle(uploaded(1))
        #expect(machine.handle(.uploadFailed(Self.id(2), failure)) == [.giveUp(late: [])])
        #expect(machine.handle(.gaveUp) == [.finish(.refused(.bodyFailed(.truncated)))])
    }

    @Test(arguments: [
        (CommitOutcome.preconditionFailed, WriteResult.preconditionFailed), (.noSuchKey, .noSuchKey),
        (.fenceLost, .refused(.fenceLost)),
    ])
    func `a commit that did not take place is said so`(outcome: CommitOutcome, result: WriteResult) {
        var machine = committing()
        #expect(machine.handle(.committed(outcome)) == [.finish(result)])
    }

    @Test func `a lost reply to COMMIT is resolved, never guessed`() {
        var machine = committing()
        let lost = CatalogError.unknownOutcome(evidence: "lost")
        #expect(machine.handle(.commitFailed(lost)) == [.resolve])
        #expect(machine.handle(.resolveFailed(.unavailable(evidence: "away"))) == [.resolve])
        var other = machine
        #expect(
            machine.handle(.resolved(.committed(committedAt: 7, sequence: 8)))
                == [.finish(.committed(committedAt: 7, sequence: 8, copies: 2))])
        #expect(other.handle(.resolved(.notCommitted)) == [.finish(.refused(.fenceLost))])
    }

    @Test func `nobody can say in time: unknown, and nothing is done about it`() {
        var machine = committing()
        _ = machine.handle(.commitFailed(.unknownOutcome(evidence: "lost")))
        for _ in 0..<2 { #expect(machine.handle(.resolveFailed(.unavailable(evidence: "away"))) == [.resolve]) }
        guard case .finish(.unknown)? = machine.handle(.resolveFailed(.unavailable(evidence: "away"))).first else {
            Issue.record("an outcome was guessed")
            return
        }
    }

    @Test func `a commit that certainly did not happen gives up`() {
        var machine = committing()
        let error = CatalogError.unavailable(evidence: "away")
        #expect(machine.handle(.commitFailed(error)) == [.giveUp(late: [])])
        #expect(machine.handle(.gaveUp) == [.finish(.refused(.catalog(error)))])
    }

    @Test func `repeated and late messages change nothing`() {
        var machine = machine()
        _ = machine.start()
        _ = machine.handle(admitted(1, 2))
        #expect(machine.handle(uploaded(1)) == [])
        #expect(machine.handle(uploaded(1)) == [])
        #expect(machine.handle(.uploadFailed(Self.id(1), Self.reset)) == [])
        #expect(machine.handle(.committed(.committed(committedAt: 1, sequence: 1))) == [])
        #expect(machine.handle(.gaveUp) == [])
        #expect(machine.handle(admitted(3)) == [])
    }
}
