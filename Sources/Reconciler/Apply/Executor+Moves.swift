import Catalog
import S3
import Spec
import Telemetry
import Transfer

/// Repair and drain, one claimed version at a time: new copies first, then the old ones, never the other way round.
extension Executor {
    enum WorkResult: Sendable {
        case done(moved: Int, doomed: Int)
        case failed(evidence: String)
        /// Nothing can be done for it now; the plan says why.
        case blocked
        /// Nothing was found to do, though it was claimed as work: a suspect copy where none may be dropped, or a halt.
        case idle
        /// There is no time for it, or its limit wants it later.
        case paused
        /// Its copies are made, and nothing more may be dropped within the hour.
        case ceilingReached(moved: Int)

        /// nil if the copy is live.
        init?(end result: MoveResult, moved: Int) {
            switch result {
            case .live: return nil
            case .superseded: self = .done(moved: moved, doomed: 0)
            case .paused: self = .paused
            case .refused(let refusal): self = .failed(evidence: "target refused: \(refusal.rawValue)")
            case .sourceFailed(let errors):
                self = .failed(evidence: "source: " + errors.map(\.evidence).joined(separator: "; "))
            case .targetFailed(let error):
                self = .failed(evidence: "target: \(error.code.rawValue) \(error.evidence)")
            case .catalogFailed(let error): self = .failed(evidence: "catalog: \(error)")
            }
        }

        /// More of the same would end in the same way.
        var endsScope: Bool {
            switch self {
            case .paused, .ceilingReached: true
            case .done, .failed, .blocked, .idle: false
            }
        }
    }

    /// What has too few copies comes first.
    func repair(_ pass: MovementPass, _ outcome: inout PassOutcome) async throws(CatalogError) {
        // Copies on leaving backends count, too: whatever is enough with them is the drain's work, at the drain's pace.
        let counted = pass.planner.roles.filter { $0.value != .uncounted }.map { $0.key }.sorted()
        for bucket in pass.observed.fleet.buckets {
            let factor = pass.factor(of: bucket.name)
            let isWanted = pass.observed.groups.contains { group in
                // A suspect copy that was replaced is still to be doomed.
                group.bucket == bucket.id
                    && (pass.observed.mayDestroy && !group.suspects.isEmpty
                        || group.holders.count { counted.contains($0) } < factor
                            && pass.staying.contains { !group.holders.contains($0) })
            }
            guard isWanted else { continue }
            try await work(.short(bucket: bucket.id, factor: factor, staying: counted), pass, &outcome)
        }
    }

    func drain(_ pass: MovementPass, _ outcome: inout PassOutcome) async throws(CatalogError) {
        let leaving = pass.observed.mayDestroy ? pass.observed.fleet.backends : []
        for record in leaving where record.phase == .draining && pass.planner.roles[record.id] == .leaving {
            let policy = pass.desired.backend(record.name)?.drain ?? DrainPolicy()
            guard pass.isOpen(policy.window) else { continue }
            let lane = DrainLane(backend: record.id, policy: policy, pass: pass, ledger: ledgers.pace)
            let began = pass.time.now
            let moved = try await work(.leaving(record.id), pass, lane: lane, &outcome)
            // With a limit it would measure the limit.
            guard policy.bandwidth == nil, moved.copies > 0 else { continue }
            let rate = MoveRate(copies: moved.copies, bytes: moved.bytes.value, busy: pass.time.now - began)
            try await ledgers.pace.note(rate, leaving: record.id)
        }
    }

    /// Surplus copies that have been so for the trim delay.
    func trim(_ pass: MovementPass, _ outcome: inout PassOutcome) async throws(CatalogError) {
        let staying = pass.staying
        for bucket in pass.observed.fleet.buckets {
            let factor = pass.factor(of: bucket.name)
            let hasSurplus = pass.observed.groups.contains { group in
                group.bucket == bucket.id && group.holders.filter { staying.contains($0) }.count > factor
            }
            guard hasSurplus else { continue }
            try await work(.surplus(bucket: bucket.id, factor: factor, staying: staying), pass, &outcome)
        }
    }

    /// Batch after batch while there is time; a few objects of each scope in any case, so that none waits for another for ever.
    @discardableResult
    private func work(
        _ scope: MoveScope, _ pass: MovementPass, lane: DrainLane? = nil, _ outcome: inout PassOutcome
    ) async throws(CatalogError) -> Plan.Effect {
        var moved = Plan.Effect()
        repeat {
            let token = context.identifiers.makeLeaseToken()
            let limit = pass.time.isOver ? limits.concurrency : limits.claimBatch
            let claimed = try await ledgers.moves.claim(scope, limit: limit, token: token, lease: limits.workLease)
            if claimed.isEmpty { return moved }
            let first = Set(claimed.prefix(limits.concurrency).map(\.placed.version.id))
            let results = await working(claimed, token) { one in
                let isFirst = first.contains(one.placed.version.id)
                if pass.time.isOver, pass.time.isCutShort || !isFirst { return (one, WorkResult.paused) }
                if case .surplus = scope { return (one, await self.trim(one, pass)) }
                return (one, await self.process(one, pass, token, lane))
            }
            for (one, result) in results {
                let version = one.placed.version
                if case .done(let copies, _) = result {
                    moved.add(Int64(copies), ByteCount(Int64(copies) * version.size))
                }
                try await settle(one, result, token, &outcome)
            }
            if results.contains(where: { $0.1.endsScope }) { return moved }
            if claimed.count < limit { return moved }
        } while !pass.time.isOver
        outcome.isUnfinished = true
        return moved
    }

    /// Works on all that was claimed, whose claims are renewed meanwhile.
    func working(
        _ claimed: [ClaimedVersion], _ token: LeaseToken,
        _ body: @escaping @Sendable (ClaimedVersion) async -> (ClaimedVersion, WorkResult)
    ) async -> [(ClaimedVersion, WorkResult)] {
        let (moves, lease, width) = (ledgers.moves, limits.workLease, limits.concurrency)
        return await LeaseKeeper.keeping(
            lease, context,
            { () async throws(CatalogError) in try await moves.renewClaims(token, lease: lease) }
        ) {
            await BoundedGroup.map(claimed, width: width, body)
        }
    }

    func settle(
        _ claimed: ClaimedVersion, _ result: WorkResult, _ token: LeaseToken, _ outcome: inout PassOutcome
    ) async throws(CatalogError) {
        let version = claimed.placed.version
        var end = WorkEnd.finished
        switch result {
        case .done(let moved, let doomed): outcome.count(moved: moved, of: version, doomed: doomed)
        case .ceilingReached(let moved): outcome.count(moved: moved, of: version)
        case .paused: outcome.isUnfinished = true
        case .blocked: end = .waiting(limits.workPause, because: "blocked")
        case .idle: end = .waiting(limits.workPause, because: "nothing to do")
        case .failed(let evidence):
            noteFailure(evidence, version, &outcome)
            let pause = min(limits.workBackoff * (1 << min(claimed.attempts, 10)), limits.workBackoffMax)
            end = .failed(retryAfter: pause, evidence: evidence)
        }
        try await ledgers.moves.release(version.id, token: token, end)
    }

    func noteFailure(_ evidence: String, _ version: Version, _ outcome: inout PassOutcome) {
        outcome.failures += 1
        logger.warning(
            "cannot move a copy", [("version", .string(version.id.description)), ("error", .string(evidence))])
    }

    private func trim(_ claimed: ClaimedVersion, _ pass: MovementPass) async -> WorkResult {
        let live = claimed.placed.copies.filter { $0.state == .live && !$0.isSuspect }
        let dooms = VersionPlanner.surplus(
            holders: live.map(\.backend), factor: pass.factor(of: claimed.bucketName), roles: pass.planner.roles,
            standings: pass.standings)
        pass.note(-claimed.placed.version.size, on: dooms)
        return await doom(live.filter { dooms.contains($0.backend) }, of: claimed, pass, moved: 0)
    }

    /// Decides on the copies as they are now, by the same function as the plan.
    private func process(
        _ claimed: ClaimedVersion, _ pass: MovementPass, _ token: LeaseToken, _ lane: DrainLane?
    ) async -> WorkResult {
        let live = claimed.placed.copies.filter { $0.state == .live }
        let version = claimed.placed.version
        let roles = pass.planner.roles
        let decision = VersionPlanner.decide(
            holders: live.filter { !$0.isSuspect }.map(\.backend), suspects: live.filter(\.isSuspect).map(\.backend),
            factor: pass.factor(of: claimed.bucketName), size: ByteCount(version.size), roles: roles,
            standings: pass.standings, routing: pass.desired.fleet.routing)
        pass.note(version.size, on: decision.targets)
        let mover = mover
        let sources = ordered(live, pass.planner)
        var moved = 0
        var targets = decision.targets
        var progress: MoveProgress?
        if !targets.isEmpty {
            do throws(CatalogError) {
                progress = try await mover.resumable(version, token: token)
            } catch {
                return .failed(evidence: "catalog: \(error)")
            }
            if let begun = progress?.candidate.backend, roles[begun] == .staying {
                targets = [begun] + targets.filter { $0 != begun }.prefix(targets.count - 1)
            } else {
                progress = nil
            }
        }
        for target in targets {
            // The parts of a large one are asked for as they come.
            let isLarge = version.size > context.limits.movePartSize
            if let lane, !isLarge, !(await lane.mayBegin(version.size)) { return .paused }
            let result = await mover.copy(
                claimed, from: sources, to: target, token: token, readGrace: pass.safety.readGrace,
                resuming: target == progress?.candidate.backend ? progress : nil,
                pace: lane?.pace ?? MovePace { _ in !pass.time.isCutShort && !pass.isLong })
            if let end = WorkResult(end: result, moved: moved) { return end }
            moved += 1
        }
        // Of a backend that stays only the suspect: beside it there may be the good one that took its place.
        let doomed = live.filter { copy in
            decision.dooms.contains(copy.backend) && (roles[copy.backend] == .leaving || copy.isSuspect)
        }
        let result = await doom(doomed, of: claimed, pass, moved: moved)
        if case .done(0, 0) = result { return decision.blocked == nil && lane == nil ? .idle : .blocked }
        return result
    }

    /// Each in a transaction of its own, which counts the other copies under the version's lock.
    func doom(
        _ copies: [Copy], of claimed: ClaimedVersion, _ pass: MovementPass, moved: Int
    ) async -> WorkResult {
        let counted = copies.isEmpty ? [] : await confirmed(pass, of: claimed)
        var doomed = 0
        for copy in copies {
            let request = DoomRequest(
                copy: copy.id, version: claimed.placed.version.id, factor: pass.factor(of: claimed.bucketName),
                counted: counted, readGrace: pass.safety.readGrace, hourlyMax: pass.safety.deletionsPerHourMax)
            do throws(CatalogError) {
                switch try await mover.doom(request) {
                case .doomed: doomed += 1
                case .notLive, .halted: break
                case .ceilingReached: return .ceilingReached(moved: moved)
                case .kept(let others, let required):
                    return .failed(evidence: "kept: \(others) of \(required) other copies")
                }
            } catch {
                return .failed(evidence: "catalog: \(error)")
            }
        }
        return .done(moved: moved, doomed: doomed)
    }

    /// Backends that stay; after a long copy only those that are there still.
    private func confirmed(_ pass: MovementPass, of claimed: ClaimedVersion) async -> [BackendID] {
        guard pass.isOld else { return pass.staying }
        var found: [BackendID] = []
        for id in pass.staying {
            guard let record = pass.observed.fleet.backend(id), let store = context.stores[id] else { continue }
            do throws(StoreError) {
                let finding = try await IdentityMarker.read(store, keyPrefix: record.spec.keyPrefix, uid: record.uid)
                if finding == .match { found.append(id) }
            } catch {
                logger.warning(
                    "a backend that was there is not: its copies do not count",
                    [("backend", .string(record.name)), ("error", .string(error.evidence))])
            }
        }
        return found
    }

    var mover: CopyMover {
        CopyMover(moves: ledgers.moves, writes: ledgers.writes, context: context, report: suspecting)
    }

    /// Staying backends are read first: the leaving one may be slow or ill. Where the month is used up is read last: a copy that
    /// is missing costs more than a bill.
    func ordered(_ live: [Copy], _ planner: FleetPlanner) -> [Copy] {
        func rank(_ copy: Copy) -> Int {
            switch planner.roles[copy.backend] ?? .uncounted {
            case .staying: copy.isSuspect ? 3 : 0
            case .leaving, .waiting: copy.isSuspect ? 3 : 1
            case .away, .uncounted: copy.isSuspect ? 3 : 2
            }
        }
        let spared = Set(planner.standings.filter { $0.limits.forbidReads(after: $0.monthly) }.map(\.id))
        func cost(_ copy: Copy) -> Int { rank(copy) + (spared.contains(copy.backend) ? 10 : 0) }
        return live.sorted { (cost($0), $0.backend) < (cost($1), $1.backend) }
    }

    /// However many they are, unlike in the gateway: what was not found may not be counted when another copy is dropped next, and the
    /// marker has just shown that it is the right backend.
    private var suspecting: @Sendable (ReadFinding) async -> Void {
        let objects = ledgers.objects
        let logger = logger
        return { finding in
            guard case .suspect(let copy) = finding else { return }
            logger.warning(
                "a live copy is absent or damaged",
                [("copy", .string(copy.id.description)), ("backend", .int(Int64(copy.backend.raw)))])
            // If this fails the copy is found again by the next read.
            do throws(CatalogError) { _ = try await objects.markSuspect(copy.id) } catch { return }
        }
    }
}
