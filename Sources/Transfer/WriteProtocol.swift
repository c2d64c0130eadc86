package import Catalog
package import HTTP
package import S3

/// How many copies a write needs (DESIGN §6, "Number required").
package struct WriteRequirement: Sendable, Equatable {
    package var ack: Int
    package var minAck: Int
    package init(ack: Int, minAck: Int) {
        self.ack = ack
        self.minAck = minAck
    }
}

/// Why a write was given up; nothing of it is visible.
package enum WriteRefusal: Error, Sendable, Equatable {
    /// No backend, or too few, may take the object now.
    case insufficientBackends(admitted: Int, required: Int, refusals: [IntentRefusal])
    /// Too few uploads succeeded.
    case backendsFailed(succeeded: Int, required: Int, errors: [StoreError])
    case bodyFailed(BodyError)
    /// The lease ran out, or Postgres lost the intent.
    case fenceLost
    case catalog(CatalogError)
}

package enum WriteResult: Sendable, Equatable {
    case committed(committedAt: Int64, sequence: Int64, copies: Int)
    case preconditionFailed
    case noSuchKey
    case noSuchBucket
    case refused(WriteRefusal)
    /// The COMMIT's reply was lost and nobody could say in time what became of it; the lease reaper decides.
    case unknown(evidence: String)
}

/// The write protocol as a value: events in, effects out, no I/O, no clock. PUT drives it with a body, Complete with the
/// backends' own Complete.
package struct WriteProtocol: Sendable, Equatable {
    package enum Event: Sendable, Equatable {
        case intended(IntentOutcome)
        case intentFailed(CatalogError)
        case uploaded(UploadedCopy)
        /// - Parameter isBodyUntouched: nothing of the body was consumed by any target, so another may have it whole
        case uploadFailed(CopyID, StoreError, isBodyUntouched: Bool = false)
        case committed(CommitOutcome)
        case commitFailed(CatalogError)
        case resolved(WriteResolution)
        case resolveFailed(CatalogError)
        case gaveUp
    }

    package enum Effect: Sendable, Equatable {
        case intend([CopyCandidate], isAdditional: Bool)
        /// To all of these at once, each byte read once.
        case upload([CopyID])
        case commit(uploaded: [UploadedCopy], failed: [CopyID: Bool])
        case resolve
        case giveUp(late: [CopyID])
        case finish(WriteResult)
    }

    private enum Stage: Sendable, Equatable {
        case intending
        case uploading(waiting: Set<CopyID>)
        case committing(copies: Int)
        case resolving(attempts: Int, copies: Int)
        case givingUp(WriteRefusal)
        case finished
    }

    private let requirement: WriteRequirement
    private let resolveAttemptsMax: Int
    private var spares: [CopyCandidate]
    private var stage = Stage.intending
    private var admitted: [CopyID] = []
    private var refusals: [IntentRefusal] = []
    private var uploaded: [UploadedCopy] = []
    private var failed: [CopyID: StoreError] = [:]
    /// Failed before the body was touched, in this round of uploads.
    private var untouched: Set<CopyID> = []
    /// An intent admitted something, so that the version's row exists.
    private var hasVersion = false

    /// - Parameter candidates: best first; as many as `ack` are tried at once, the rest replace those that refuse, or all that
    ///   failed before the body was touched
    package init(candidates: [CopyCandidate], requirement: WriteRequirement, resolveAttemptsMax: Int) {
        spares = candidates
        self.requirement = requirement
        self.resolveAttemptsMax = resolveAttemptsMax
    }

    package mutating func start() -> [Effect] { intendMore() }

    private mutating func intendMore() -> [Effect] {
        let wanted = requirement.ack - admitted.count
        let chosen = Array(spares.prefix(max(0, wanted)))
        spares.removeFirst(chosen.count)
        if chosen.isEmpty { return beginUpload() }
        return [.intend(chosen, isAdditional: hasVersion)]
    }

    private mutating func beginUpload() -> [Effect] {
        guard !admitted.isEmpty, admitted.count >= min(requirement.ack, requirement.minAck) else {
            if !failed.isEmpty { return giveUp(tooFew) }
            let refusal = WriteRefusal.insufficientBackends(
                admitted: admitted.count, required: requirement.minAck, refusals: refusals)
            return hasVersion ? giveUp(refusal) : finish(.refused(refusal))
        }
        untouched = []
        stage = .uploading(waiting: Set(admitted))
        return [.upload(admitted)]
    }

    package mutating func handle(_ event: Event) -> [Effect] {
        switch (stage, event) {
        case (.intending, .intended(let outcome)):
            admitted += outcome.admitted
            hasVersion = hasVersion || !outcome.admitted.isEmpty
            refusals += outcome.refused.sorted { $0.key < $1.key }.map { $0.value }
            return intendMore()
        case (.intending, .intentFailed(let error)):
            // An intent whose reply was lost may have left rows: they are doomed now, or their lease runs out.
            return giveUp(.catalog(error))
        case (.uploading(let waiting), .uploaded(let copy)):
            guard waiting.contains(copy.id) else { return [] }
            uploaded.append(copy)
            return settled(waiting.subtracting([copy.id]))
        case (.uploading(let waiting), .uploadFailed(let id, let error, let isBodyUntouched)):
            guard waiting.contains(id) else { return [] }
            failed[id] = error
            if isBodyUntouched { untouched.insert(id) }
            return settled(waiting.subtracting([id]))
        case (.committing(let copies), .committed(let outcome)): return committed(outcome, copies)
        case (.committing(let copies), .commitFailed(let error)): return commitFailed(error, copies)
        case (.resolving(_, let copies), .resolved(.committed(let at, let sequence))):
            return finish(.committed(committedAt: at, sequence: sequence, copies: copies))
        case (.resolving, .resolved(.notCommitted)): return finish(.refused(.fenceLost))
        case (.resolving(let attempts, let copies), .resolveFailed(let error)):
            guard attempts < resolveAttemptsMax else { return finish(.unknown(evidence: "\(error)")) }
            stage = .resolving(attempts: attempts + 1, copies: copies)
            return [.resolve]
        case (.givingUp(let refusal), .gaveUp): return finish(.refused(refusal))
        // Repeated and late messages change nothing.
        case (.intending, _), (.uploading, _), (.committing, _), (.resolving, _), (.givingUp, _), (.finished, _):
            return []
        }
    }

    private mutating func settled(_ waiting: Set<CopyID>) -> [Effect] {
        stage = .uploading(waiting: waiting)
        guard waiting.isEmpty else { return [] }
        if let error = failed.values.compactMap(\.bodyError).first { return giveUp(.bodyFailed(error)) }
        if uploaded.isEmpty, untouched.count == admitted.count, !spares.isEmpty {
            // Nobody took a byte: the next backends may have the body whole.
            admitted = []
            stage = .intending
            return intendMore()
        }
        let missing = requirement.ack - uploaded.count
        // Fewer than `ack` only if none of the missing ones may have taken the bytes after all.
        let isDefinite = failed.values.allSatisfy { !$0.mayArriveLate }
        guard !uploaded.isEmpty, missing <= 0 || uploaded.count >= requirement.minAck && isDefinite else {
            return giveUp(tooFew)
        }
        stage = .committing(copies: uploaded.count)
        return [.commit(uploaded: uploaded.sorted { $0.id < $1.id }, failed: failed.mapValues(\.mayArriveLate))]
    }

    private var tooFew: WriteRefusal {
        .backendsFailed(
            succeeded: uploaded.count, required: requirement.ack,
            errors: failed.sorted { $0.key < $1.key }.map { $0.value })
    }

    private mutating func committed(_ outcome: CommitOutcome, _ copies: Int) -> [Effect] {
        switch outcome {
        case .committed(let at, let sequence): finish(.committed(committedAt: at, sequence: sequence, copies: copies))
        case .preconditionFailed: finish(.preconditionFailed)
        case .noSuchKey: finish(.noSuchKey)
        case .noSuchBucket: finish(.noSuchBucket)
        case .fenceLost: finish(.refused(.fenceLost))
        }
    }

    private mutating func commitFailed(_ error: CatalogError, _ copies: Int) -> [Effect] {
        switch error {
        case .unknownOutcome:
            stage = .resolving(attempts: 1, copies: copies)
            return [.resolve]
        case .unavailable, .readOnly, .timedOut, .cancelled, .internalError: return giveUp(.catalog(error))
        }
    }

    private mutating func giveUp(_ refusal: WriteRefusal) -> [Effect] {
        stage = .givingUp(refusal)
        // What was uploaded has arrived; only what failed without an answer may arrive late.
        return [.giveUp(late: failed.filter { $0.value.mayArriveLate }.map { $0.key }.sorted())]
    }

    private mutating func finish(_ result: WriteResult) -> [Effect] {
        stage = .finished
        return [.finish(result)]
    }
}
