import Catalog
import S3
import Transfer

/// One who asks: a request of a client, a worker of a reconciler. It knows only what it was told, and is gone when it crashes.
protocol SimulatedActor: Sendable {
    /// What it asks first.
    mutating func start() -> [SimulatedCall]
    /// What it asks next.
    mutating func handle(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> [SimulatedCall]
    /// The client's body breaks off; only for those that have one.
    var hasBody: Bool { get }
}

extension SimulatedActor { var hasBody: Bool { false } }

/// Limits that the simulated drivers work with.
enum SimulatedLimits {
    static let writeLease: Duration = .seconds(120)
    static let workLease: Duration = .seconds(60)
    static let readGrace: Duration = .seconds(600)
    static let horizon: Duration = .seconds(3600)
    static let attemptsMax = 4
    static let backoff = RetryBackoff(first: .seconds(2), max: .seconds(300))
    static let drainUploadGrace: Duration = .seconds(3600)
    static let uploadAge: Duration = .seconds(7200)
    static let inventoryInterval: Duration = .seconds(600)
    static let quarantine: Duration = .seconds(1200)
}

/// A PUT: drives `WriteProtocol`.
struct SimulatedWriter: SimulatedActor {
    let object: ObjectName
    let version: VersionID
    let token: UInt64
    let lease: LeaseToken
    let precondition: WritePrecondition
    let candidates: [CopyCandidate]
    /// Takes away a protection: a lost reply to COMMIT is taken for a failure.
    let guessesLostCommits: Bool
    private var machine: WriteProtocol
    private(set) var result: WriteResult?
    private(set) var hasBody = false

    init(
        object: ObjectName, version: VersionID, token: UInt64, lease: LeaseToken, precondition: WritePrecondition,
        candidates: [CopyCandidate], requirement: WriteRequirement, guessesLostCommits: Bool
    ) {
        self.object = object
        self.version = version
        self.token = token
        self.lease = lease
        self.precondition = precondition
        self.candidates = candidates
        self.guessesLostCommits = guessesLostCommits
        machine = WriteProtocol(
            candidates: candidates, requirement: requirement, resolveAttemptsMax: SimulatedLimits.attemptsMax)
    }

    mutating func start() -> [SimulatedCall] { run(machine.start()) }

    private mutating func run(_ effects: [WriteProtocol.Effect]) -> [SimulatedCall] {
        effects.flatMap { effect -> [SimulatedCall] in
            hasBody = false
            switch effect {
            case .intend(let chosen, let isAdditional):
                return [
                    .catalog(
                        .intend(
                            WriteIntent(
                                object: object, version: version, size: simulatedSize, headers: ObjectHeaders(),
                                candidates: chosen, token: lease,
                                lease: SimulatedLimits.writeLease, isAdditional: isAdditional)))
                ]
            case .upload(let ids):
                hasBody = true
                return candidates.filter { ids.contains($0.id) }.map {
                    .backend($0.backend, .put(name: $0.physicalKey, token: token))
                }
            case .commit(let uploaded, let failed):
                return [
                    .catalog(
                        .commit(
                            WriteCommit(
                                object: object, version: version, token: lease, uploaded: uploaded, failed: failed,
                                digests: ContentDigests(etag: String(token)), precondition: precondition,
                                readGrace: SimulatedLimits.readGrace)))
                ]
            case .resolve: return [.catalog(.resolve(version))]
            case .giveUp(let late): return [.catalog(.giveUp(version, lease, late: late))]
            case .finish(let result):
                self.result = result
                return []
            }
        }
    }

    mutating func handle(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> [SimulatedCall] {
        event(call, answer).map { run(machine.handle($0)) } ?? []
    }

    private func event(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> WriteProtocol.Event? {
        switch (call, answer) {
        case (.catalog(.intend), .catalog(.success(.intent(let outcome)))): return .intended(outcome)
        case (.catalog(.intend), .catalog(.failure(let error))): return .intentFailed(error)
        case (.catalog(.commit), .catalog(.success(.commit(let outcome)))): return .committed(outcome)
        case (.catalog(.commit), .catalog(.failure(let error))):
            return .commitFailed(guessesLostCommits ? .unavailable(evidence: "guessed") : error)
        case (.catalog(.resolve), .catalog(.success(.resolution(let resolution)))): return .resolved(resolution)
        case (.catalog(.resolve), .catalog(.failure(let error))): return .resolveFailed(error)
        case (.catalog(.giveUp), _): return .gaveUp
        case (.backend(_, .put(let name, _)), .backend(let result)):
            guard let id = candidates.first(where: { $0.physicalKey == name })?.id ?? nil else { return nil }
            switch result {
            case .success: return .uploaded(UploadedCopy(id: id))
            case .failure(let error): return .uploadFailed(id, error)
            }
        default: return nil
        }
    }
}

/// A single transaction: a client's DELETE, a sweep, an operator's edit.
struct SimulatedTransaction: SimulatedActor {
    let call: CatalogCall
    private(set) var answer: Result<CatalogAnswer, CatalogError>?
    init(_ call: CatalogCall) { self.call = call }
    mutating func start() -> [SimulatedCall] { [.catalog(call)] }
    mutating func handle(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> [SimulatedCall] {
        if case .catalog(let result) = answer { self.answer = result }
        return []
    }
}

/// A GET: one placement, its copies in order; when all are absent, the placement again.
struct SimulatedReader: SimulatedActor {
    enum Finding: Equatable {
        case nothing
        case read(VersionID, token: UInt64)
        /// Placement and backends disagreed to the end.
        case unreadable(VersionID)
    }
    let object: ObjectName
    private(set) var finding: Finding?
    private var placed: PlacedVersion?
    private var rest: [Copy] = []
    private var roundsLeft = 5
    private var isAbsent = true

    init(_ object: ObjectName) { self.object = object }

    mutating func start() -> [SimulatedCall] { [.catalog(.current(object))] }

    mutating func handle(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> [SimulatedCall] {
        switch answer {
        case .catalog(.success(.placed(let found))):
            guard let found else {
                finding = .nothing
                return []
            }
            placed = found
            isAbsent = true
            rest = found.copies.filter { !$0.isSuspect } + found.copies.filter(\.isSuspect)
            return next()
        case .backend(.success(.content(let token))):
            if let placed { finding = .read(placed.version.id, token: token) }
            return []
        case .backend(.failure(let error)):
            if error.code != .noSuchKey { isAbsent = false }
            let suspect: [SimulatedCall] =
                error.code == .noSuchKey ? current.map { [.catalog(.markSuspect($0.id))] } ?? [] : []
            return suspect + next()
        case .catalog, .backend: return []
        }
    }

    private var current: Copy?

    private mutating func next() -> [SimulatedCall] {
        if !rest.isEmpty {
            let copy = rest.removeFirst()
            current = copy
            return [.backend(copy.backend, .get(name: copy.physicalKey))]
        }
        roundsLeft -= 1
        guard roundsLeft > 0, isAbsent else {
            if isAbsent, let placed { finding = .unreadable(placed.version.id) }
            return []
        }
        return start()
    }
}

/// Deletes what is doomed on one backend: drives `DeleteProtocol`.
struct SimulatedDeleter: SimulatedActor {
    let backend: BackendID
    let token: LeaseToken
    let horizon: Duration
    /// Takes away a protection: a Complete on its way may bring the name back.
    let leavesUploads: Bool
    private var queue: [DoomedCopy] = []
    private var machine: DeleteProtocol?

    init(backend: BackendID, token: LeaseToken, horizon: Duration, leavesUploads: Bool) {
        self.backend = backend
        self.token = token
        self.horizon = horizon
        self.leavesUploads = leavesUploads
    }

    mutating func start() -> [SimulatedCall] { [.catalog(.claimDoomed(backend, token))] }

    mutating func handle(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> [SimulatedCall] {
        switch (call, answer) {
        case (_, .catalog(.success(.doomed(let claimed)))):
            queue = claimed
            return next()
        case (.catalog(.settle), .catalog): return next()
        case (.backend(_, .openUploads), .backend(.success(.uploads(let found)))):
            return feed(.uploads(leavesUploads ? [] : found))
        case (.backend(_, .abortUpload), .backend(.success)): return feed(.aborted)
        case (.backend(_, .delete), .backend(.success)): return feed(.deleted)
        case (.backend(_, .get), .backend(.success)): return feed(.looked(isThere: true))
        case (.backend(_, let call), .backend(.failure(let error))):
            if case .get = call, error.code == .noSuchKey { return feed(.looked(isThere: false)) }
            return feed(.failed(error))
        default: return []
        }
    }

    private mutating func next() -> [SimulatedCall] {
        guard let doomed = queue.first else { return [] }
        var machine = DeleteProtocol(doomed, horizon: horizon, backoff: SimulatedLimits.backoff, jitter: 0.5)
        let effects = machine.start()
        self.machine = machine
        return run(effects, doomed)
    }

    private mutating func feed(_ event: DeleteProtocol.Event) -> [SimulatedCall] {
        guard let doomed = queue.first, let effects = machine?.handle(event) else { return [] }
        return run(effects, doomed)
    }

    private mutating func run(_ effects: [DeleteProtocol.Effect], _ doomed: DoomedCopy) -> [SimulatedCall] {
        effects.flatMap { effect -> [SimulatedCall] in
            switch effect {
            case .listUploads: return [.backend(backend, .openUploads(name: doomed.copy.physicalKey))]
            case .abort(let upload):
                return [.backend(backend, .abortUpload(name: doomed.copy.physicalKey, upload: upload))]
            case .delete: return [.backend(backend, .delete(name: doomed.copy.physicalKey))]
            case .look: return [.backend(backend, .get(name: doomed.copy.physicalKey))]
            case .finish(let result):
                queue.removeFirst()
                return [.catalog(.settle(doomed.copy.id, token, result))]
            }
        }
    }
}
