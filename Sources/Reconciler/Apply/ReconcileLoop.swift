package import Catalog
import S3
package import Spec
import Synchronization
package import Telemetry
import Transfer

/// How a series of passes ended.
package enum ConvergenceOutcome: Sendable, Equatable {
    case converged
    /// Nothing moves any more, and why is known.
    case blocked([Blocker])
    case timedOut
    /// Another spec was accepted meanwhile.
    case superseded
}

/// What of a pass is done.
package enum PassScope: Sendable, CaseIterable {
    /// Markers, phases, deletion, inventory and status: short.
    case control
    /// Repair, surplus, rebalancing.
    case movement
    /// What leaves draining backends, at the pace that is set for it: nothing that is missing waits for that.
    case drains
    /// Reading copies to see whether they are intact, which may take hours for one of them.
    case verification
    /// All of them, one after the other.
    case whole
}

/// One pass after another: observe → plan → carry out → project. Level-triggered: each pass looks at the difference between wanted and
/// actual, whatever brought it about. Passes of control and of movement may go on at the same time, as those of two instances may.
package struct ReconcileLoop: Sendable {
    private let observer: Observer
    private let ledgers: ReconcilerLedgers
    private let executor: @Sendable () -> Executor
    private let metrics: ReconcilerMetrics?
    private let logger: Logger
    private let limits: ReconcilerLimits
    private let elapsed: @Sendable () -> Duration
    private let sleep: @Sendable (Duration) async throws(CancellationError) -> Void
    private let lastTrim = Shared<Duration?>(nil)
    /// When the backends' epochs were last read; nil: they are to be read now.
    private let lastEpochs = Shared<Duration?>(nil)
    /// Whether the guard against a rewound catalog has looked since the last error.
    private let hasLooked = Shared(false)
    private let errors = Shared(0)
    private let groups = Shared<GroupsReading?>(nil)
    private let probes = Shared<ProbesReading?>(nil)
    private let liveCopies = Shared<[BackendID: LiveReading]>([:])
    private static let epochsPauseMax: Duration = .seconds(600)
    private static let probesAgeMax: Duration = .seconds(30)
    private static let trimPauseMax: Duration = .seconds(600)

    /// - Parameters:
    ///   - executor: made anew for each pass, with the backends as they are connected then
    ///   - elapsed: a monotonic clock
    package init(
        observer: Observer, ledgers: ReconcilerLedgers, executor: @escaping @Sendable () -> Executor,
        metrics: ReconcilerMetrics?, logger: Logger, limits: ReconcilerLimits,
        elapsed: @escaping @Sendable () -> Duration,
        sleep: @escaping @Sendable (Duration) async throws(CancellationError) -> Void
    ) {
        self.observer = observer
        self.ledgers = ledgers
        self.executor = executor
        self.metrics = metrics
        self.logger = logger
        self.limits = limits
        self.elapsed = elapsed
        self.sleep = sleep
    }

    /// One pass; nil if another spec is in force meanwhile.
    ///
    /// - Parameters:
    ///   - revision: of `desired`
    ///   - isInterrupted: asked while copies move; true: the pass is to end soon, since what it goes by has changed
    package func step(
        _ desired: DesiredState, revision: Int64, scope: PassScope = .whole, specProblem: SpecProblem? = nil,
        isInterrupted: @escaping @Sendable () -> Bool = { false }
    ) async throws(CatalogError) -> (plan: Plan, outcome: PassOutcome)? {
        do throws(CatalogError) {
            switch scope {
            case .control: return try await pass(desired, revision, specProblem, moves: false, isInterrupted)
            case .movement, .drains, .verification:
                return try await movement(desired, revision, scope, time(isInterrupted))
            case .whole: return try await pass(desired, revision, specProblem, moves: true, isInterrupted)
            }
        } catch {
            if error.isOfConnection {
                // The database that comes back may be another.
                lastEpochs.update { $0 = nil }
                hasLooked.update { $0 = false }
                errors.update { $0 += 1 }
            }
            throw error
        }
    }

    private func time(_ isInterrupted: @escaping @Sendable () -> Bool) -> PassTime {
        PassTime(limits: limits, elapsed: elapsed, isInterrupted: isInterrupted, pause: sleep)
    }

    private func pass(
        _ desired: DesiredState, _ revision: Int64, _ specProblem: SpecProblem?, moves: Bool,
        _ isInterrupted: @escaping @Sendable () -> Bool
    ) async throws(CatalogError) -> (plan: Plan, outcome: PassOutcome)? {
        let began = elapsed()
        let errorsBefore = errors.current
        let executor = executor()
        // A run of its own looks at everything anew; a server may go by what it counted a moment ago.
        var before = try await observe(desired, readsEpochs: areEpochsDue(), countsAnew: moves)
        guard before.fleet.revision == revision else { return nil }
        var events: [EventRecord] = []
        if let event = try await executor.guardAgainstRewind(&before, desired) { events.append(event) }
        // Unless another loop met an error since: then it was looked at another database, perhaps.
        if errors.current == errorsBefore { hasLooked.update { $0 = true } }
        let planner = FleetPlanner(desired: desired, observed: before)
        let plan = planner.plan()
        var outcome = try await executor.control(plan, desired: desired, observed: before, time: time(isInterrupted))
        if moves {
            outcome += try await executor.move(
                .whole, planner, plan, desired: desired, observed: before, trims: isTrimDue(plan),
                time: time(isInterrupted))
        }
        outcome.events += events
        let after =
            outcome.hasProgressed ? try await observe(desired, readsEpochs: false, countsAnew: moves) : before
        let next = outcome.hasProgressed ? FleetPlanner(desired: desired, observed: after).plan() : plan
        let conditions = StatusProjector(
            desired: desired, observed: after, plan: next, outcome: outcome, specProblem: specProblem,
            moving: noteMovement(after, desired)
        )
        .conditions()
        try await ledgers.status.publish(conditions, events: outcome.events)
        metrics?.count(outcome)
        if let metrics {
            metrics.record(
                after, conditions, next, try await ledgers.inventory.inventories(), took: elapsed() - began)
        }
        return (next, outcome)
    }

    private func movement(
        _ desired: DesiredState, _ revision: Int64, _ scope: PassScope, _ time: PassTime
    ) async throws(CatalogError) -> (plan: Plan, outcome: PassOutcome)? {
        let observed = try await observe(desired, readsEpochs: false, countsAnew: false, isControl: false)
        guard observed.fleet.revision == revision else { return nil }
        let planner = FleetPlanner(desired: desired, observed: observed)
        let plan = planner.plan()
        // Not before control has looked whether this is the catalog that it was.
        guard hasLooked.current else { return (plan, PassOutcome()) }
        let outcome = try await executor().move(
            scope, planner, plan, desired: desired, observed: observed, trims: scope == .movement && isTrimDue(plan),
            time: time)
        metrics?.count(outcome)
        if !outcome.events.isEmpty { try await ledgers.status.publish([], events: outcome.events) }
        return (plan, outcome)
    }

    private func areEpochsDue() -> Bool {
        let now = elapsed()
        return lastEpochs.change { last in
            if let before = last, now - before < ReconcileLoop.epochsPauseMax { return false }
            last = now
            return true
        }
    }

    /// Surplus copies are looked for a few times in each trim delay: looking reads all keys of a bucket.
    private func isTrimDue(_ plan: Plan) -> Bool {
        guard plan.surplus.copies > 0 else { return false }
        let now = elapsed()
        let pause = min(plan.trimDelay / 8, ReconcileLoop.trimPauseMax)
        return lastTrim.change { last in
            if let before = last, now - before < pause { return false }
            last = now
            return true
        }
    }

    private func observe(
        _ desired: DesiredState, readsEpochs: Bool, countsAnew: Bool, isControl: Bool = true
    ) async throws(CatalogError) -> ObservedState {
        let groups = try await groups(desired, countsAnew: countsAnew)
        let known = readsEpochs || isControl ? [:] : knownProbes(desired)
        let observed = try await observer.observe(readsEpochs: readsEpochs, groups: groups, known: known)
        if known.isEmpty {
            let reading = ProbesReading(probes: observed.probes, desired: desired, takenAt: elapsed())
            probes.update { $0 = reading }
        }
        // Who has not answered is asked again, and the others with it.
        let isWhole = observed.fleet.backends.allSatisfy { observed.markedEpochs[$0.name] != nil }
        if readsEpochs, !isWhole { lastEpochs.update { $0 = nil } }
        return observed
    }

    /// What the loops of one server find by asking a backend they tell each other: some backends count requests.
    private struct ProbesReading: Sendable {
        let probes: [BackendID: ProbeResult]
        let desired: DesiredState
        let takenAt: Duration
    }

    private func knownProbes(_ desired: DesiredState) -> [BackendID: ProbeResult] {
        let ageMax = min(desired.fleet.reconcileInterval * 2, ReconcileLoop.probesAgeMax)
        guard let last = probes.current, last.desired == desired, elapsed() - last.takenAt < ageMax else { return [:] }
        return last.probes
    }

    private struct LiveReading: Sendable {
        var copies: Int64
        /// When they were last seen to have changed.
        var changedAt: Duration?
    }

    /// Backends whose live copies changed within two intervals: something moves there, whichever instance does it.
    private func noteMovement(_ observed: ObservedState, _ desired: DesiredState) -> Set<BackendID> {
        let now = elapsed()
        return liveCopies.change { readings in
            var moving: Set<BackendID> = []
            for (id, residue) in observed.residues {
                var reading = readings[id] ?? LiveReading(copies: residue.live)
                if reading.copies != residue.live { reading = LiveReading(copies: residue.live, changedAt: now) }
                readings[id] = reading
                if let changed = reading.changedAt, now - changed <= desired.fleet.reconcileInterval * 2 {
                    moving.insert(id)
                }
            }
            return moving
        }
    }

    /// Counting reads the whole catalog: a server spends a twentieth of its time on it at most, and goes by the last count in between.
    /// Nothing is decided by it that a transaction does not count again.
    private func groups(_ desired: DesiredState, countsAnew: Bool) async throws(CatalogError) -> [CopyGroup] {
        let began = elapsed()
        if !countsAnew, let last = groups.current, last.desired == desired,
            began - last.takenAt < min(last.cost * 20, ReconcileLoop.groupsAgeMax)
        {
            return last.groups
        }
        let found = try await observer.groups()
        let now = elapsed()
        let reading = GroupsReading(groups: found, desired: desired, takenAt: now, cost: now - began)
        groups.update { $0 = reading }
        return found
    }

    private static let groupsAgeMax: Duration = .seconds(300)

    private struct GroupsReading: Sendable {
        let groups: [CopyGroup]
        let desired: DesiredState
        let takenAt: Duration
        let cost: Duration
    }

    /// Passes until nothing is left to do, nothing moves, or the time is over. Waits for what only time can bring (read grace, leases).
    package func runUntilConverged(
        _ desired: DesiredState, revision: Int64, within limit: Duration,
        pause: @Sendable () async throws(CancellationError) -> Void
    ) async throws(CatalogError) -> ConvergenceOutcome {
        let deadline = elapsed() + limit
        while true {
            guard let (plan, outcome) = try await step(desired, revision: revision) else { return .superseded }
            if !outcome.hasProgressed, !outcome.isUnfinished {
                if plan.isSuspended, !plan.isEmpty {
                    let message = "suspend is true: nothing is carried out. Take it away, or set suspend: false."
                    return .blocked([Blocker(Subject(.fleet, desired.fleet.name), .suspended, message: message)])
                }
                if !plan.blockers.isEmpty { return .blocked(plan.blockers) }
                let isWaiting =
                    !plan.phases.isEmpty || !plan.drains.isEmpty || plan.repair.copies > 0 || plan.doomed.copies > 0
                if !isWaiting { return .converged }
            }
            guard elapsed() < deadline else { return .timedOut }
            if !outcome.hasProgressed, !outcome.isUnfinished {
                do throws(CancellationError) { try await pause() } catch { return .timedOut }
            }
        }
    }
}

/// A value that several passes share.
final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>
    init(_ value: Value) { self.value = Mutex(value) }
    func update(_ change: (inout Value) -> Void) { value.withLock { change(&$0) } }
    var current: Value { value.withLock { $0 } }
    func change<Answer: Sendable>(_ change: (inout Value) -> Answer) -> Answer { value.withLock { change(&$0) } }
}
