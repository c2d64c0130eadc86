import Catalog
import S3
import Spec
import Telemetry
import Transfer

/// Repair and drain, one claimed version at a time: new copies first, then the old ones, never the other way round.
extension Executor {
    private enum WorkResult: Sendable {
        case done(moved: Int, doomed: Int)
        case failed(evidence: String)
        /// Nothing can be done for it now; the plan says why.
        case blocked
    }

    func work(
        _ scope: MoveScope, _ planner: FleetPlanner, _ desired: DesiredState, _ outcome: inout PassOutcome
    ) async throws(CatalogError) {
        for _ in 0..<limits.batchesMax {
            let token = context.identifiers.makeLeaseToken()
            let claimed = try await ledgers.moves.claim(
                scope, limit: limits.claimBatch, token: token, lease: limits.workLease)
            if claimed.isEmpty { return }
            let results = await BoundedGroup.map(claimed, width: limits.concurrency) { one in
                if case .surplus = scope { return (one, await self.trim(one, planner, desired)) }
                return (one, await self.process(one, planner, desired, token))
            }
            for (one, result) in results {
                let version = one.placed.version.id
                switch result {
                case .done(let moved, let doomed):
                    outcome.moved += moved
                    outcome.doomed += doomed
                    try await ledgers.moves.release(version, token: token, retryAfter: nil, evidence: nil)
                case .blocked:
                    try await ledgers.moves.release(
                        version, token: token, retryAfter: limits.workBackoff, evidence: "blocked")
                case .failed(let evidence):
                    outcome.failures += 1
                    logger.warning(
                        "cannot move a copy", [("version", .string(version.description)), ("error", .string(evidence))])
                    let backoff = min(limits.workBackoff * (1 << min(one.attempts, 10)), limits.workBackoffMax)
                    try await ledgers.moves.release(version, token: token, retryAfter: backoff, evidence: evidence)
                }
            }
            if claimed.count < limits.claimBatch { return }
        }
    }

    /// Surplus copies that have been so for the trim delay.
    func trim(
        _ observed: ObservedState, _ planner: FleetPlanner, _ desired: DesiredState, _ outcome: inout PassOutcome
    ) async throws(CatalogError) {
        let staying = planner.roles.filter { $0.value == .staying }.map { $0.key }.sorted()
        for bucket in observed.fleet.buckets {
            let factor = desired.replication(of: bucket.name).factor
            let hasSurplus = observed.groups.contains { group in
                group.bucket == bucket.id && group.holders.filter { staying.contains($0) }.count > factor
            }
            guard hasSurplus else { continue }
            try await work(.surplus(bucket: bucket.id, factor: factor, staying: staying), planner, desired, &outcome)
        }
    }

    private func trim(_ claimed: ClaimedVersion, _ planner: FleetPlanner, _ desired: DesiredState) async -> WorkResult {
        let live = claimed.placed.copies.filter { $0.state == .live && !$0.isSuspect }
        let factor = desired.replication(of: claimed.bucketName).factor
        let dooms = VersionPlanner.surplus(
            holders: live.map(\.backend), factor: factor, roles: planner.roles, standings: planner.standings)
        return await doom(live.filter { dooms.contains($0.backend) }, of: claimed, factor, planner, desired, moved: 0)
    }

    /// Decides on the copies as they are now, by the same function as the plan.
    private func process(
        _ claimed: ClaimedVersion, _ planner: FleetPlanner, _ desired: DesiredState, _ token: LeaseToken
    ) async -> WorkResult {
        let live = claimed.placed.copies.filter { $0.state == .live }
        let factor = desired.replication(of: claimed.bucketName).factor
        let decision = VersionPlanner.decide(
            holders: live.filter { !$0.isSuspect }.map(\.backend), suspects: live.filter(\.isSuspect).map(\.backend),
            factor: factor,
            size: ByteCount(claimed.placed.version.size), roles: planner.roles, standings: planner.standings,
            routing: desired.fleet.routing)
        let mover = CopyMover(moves: ledgers.moves, writes: ledgers.writes, context: context, report: suspecting)
        let sources = ordered(live, planner)
        var moved = 0
        var targets = decision.targets
        var progress: MoveProgress?
        if !targets.isEmpty {
            do throws(CatalogError) {
                progress = try await mover.resumable(claimed.placed.version, token: token)
            } catch {
                return .failed(evidence: "catalog: \(error)")
            }
            if let begun = progress?.candidate.backend, planner.roles[begun] == .staying {
                targets = [begun] + targets.filter { $0 != begun }.prefix(targets.count - 1)
            } else {
                progress = nil
            }
        }
        for target in targets {
            switch await mover.copy(
                claimed, from: sources, to: target, token: token, readGrace: desired.fleet.safety.readGrace,
                resuming: target == progress?.candidate.backend ? progress : nil)
            {
            case .live: moved += 1
            case .superseded: return .done(moved: moved, doomed: 0)
            case .refused(let refusal): return .failed(evidence: "target refused: \(refusal.rawValue)")
            case .sourceFailed(let errors):
                return .failed(evidence: "source: " + errors.map(\.evidence).joined(separator: "; "))
            case .targetFailed(let error): return .failed(evidence: "target: \(error.code.rawValue) \(error.evidence)")
            case .catalogFailed(let error): return .failed(evidence: "catalog: \(error)")
            }
        }
        // Of a backend that stays only the suspect: beside it there may be the good one that took its place.
        let doomed = live.filter { copy in
            decision.dooms.contains(copy.backend) && (planner.roles[copy.backend] == .leaving || copy.isSuspect)
        }
        let result = await doom(
            doomed, of: claimed, factor, planner, desired, moved: moved)
        if case .done(0, 0) = result, decision.blocked != nil { return .blocked }
        return result
    }

    /// Each in a transaction of its own, which counts the other copies under the version's lock.
    private func doom(
        _ copies: [Copy], of claimed: ClaimedVersion, _ factor: Int, _ planner: FleetPlanner, _ desired: DesiredState,
        moved: Int
    ) async -> WorkResult {
        let mover = CopyMover(moves: ledgers.moves, writes: ledgers.writes, context: context, report: suspecting)
        let staying = planner.roles.filter { $0.value == .staying }.map { $0.key }.sorted()
        var doomed = 0
        for copy in copies {
            let request = DoomRequest(
                copy: copy.id, version: claimed.placed.version.id, factor: factor, counted: staying,
                readGrace: desired.fleet.safety.readGrace)
            do throws(CatalogError) {
                switch try await mover.doom(request) {
                case .doomed: doomed += 1
                case .notLive, .halted: break
                case .kept(let others, let required):
                    return .failed(evidence: "kept: \(others) of \(required) other copies")
                }
            } catch {
                return .failed(evidence: "catalog: \(error)")
            }
        }
        return .done(moved: moved, doomed: doomed)
    }

    /// Staying backends are read first: the leaving one may be slow or ill. Where the month is used up is read last: a copy that
    /// is missing costs more than a bill.
    private func ordered(_ live: [Copy], _ planner: FleetPlanner) -> [Copy] {
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
