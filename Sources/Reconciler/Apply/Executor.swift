package import Catalog
import S3
package import Spec
package import Telemetry
package import Transfer

/// The stores that a pass works with.
package struct ReconcilerLedgers: Sendable {
    package var fleet: any FleetLedger
    package var moves: any MoveLedger
    package var writes: any WriteLedger
    package var deletions: any DeletionLedger
    package var objects: any ObjectIndex
    package var status: any StatusLedger
    package var inventory: any InventoryLedger
    package var safeguard: any SafeguardLedger
    package var scrubs: any ScrubLedger
    package var pace: any PaceLedger
    package var rebalance: any RebalanceLedger
    package init(
        fleet: any FleetLedger, moves: any MoveLedger, writes: any WriteLedger, deletions: any DeletionLedger,
        objects: any ObjectIndex, status: any StatusLedger, inventory: any InventoryLedger,
        safeguard: any SafeguardLedger, scrubs: any ScrubLedger, pace: any PaceLedger,
        rebalance: any RebalanceLedger
    ) {
        self.fleet = fleet
        self.moves = moves
        self.writes = writes
        self.deletions = deletions
        self.objects = objects
        self.status = status
        self.inventory = inventory
        self.safeguard = safeguard
        self.scrubs = scrubs
        self.pace = pace
        self.rebalance = rebalance
    }
}

/// What a pass did, for deciding whether to go on at once, and for conditions.
package struct PassOutcome: Sendable, Equatable {
    package var moved = 0
    package var movedBytes: Int64 = 0
    package var doomed = 0
    package var deleted = 0
    package var phaseSteps = 0
    package var failures = 0
    /// Something that could be done was left for the next pass.
    package var isUnfinished = false
    package var events: [EventRecord] = []
    /// Objects that are ours by name but in no row, by backend: they keep it from being retired.
    package var unknownObjects: [BackendID: UnknownObjects] = [:]
    package var hasProgressed: Bool { moved + doomed + deleted + phaseSteps > 0 }

    mutating func count(moved copies: Int, of version: Version, doomed: Int = 0) {
        moved += copies
        movedBytes += Int64(copies) * version.size
        self.doomed += doomed
    }

    package static func += (a: inout PassOutcome, b: PassOutcome) {
        a.moved += b.moved
        a.movedBytes += b.movedBytes
        a.doomed += b.doomed
        a.deleted += b.deleted
        a.phaseSteps += b.phaseSteps
        a.failures += b.failures
        a.isUnfinished = a.isUnfinished || b.isUnfinished
        a.events += b.events
        a.unknownObjects.merge(b.unknownObjects) { _, new in new }
    }
}

package struct UnknownObjects: Sendable, Equatable {
    package var count: Int
    package var example: String
}

/// Carries out a plan: idempotent steps, bounded batches, work claimed under leases. Safe to be ended at any point, and to be run by
/// several instances at once.
package struct Executor: Sendable {
    let ledgers: ReconcilerLedgers
    let context: TransferContext
    let limits: ReconcilerLimits
    let epochs: ConfirmedEpochs
    let logger: Logger

    package init(
        ledgers: ReconcilerLedgers, context: TransferContext, limits: ReconcilerLimits, epochs: ConfirmedEpochs,
        logger: Logger
    ) {
        self.ledgers = ledgers
        self.context = context
        self.limits = limits
        self.epochs = epochs
        self.logger = logger
    }

    /// What is short: markers, phases, housekeeping, deletion, inventory. Not to be cancelled in the middle.
    package func control(
        _ plan: Plan, desired: DesiredState, observed: ObservedState, time: PassTime
    ) async throws(CatalogError) -> PassOutcome {
        var outcome = PassOutcome()
        if plan.isSuspended { return outcome }
        try await mark(observed, desired, &outcome)
        try await housekeep(desired)
        for step in plan.phases where step.to != .retired {
            try await take(step, under: observed.fleet.revision, &outcome)
        }
        try await abandon(plan, observed, &outcome)
        outcome += try await delete(desired, observed, time)
        try await takeInventory(observed, desired, &outcome)
        if observed.mayDestroy { try await retire(plan, observed, &outcome) }
        return outcome
    }

    /// What moves and reads objects, for as long as `time` says: repair, drains, surplus, rebalancing, verification; of these what
    /// is in `scope`.
    ///
    /// - Parameter trims: whether surplus copies are looked for, which reads a whole bucket where few of them are due
    package func move(
        _ scope: PassScope, _ planner: FleetPlanner, _ plan: Plan, desired: DesiredState, observed: ObservedState,
        trims: Bool, time: PassTime
    ) async throws(CatalogError) -> PassOutcome {
        var outcome = PassOutcome()
        if plan.isSuspended { return outcome }
        let pass = MovementPass(planner: planner, desired: desired, observed: observed, time: time)
        func includes(_ part: PassScope) -> Bool { scope == part || scope == .whole }
        if includes(.movement) { try await repair(pass, &outcome) }
        if includes(.drains) { try await drain(pass, &outcome) }
        if includes(.movement) {
            if trims, observed.mayDestroy { try await trim(pass, &outcome) }
            try await rebalance(pass, plan, &outcome)
        }
        if includes(.verification) { try await scrub(pass, &outcome) }
        return outcome
    }

    // MARK: Markers, housekeeping, phases

    /// A backend that is used for the first time gets its marker before anything else goes there.
    private func mark(_ observed: ObservedState, _ desired: DesiredState, _ outcome: inout PassOutcome)
        async throws(CatalogError)
    {
        for record in observed.fleet.backends where !record.isMarked && desired.backend(record.name) != nil {
            guard let store = context.stores[record.id] else { continue }
            guard case .answered(let finding)? = observed.probes[record.id], finding == .absent || finding == .match
            else { continue }
            do throws(StoreError) {
                guard try await IdentityMarker.write(store, keyPrefix: record.spec.keyPrefix, uid: record.uid) == .match
                else { continue }
            } catch {
                logger.warning(
                    "cannot mark a backend", [("backend", .string(record.name)), ("error", .string(error.evidence))])
                continue
            }
            context.crashPlan.reached(.afterMarkerWrite)
            try await ledgers.fleet.recordMarked(record.id)
            outcome.phaseSteps += 1
        }
    }

    private func housekeep(_ desired: DesiredState) async throws(CatalogError) {
        _ = try await ledgers.deletions.reapExpiredWrites(limit: limits.sweepBatch)
        _ = try await ledgers.deletions.abortStaleUploads(
            drainGrace: desired.fleet.safety.drainUploadGrace, maxAge: limits.uploadAgeMax, limit: limits.sweepBatch)
        _ = try await ledgers.deletions.forgetGone(limit: limits.sweepBatch)
    }

    private func take(
        _ step: PhaseStep, under revision: Int64, _ outcome: inout PassOutcome
    ) async throws(CatalogError) {
        let result = try await ledgers.fleet.change(step.backend, from: step.from, to: step.to, under: revision)
        guard case .done = result else { return }
        outcome.phaseSteps += 1
        let subject = Subject(.backend, step.name)
        let event: (Reason, String)? =
            switch step.to {
            case .draining: (.drainStarted, "copies leave this backend; cancel with state: active")
            case .active: (.drainCancelled, "takes new copies again; what has moved stays moved")
            case .drained: (.drained, "no copy is left")
            case .retiring: (.purging, "verifying by listing that nothing of ours is left")
            case .retired: (.retired, "emptied, verified and retired")
            }
        if let event { outcome.events.append(EventRecord(subject, isWarning: false, event.0, event.1)) }
        logger.info(
            "backend changes phase",
            [("backend", .string(step.name)), ("from", .string(step.from.rawValue)), ("to", .string(step.to.rawValue))])
        switch step.to {
        case .draining: context.crashPlan.reached(.afterDrainStart)
        case .drained: context.crashPlan.reached(.afterDrainFinish)
        case .retiring: context.crashPlan.reached(.afterRetiring)
        case .active, .retired: break
        }
    }

    /// Gives up what the plan says, and ends rows of what was given up; the rest in the next passes.
    private func abandon(
        _ plan: Plan, _ observed: ObservedState, _ outcome: inout PassOutcome
    ) async throws(CatalogError) {
        var given = observed.fleet.backends.filter(\.isAbandoned).map { ($0.id, $0.name) }
        for step in plan.abandons where observed.mayDestroy {
            let sole: Int64
            switch try await ledgers.fleet.abandon(step.backend, soleCopiesMax: step.soleCopiesMax) {
            case .abandoned(let lost): sole = lost
            case .notDraining: continue
            case .refused(let now):
                let message =
                    "not given up: \(Grouped.number(now)) objects would be lost, \(Grouped.number(step.soleCopiesMax)) were agreed"
                outcome.events.append(
                    EventRecord(Subject(.backend, step.name), isWarning: true, .removalRefused, message))
                continue
            }
            context.crashPlan.reached(.afterAbandon)
            given.append((step.backend, step.name))
            outcome.phaseSteps += 1
            logger.warning("backend abandoned", [("backend", .string(step.name)), ("lost", .int(sole))])
        }
        for (backend, name) in given {
            var ended = 0
            for _ in 0..<limits.batchesMax {
                let some = try await ledgers.fleet.endAbandoned(backend, limit: limits.sweepBatch)
                context.crashPlan.reached(.afterAbandonedEnd)
                ended += some
                if some == 0 { break }
            }
            guard ended > 0 else { continue }
            outcome.doomed += ended
            let message =
                "given up with \(Grouped.number(Int64(ended))) copies; 'sluice object lost' lists the objects that went with them"
            outcome.events.append(EventRecord(Subject(.backend, name), isWarning: true, .abandoned, message))
        }
    }

    // MARK: Deletion

    /// On several backends at once, so that one that does not answer does not hold up the others.
    private func delete(
        _ desired: DesiredState, _ observed: ObservedState, _ time: PassTime
    ) async throws(CatalogError) -> PassOutcome {
        let records = observed.fleet.backends.filter {
            observed.isTrusted($0) && !$0.isAbandoned && ($0.isDeclared || $0.phase != .active)
        }
        let results = await BoundedGroup.map(records, width: limits.concurrency) { record in
            do throws(CatalogError) {
                var outcome = PassOutcome()
                try await delete(on: record, desired, time, &outcome)
                return Result<PassOutcome, CatalogError>.success(outcome)
            } catch {
                return .failure(error)
            }
        }
        var outcome = PassOutcome()
        for result in results { outcome += try result.get() }
        return outcome
    }

    private func delete(
        on record: BackendRecord, _ desired: DesiredState, _ time: PassTime, _ outcome: inout PassOutcome
    ) async throws(CatalogError) {
        let deleter = CopyDeleter(context: context)
        let (timeouts, timeoutsMax) = (Shared(0), limits.deleteTimeoutsMax)
        // One batch in any case, so that a slow backend does not keep the others' from being deleted.
        repeat {
            let token = context.identifiers.makeLeaseToken()
            let claimed = try await ledgers.deletions.claimDoomed(
                backend: record.id, limit: limits.deleteBatch, token: token, lease: limits.deleteLease)
            if claimed.isEmpty { return }
            context.crashPlan.reached(.afterDeleteClaim)
            let check = try await confirmEpoch(on: record, readGrace: desired.fleet.safety.readGrace)
            // Their claims run out by themselves.
            if check == .halted { return }
            let results = await BoundedGroup.map(claimed, width: limits.concurrency * 2) { doomed in
                if case .failed(let evidence) = check {
                    return (doomed.copy.id, deleter.postponed(doomed, evidence: evidence))
                }
                if timeouts.current >= timeoutsMax {
                    return (doomed.copy.id, deleter.postponed(doomed, evidence: "others had no answer just now"))
                }
                let began = time.now
                let result = await deleter.delete(doomed)
                if case .failed = result, time.now - began > .seconds(10) { timeouts.update { $0 += 1 } }
                return (doomed.copy.id, result)
            }
            for (id, result) in results {
                try await ledgers.deletions.settle(id, token: token, result)
                context.crashPlan.reached(.afterSettle)
                switch result {
                case .gone, .lookAgain: outcome.deleted += 1
                case .failed(_, let evidence):
                    outcome.failures += 1
                    logger.warning(
                        "cannot delete a copy",
                        [
                            ("backend", .string(record.name)), ("copy", .string(id.description)),
                            ("error", .string(evidence)),
                        ])
                }
            }
            if claimed.count < limits.deleteBatch || timeouts.current >= timeoutsMax { return }
        } while !time.isOver
        outcome.isUnfinished = true
    }
}

/// A task group of bounded width; results in the order of completion.
enum BoundedGroup {
    static func map<Item: Sendable, Answer: Sendable>(
        _ items: [Item], width: Int, _ body: @escaping @Sendable (Item) async -> Answer
    ) async -> [Answer] {
        await withTaskGroup(of: Answer.self) { group in
            var rest = items[...]
            var answers: [Answer] = []
            for item in rest.prefix(width) { group.addTask { await body(item) } }
            rest = rest.dropFirst(width)
            for await answer in group {
                answers.append(answer)
                if let item = rest.popFirst() { group.addTask { await body(item) } }
            }
            return answers
        }
    }
}
