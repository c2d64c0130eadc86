package import Catalog
package import S3
import Synchronization

/// Whether one backend answers: consecutive failures open its breaker, and after a pause one request may try it out.
/// Events in, state out; time is an argument.
package struct BackendHealth: Sendable, Equatable {
    package static let failuresMax = 5
    package static let pause: Duration = .seconds(5)

    package enum State: Sendable, Equatable {
        case closed(failures: Int)
        case open(until: Duration)
        /// One probe is out; a second one may go when it has been silent for a whole pause.
        case probing(since: Duration)
    }
    package private(set) var state: State = .closed(failures: 0)

    package init() {}

    /// Whether new work may go there; the answer yes to an open breaker is the probe.
    package mutating func admits(now: Duration) -> Bool {
        switch state {
        case .closed: return true
        case .open(let until):
            guard now >= until else { return false }
            state = .probing(since: now)
            return true
        case .probing(let since):
            guard now - since >= BackendHealth.pause else { return false }
            state = .probing(since: now)
            return true
        }
    }

    package mutating func succeeded() { state = .closed(failures: 0) }

    package mutating func failed(now: Duration) {
        switch state {
        case .closed(let failures) where failures + 1 < BackendHealth.failuresMax:
            state = .closed(failures: failures + 1)
        case .closed, .probing: state = .open(until: now + BackendHealth.pause)
        case .open: break
        }
    }

    /// Whether an error says that the backend is ill. A client that hung up, a digest that did not match, an object that is
    /// not there and a full disk say nothing about that (S3.md 26).
    package static func blames(_ code: StoreError.Code) -> Bool {
        switch code {
        case .unreachable, .timedOut, .reset, .serverError, .throttled, .accessDenied, .wrongLocation: true
        case .noSuchKey, .noSuchUpload, .alreadyExists, .noSpace, .invalidRange, .corrupt, .rejected, .notSupported,
            .bodyFailed, .cancelled:
            false
        }
    }
}

/// The health of all backends as this instance sees it.
package final class HealthBoard: Sendable {
    private let elapsed: @Sendable () -> Duration
    private let states = Mutex<[BackendID: BackendHealth]>([:])
    /// When suspects were found lately; at most `suspectsMax` times per backend.
    private let suspects = Mutex<[BackendID: [Duration]]>([:])

    package init(elapsed: @escaping @Sendable () -> Duration) { self.elapsed = elapsed }

    package func admits(_ backend: BackendID) -> Bool {
        let now = elapsed()
        return states.withLock { $0[backend, default: BackendHealth()].admits(now: now) }
    }

    /// - Parameter error: nil after a success
    package func record(_ backend: BackendID, _ error: StoreError?) {
        let now = elapsed()
        states.withLock { states in
            guard let error else { return states[backend, default: BackendHealth()].succeeded() }
            if BackendHealth.blames(error.code) { states[backend, default: BackendHealth()].failed(now: now) }
        }
    }

    /// Records one more suspect copy; false if there were too many lately to believe any of them: a wrong bucket answers 404 to
    /// everything.
    package func believesSuspect(on backend: BackendID) -> Bool {
        let now = elapsed()
        return suspects.withLock { suspects in
            let recent = (suspects[backend] ?? []).filter { now - $0 < GatewayLimits.suspectsWindow }
            suspects[backend] = recent.suffix(GatewayLimits.suspectsMax - 1) + [now]
            return recent.count + 1 < GatewayLimits.suspectsMax
        }
    }

    /// Healthy backends first, suspects and ill ones last; the given order decides between equals.
    package func order(_ copies: [Copy]) -> [Copy] {
        let ranked = copies.map { copy in (copy, (copy.isSuspect ? 2 : 0) + (admits(copy.backend) ? 0 : 1)) }
        return [0, 1, 2, 3].flatMap { rank in ranked.filter { $0.1 == rank }.map(\.0) }
    }
}
