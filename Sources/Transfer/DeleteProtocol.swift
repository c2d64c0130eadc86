package import Catalog
package import S3

/// Deleting the bytes of one doomed copy, as a value (DESIGN §6, Physical delete).
///
/// What an interrupted multipart upload left goes first: a Complete on its way would otherwise bring the name back. Where a write of
/// the name may still arrive, absence is looked at, and once more behind the horizon, before the row may be forgotten.
package struct DeleteProtocol: Sendable, Equatable {
    package enum Event: Sendable, Equatable {
        case uploads([String])
        case aborted
        /// Also when there was nothing to delete: drivers report absence as success, and only for NoSuchKey.
        case deleted
        case looked(isThere: Bool)
        case failed(StoreError)
    }

    package enum Effect: Sendable, Equatable {
        case listUploads
        case abort(upload: String)
        case delete
        case look
        case finish(DeletionResult)
    }

    private enum Stage: Sendable, Equatable {
        case listing
        case aborting(rest: [String])
        case deleting
        case looking
        case finished
    }

    private let doomed: DoomedCopy
    private let horizon: Duration
    private let backoff: RetryBackoff
    /// In 0..<1.
    private let jitter: Double
    private var stage = Stage.listing

    package init(_ doomed: DoomedCopy, horizon: Duration, backoff: RetryBackoff, jitter: Double) {
        self.doomed = doomed
        self.horizon = horizon
        self.backoff = backoff
        self.jitter = jitter
    }

    package mutating func start() -> [Effect] { [.listUploads] }

    package mutating func handle(_ event: Event) -> [Effect] {
        switch (stage, event) {
        case (.listing, .uploads(let found)): return abortNext(found)
        case (.aborting(let rest), .aborted): return abortNext(rest)
        case (.deleting, .deleted):
            guard doomed.mayArriveLate else { return finish(.gone) }
            stage = .looking
            return [.look]
        case (.looking, .looked(let isThere)):
            if isThere { return fail("\(doomed.copy.physicalKey) is there after its deletion") }
            return finish(doomed.isSecondLook || horizon <= .zero ? .gone : .lookAgain(after: horizon))
        case (.finished, _): return []
        case (_, .failed(let error)): return fail("\(error.code.rawValue): \(error.evidence)")
        // Repeated and late messages change nothing.
        case (.listing, _), (.aborting, _), (.deleting, _), (.looking, _): return []
        }
    }

    private mutating func abortNext(_ uploads: [String]) -> [Effect] {
        guard let first = uploads.first else {
            stage = .deleting
            return [.delete]
        }
        stage = .aborting(rest: Array(uploads.dropFirst()))
        return [.abort(upload: first)]
    }

    private mutating func fail(_ evidence: String) -> [Effect] {
        finish(.failed(retryAfter: backoff.pause(after: doomed.attempts, jitter: jitter), evidence: evidence))
    }

    private mutating func finish(_ result: DeletionResult) -> [Effect] {
        stage = .finished
        return [.finish(result)]
    }
}

/// Doubling pauses with a cap. Half of each is fixed and half is random, so that many that failed together do not return together.
package struct RetryBackoff: Sendable, Equatable {
    package var first: Duration
    package var max: Duration
    package init(first: Duration, max: Duration) {
        self.first = first
        self.max = max
    }

    /// - Parameter jitter: in 0..<1
    package func pause(after failures: Int, jitter: Double) -> Duration {
        let whole = Swift.min(first * (1 << Swift.min(Swift.max(failures, 0), 20)), max)
        return whole / 2 + whole / 2 * jitter
    }
}
