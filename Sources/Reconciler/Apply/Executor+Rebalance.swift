import Catalog
import Spec
import Synchronization
import Telemetry
import Transfer

/// Moves copies from full backends to empty ones: a new copy first, then the old one is doomed as a surplus copy would be. What is
/// interrupted in between is a surplus copy, and trimmed.
extension Executor {
    func rebalance(_ pass: MovementPass, _ plan: Plan, _ outcome: inout PassOutcome) async throws(CatalogError) {
        let request = pass.observed.rebalance
        // While there are drains or repairs the plan has no utilisation, and a request waits.
        guard !pass.time.isOver, plan.rebalance.utilisation != nil, request.isRequested || !plan.rebalance.steps.isEmpty
        else { return }
        let token = context.identifiers.makeLeaseToken()
        guard try await ledgers.rebalance.beginRebalance(token: token, lease: limits.rebalanceLease) else { return }
        // Whoever had the lease before may have moved what was to move when this pass began.
        let now = pass.planner.rebalance(try await ledgers.fleet.snapshot().usage)
        var moved = Plan.Effect()
        var isHindered = false
        let failuresBefore = outcome.failures
        for step in now.steps where !pass.time.isOver && !isHindered {
            let done = try await carry(step, pass, token, &outcome)
            moved.add(done.moved.copies, done.moved.bytes)
            isHindered = done.isHindered
        }
        // What failed waits for a while; the pass that finds nothing else ends the request.
        let hasFailed = outcome.failures > failuresBefore
        let isFinished = request.isRequested && moved.copies == 0 && !isHindered && !hasFailed && !pass.time.isOver
        try await ledgers.rebalance.endRebalance(
            token: token, copies: moved.copies, bytes: moved.bytes.value, finishesRequest: isFinished)
        guard moved.copies > 0 || isFinished, let utilisation = now.utilisation else { return }
        let (low, high) = (utilisation.lowerBound, utilisation.upperBound)
        let message =
            isFinished
            ? "\(Grouped.number(request.copies)) copies (\(ByteCount(request.bytes))) have moved; backends are utilised \(low)% to \(high)%"
            : "\(Grouped.number(moved.copies)) copies (\(moved.bytes)) moved; before, backends were utilised \(low)% to \(high)%"
        outcome.events.append(
            EventRecord(Subject(.fleet, pass.desired.fleet.name), isWarning: false, .rebalanced, message))
    }

    /// Up to the step's bytes, while there is time.
    private func carry(
        _ step: RebalanceStep, _ pass: MovementPass, _ token: LeaseToken, _ outcome: inout PassOutcome
    ) async throws(CatalogError) -> (moved: Plan.Effect, isHindered: Bool) {
        var moved = Plan.Effect()
        while !pass.time.isOver, moved.bytes < step.bytes {
            let left = Shared(step.bytes.value - moved.bytes.value)
            let claimed = try await ledgers.moves.claim(
                .movable(from: step.from, to: step.to, sizeMax: left.current), limit: limits.claimBatch, token: token,
                lease: limits.workLease)
            let results = await working(claimed, token) { one in
                let size = one.placed.version.size
                let isWithin = left.change { left in
                    guard size <= left else { return false }
                    left -= size
                    return true
                }
                guard isWithin, !pass.time.isOver else { return (one, WorkResult.paused) }
                return (one, await self.carry(one, step, pass, token))
            }
            var effect = Plan.Effect()
            for (one, result) in results {
                if case .done(let copies, _) = result, copies > 0 { effect.add(1, ByteCount(one.placed.version.size)) }
                var end = WorkEnd.finished
                switch result {
                case .done(let copies, let doomed):
                    outcome.count(moved: copies, of: one.placed.version, doomed: doomed)
                case .failed(let evidence):
                    noteFailure(evidence, one.placed.version, &outcome)
                    // It stands back, so that it is not in the way of the others.
                    end = .failed(retryAfter: limits.workBackoff, evidence: evidence)
                case .ceilingReached, .blocked, .idle, .paused: break
                }
                try await ledgers.moves.release(one.placed.version.id, token: token, end)
            }
            moved.add(effect.copies, effect.bytes)
            // A copy more that cannot become one less is no rebalancing.
            let isHindered = results.contains { if case .ceilingReached = $0.1 { true } else { false } }
            if isHindered || effect.copies == 0 { return (moved, isHindered) }
        }
        return (moved, false)
    }

    private func carry(
        _ claimed: ClaimedVersion, _ step: RebalanceStep, _ pass: MovementPass, _ token: LeaseToken
    ) async -> WorkResult {
        let live = claimed.placed.copies.filter { $0.state == .live }
        guard let source = live.first(where: { $0.backend == step.from && !$0.isSuspect }),
            !claimed.placed.copies.contains(where: { $0.backend == step.to })
        else { return .done(moved: 0, doomed: 0) }
        let result = await mover.copy(
            claimed, from: ordered(live, pass.planner), to: step.to, token: token, readGrace: pass.safety.readGrace,
            pace: MovePace { _ in !pass.time.isCutShort })
        if let end = WorkResult(end: result, moved: 0) { return end }
        return await doom([source], of: claimed, pass, moved: 1)
    }
}
