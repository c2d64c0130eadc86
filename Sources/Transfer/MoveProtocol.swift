package import Catalog
package import S3

/// What became of making one more copy of a version.
package enum MoveResult: Sendable, Equatable {
    case live(CopyID)
    /// Overwritten or deleted meanwhile, or the lease was lost.
    case superseded
    case refused(IntentRefusal)
    case sourceFailed([StoreError])
    case targetFailed(StoreError)
    case catalogFailed(CatalogError)
    /// A copy in parts stopped between two of them, to be gone on with.
    case paused
}

/// Why the bytes did not get from a source to the target.
package enum MoveFault: Sendable, Equatable {
    /// No source could be read to its end.
    case unreadable([StoreError])
    /// What was read does not match the version's checksum or size; the copies that the bytes came from.
    case damaged([Copy], StoreError)
    case target(StoreError)
}

/// Making one more copy of a version, for repair and drain alike (DESIGN §6): intent; copy with verification; commit. A value:
/// events in, effects out. What goes wrong after the intent ends in `giveUp`, or in the lease running out.
package struct MoveProtocol: Sendable, Equatable {
    package enum Event: Sendable, Equatable {
        case intended(CopyIntentOutcome)
        case intentFailed(CatalogError)
        /// Durable on the target, and every byte of it matched.
        case copied(UploadedCopy)
        case copyFailed(MoveFault)
        case committed(CopyCommitOutcome)
        case commitFailed(CatalogError)
        case gaveUp
    }

    package enum Effect: Sendable, Equatable {
        /// With a name that was never used, also when it is tried again.
        case intend
        /// From these, in this order.
        case copy(from: [Copy])
        case markSuspect(Copy)
        case commit(UploadedCopy)
        case giveUp(mayArriveLate: Bool)
        case finish(MoveResult)
    }

    private enum Stage: Sendable, Equatable {
        case intending
        case copying
        case committing(UploadedCopy, attempts: Int)
        case givingUp(MoveResult)
        case finished
    }

    private let commitAttemptsMax: Int
    private var sources: [Copy]
    private var stage = Stage.intending

    /// - Parameter sources: in the order in which they are to be tried
    package init(sources: [Copy], commitAttemptsMax: Int) {
        self.sources = sources
        self.commitAttemptsMax = commitAttemptsMax
    }

    package mutating func start() -> [Effect] { [.intend] }

    package mutating func handle(_ event: Event) -> [Effect] {
        switch (stage, event) {
        case (.intending, .intended(.admitted)):
            stage = .copying
            return [.copy(from: sources)]
        case (.intending, .intended(.notRetained)): return finish(.superseded)
        case (.intending, .intended(.refused(let refusal))): return finish(.refused(refusal))
        case (.intending, .intentFailed(let error)):
            // If only its reply was lost, there is a row to be doomed.
            return giveUp(.catalogFailed(error), mayArriveLate: false)
        case (.copying, .copied(let copy)):
            stage = .committing(copy, attempts: 1)
            return [.commit(copy)]
        case (.copying, .copyFailed(let fault)): return failed(fault)
        case (.committing(let copy, _), .committed(.live)): return finish(.live(copy.id))
        case (.committing, .committed(.superseded)): return finish(.superseded)
        case (.committing(let copy, let attempts), .commitFailed(let error)): return commitFailed(error, copy, attempts)
        case (.givingUp(let result), .gaveUp):
            if case .sourceFailed = result, !sources.isEmpty {
                stage = .intending
                return [.intend]
            }
            return finish(result)
        // Repeated and late messages change nothing.
        case (.intending, _), (.copying, _), (.committing, _), (.givingUp, _), (.finished, _): return []
        }
    }

    private mutating func failed(_ fault: MoveFault) -> [Effect] {
        switch fault {
        case .unreadable(let errors):
            sources = []
            return giveUp(.sourceFailed(errors), mayArriveLate: false)
        case .damaged(let copies, let error):
            // The bytes of several copies cannot be told apart: only a single one is accused.
            let accused = copies.count == 1 ? copies : []
            let others = sources.filter { source in !copies.contains { $0.id == source.id } }
            sources = others.count < sources.count ? others : []
            return accused.map { .markSuspect($0) } + giveUp(.sourceFailed([error]), mayArriveLate: error.mayArriveLate)
        case .target(let error): return giveUp(.targetFailed(error), mayArriveLate: error.mayArriveLate)
        }
    }

    /// A commit that may have happened is made again: it answers as the first did. After the last attempt the lease decides.
    private mutating func commitFailed(_ error: CatalogError, _ copy: UploadedCopy, _ attempts: Int) -> [Effect] {
        switch error {
        case .unknownOutcome, .unavailable, .timedOut:
            guard attempts < commitAttemptsMax else { return finish(.catalogFailed(error)) }
            stage = .committing(copy, attempts: attempts + 1)
            return [.commit(copy)]
        case .readOnly, .cancelled, .internalError: return finish(.catalogFailed(error))
        }
    }

    private mutating func giveUp(_ result: MoveResult, mayArriveLate: Bool) -> [Effect] {
        stage = .givingUp(result)
        return [.giveUp(mayArriveLate: mayArriveLate)]
    }

    private mutating func finish(_ result: MoveResult) -> [Effect] {
        stage = .finished
        return [.finish(result)]
    }
}
