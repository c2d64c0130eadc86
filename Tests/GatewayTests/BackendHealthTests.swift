import Catalog
import S3
import Synchronization
import Testing

@testable import Gateway

@Suite struct BackendHealthTests {
    /// The macro takes its operands as constants, and asking changes the state.
    private func admitted(_ health: inout BackendHealth, _ now: Duration) -> Bool { health.admits(now: now) }

    @Test func `five failures in a row open the breaker, a success between them does not`() {
        var health = BackendHealth()
        for _ in 1..<BackendHealth.failuresMax { health.failed(now: .zero) }
        #expect(admitted(&health, .zero))
        health.succeeded()
        for _ in 1..<BackendHealth.failuresMax { health.failed(now: .zero) }
        #expect(admitted(&health, .zero))
        health.failed(now: .zero)
        #expect(!admitted(&health, .zero))
    }

    @Test func `after the pause one probe goes, and its outcome decides`() {
        var health = BackendHealth()
        for _ in 0..<BackendHealth.failuresMax { health.failed(now: .zero) }
        #expect(!admitted(&health, BackendHealth.pause - .milliseconds(1)))
        #expect(admitted(&health, BackendHealth.pause))
        #expect(!admitted(&health, BackendHealth.pause))
        health.failed(now: BackendHealth.pause)
        #expect(!admitted(&health, BackendHealth.pause + .seconds(1)))
        #expect(admitted(&health, BackendHealth.pause * 2))
        health.succeeded()
        #expect(admitted(&health, BackendHealth.pause * 2))
    }

    @Test func `a probe that never answers does not shut the backend out for ever`() {
        var health = BackendHealth()
        for _ in 0..<BackendHealth.failuresMax { health.failed(now: .zero) }
        #expect(admitted(&health, .seconds(5)))
        #expect(!admitted(&health, .seconds(9)))
        #expect(admitted(&health, .seconds(10)))
    }

    @Test func `a thousand clients that hang up leave the breaker closed`() {
        let board = HealthBoard(elapsed: { .zero })
        for code in [StoreError.Code.bodyFailed, .cancelled, .noSuchKey, .invalidRange, .noSpace] {
            for _ in 0..<1000 { board.record(BackendID(1), StoreError(code, mayArriveLate: false, evidence: "")) }
        }
        #expect(board.admits(BackendID(1)))
    }

    @Test func `reads go to healthy copies first, to suspects last`() {
        let board = HealthBoard(elapsed: { .zero })
        for _ in 0..<5 { board.record(BackendID(1), StoreError(.timedOut, mayArriveLate: true, evidence: "")) }
        let version = VersionID(ID128(high: 0, low: 1))
        let copies = [(1, false), (2, true), (3, false)].map { backend, isSuspect in
            Copy(
                id: CopyID(ID128(high: 0, low: UInt64(backend))), version: version, backend: BackendID(Int32(backend)),
                physicalKey: "k", state: .live, isSuspect: isSuspect)
        }
        #expect(board.order(copies).map(\.backend.raw) == [3, 1, 2])
    }
}
