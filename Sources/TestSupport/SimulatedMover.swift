import Catalog
import S3
import Transfer

/// A worker that repairs, drains or trims one claimed version: drives `MoveProtocol`, then dooms what may go. New copies first, then
/// the old ones.
struct SimulatedMover: SimulatedActor {
    let scope: MoveScope
    let token: LeaseToken
    let factor: Int
    /// Takes away a protection: bytes are passed on as they come.
    let isTrusting: Bool
    /// A fresh candidate on a backend.
    let candidate: @Sendable (BackendID, ObjectName, VersionID) -> CopyCandidate

    private var claimed: ClaimedVersion?
    private var active: [BackendID] = []
    private var machine: MoveProtocol?
    private var target: CopyCandidate?
    private var sources: [Copy] = []
    private var source: Copy?
    private var sourceErrors: [StoreError] = []
    private var dooms: [DoomRequest] = []
    private var isFailed = false

    init(
        scope: MoveScope, token: LeaseToken, factor: Int, isTrusting: Bool,
        candidate: @escaping @Sendable (BackendID, ObjectName, VersionID) -> CopyCandidate
    ) {
        self.scope = scope
        self.token = token
        self.factor = factor
        self.isTrusting = isTrusting
        self.candidate = candidate
    }

    mutating func start() -> [SimulatedCall] { [.catalog(.claim(scope, token))] }

    mutating func handle(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> [SimulatedCall] {
        switch (call, answer) {
        case (_, .catalog(.success(.claimed(let found, let active)))):
            guard let one = found.first else { return [] }
            claimed = one
            self.active = active
            return plan(one.placed)
        case (.catalog(.intendCopy), .catalog(let result)):
            switch result {
            case .success(.copyIntent(let outcome)): return feed(.intended(outcome))
            case .success: return []
            case .failure(let error): return feed(.intentFailed(error))
            }
        case (.catalog(.commitCopy), .catalog(let result)):
            switch result {
            case .success(.copyCommit(let outcome)): return feed(.committed(outcome))
            case .success: return []
            case .failure(let error): return feed(.commitFailed(error))
            }
        case (.catalog(.giveUp), _): return feed(.gaveUp)
        case (.catalog(.doom), .catalog(let result)):
            if case .success(.doom(.kept)) = result { isFailed = true }
            if case .failure = result { isFailed = true }
            return doomNext()
        case (.backend(_, .get), .backend(let result)): return read(result)
        case (.backend(_, .put), .backend(let result)):
            switch result {
            case .success: return target.map { feed(.copied(UploadedCopy(id: $0.id))) } ?? []
            case .failure(let error): return feed(.copyFailed(.target(error)))
            }
        default: return []
        }
    }

    /// As the reconciler's planner decides, in the small.
    private mutating func plan(_ placed: PlacedVersion) -> [SimulatedCall] {
        let live = placed.copies.filter { $0.state == .live }
        let good = live.filter { !$0.isSuspect && active.contains($0.backend) }
        let holders = Set(placed.copies.filter { !$0.isSuspect }.map(\.backend))
        if case .surplus = scope {
            if let surplus = good.last { prepareDooms([surplus], placed.version.id) }
            return doomNext()
        }
        let leaving = live.filter { !active.contains($0.backend) }
        prepareDooms(live.filter(\.isSuspect) + leaving.filter { !$0.isSuspect }, placed.version.id)
        guard good.count < factor, let backend = active.first(where: { !holders.contains($0) }) else {
            return doomNext()
        }
        target = candidate(backend, placed.version.object, placed.version.id)
        sources = live.filter { !$0.isSuspect } + live.filter(\.isSuspect)
        var machine = MoveProtocol(sources: sources, commitAttemptsMax: SimulatedLimits.attemptsMax)
        let effects = machine.start()
        self.machine = machine
        return run(effects)
    }

    private mutating func prepareDooms(_ copies: [Copy], _ version: VersionID) {
        dooms = copies.map { copy in
            DoomRequest(
                copy: copy.id, version: version, factor: factor, counted: active, readGrace: SimulatedLimits.readGrace)
        }
    }

    private mutating func doomNext() -> [SimulatedCall] {
        if !dooms.isEmpty { return [.catalog(.doom(dooms.removeFirst()))] }
        return claimed.map { [.catalog(.release($0.placed.version.id, token, isFailed: isFailed))] } ?? []
    }

    private mutating func feed(_ event: MoveProtocol.Event) -> [SimulatedCall] {
        guard let effects = machine?.handle(event) else { return [] }
        return run(effects)
    }

    private mutating func run(_ effects: [MoveProtocol.Effect]) -> [SimulatedCall] {
        guard let version = claimed?.placed.version else { return [] }
        return effects.flatMap { effect -> [SimulatedCall] in
            switch effect {
            case .intend:
                // A name is used once, also by one who tries again.
                guard let before = target else { return [] }
                let fresh = candidate(before.backend, version.object, version.id)
                target = fresh
                return [.catalog(.intendCopy(fresh, version.id, token))]
            case .copy(let from):
                sources = from
                sourceErrors = []
                return readNext()
            case .markSuspect(let copy): return [.catalog(.markSuspect(copy.id))]
            case .commit(let uploaded): return [.catalog(.commitCopy(uploaded, version.id, token))]
            case .giveUp(let mayArriveLate):
                return [.catalog(.giveUp(version.id, token, late: mayArriveLate ? target.map { [$0.id] } ?? [] : []))]
            case .finish(let result):
                if case .live = result { return doomNext() }
                isFailed = true
                dooms = []
                return doomNext()
            }
        }
    }

    private mutating func readNext() -> [SimulatedCall] {
        guard !sources.isEmpty else { return feed(.copyFailed(.unreadable(sourceErrors))) }
        let copy = sources.removeFirst()
        source = copy
        return [.backend(copy.backend, .get(name: copy.physicalKey))]
    }

    private mutating func read(_ result: Result<BackendAnswer, StoreError>) -> [SimulatedCall] {
        guard let source, let version = claimed?.placed.version, let target else { return [] }
        switch result {
        case .success(.content(let token)):
            guard isTrusting || String(token) == version.digests.etag else {
                return feed(
                    .copyFailed(.damaged([source], StoreError(.corrupt, mayArriveLate: false, evidence: "mismatch"))))
            }
            return [.backend(target.backend, .put(name: target.physicalKey, token: token))]
        case .success: return []
        case .failure(let error):
            sourceErrors.append(error)
            let suspect: [SimulatedCall] = error.code == .noSuchKey ? [.catalog(.markSuspect(source.id))] : []
            return suspect + readNext()
        }
    }
}
