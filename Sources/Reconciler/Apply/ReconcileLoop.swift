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
}

/// One pass after another: observe → plan → carry out → project. Level-triggered: each pass looks at the difference between wanted and
/// actual, whatever brought it about.
package struct ReconcileLoop: Sendable {
    private let observer: Observer
    private let ledgers: ReconcilerLedgers
    private let executor: @Sendable () -> Executor
    private let metrics: ReconcilerMetrics?
    private let logger: Logger
    private let elapsed: @Sendable () -> Duration
    /// When each backend was first found away, on the clock of `elapsed`.
    private let awaySince = Shared<[BackendID: Duration]>([:])
    private let lastTrim = Shared<Duration?>(nil)
    /// When the backends' epochs were last read; nil: they are to be read now.
    private let lastEpochs = Shared<Duration?>(nil)
    private static let epochsPauseMax: Duration = .seconds(600)
    private static let trimPauseMax: Duration = .seconds(600)

    /// - Parameters:
    ///   - executor: made anew for each pass, with the backends as they are connected then
    ///   - elapsed: a monotonic clock
    package init(
        observer: Observer, ledgers: ReconcilerLedgers, executor: @escaping @Sendable () -> Executor,
        metrics: ReconcilerMetrics?,
        logger: Logger, elapsed: @escaping @Sendable () -> Duration
    ) {
        self.observer = observer
        self.ledgers = ledgers
        self.executor = executor
        self.metrics = metrics
        self.logger = logger
        self.elapsed = elapsed
    }

    /// One pass. Short; not to be cancelled in the middle.
    @discardableResult
    package func step(_ desired: DesiredState, specProblem: SpecProblem? = nil) async throws(CatalogError) -> (
        plan: Plan, outcome: PassOutcome
    ) {
        do throws(CatalogError) {
            return try await pass(desired, specProblem)
        } catch {
            // The database that comes back may be another.
            lastEpochs.update { $0 = nil }
            throw error
        }
    }

    private func pass(_ desired: DesiredState, _ specProblem: SpecProblem?) async throws(CatalogError) -> (
        plan: Plan, outcome: PassOutcome
    ) {
        let began = elapsed()
        let executor = executor()
        var before = try await observe(desired)
        var events: [EventRecord] = []
        if let event = try await executor.guardAgainstRewind(&before, desired) { events.append(event) }
        let plan = FleetPlanner(desired: desired, observed: before).plan()
        var outcome = try await executor.carryOut(plan, desired: desired, observed: before, trims: isTrimDue(plan))
        outcome.events += events
        let after = outcome.hasProgressed ? try await observe(desired) : before
        let next = outcome.hasProgressed ? FleetPlanner(desired: desired, observed: after).plan() : plan
        let conditions = StatusProjector(
            desired: desired, observed: after, plan: next, outcome: outcome, specProblem: specProblem
        )
        .conditions()
        try await ledgers.status.publish(conditions, events: outcome.events)
        if let metrics {
            metrics.record(
                after, conditions, next, try await ledgers.inventory.inventories(), took: elapsed() - began)
        }
        return (next, outcome)
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

    private func observe(_ desired: DesiredState) async throws(CatalogError) -> ObservedState {
        let now = elapsed()
        let readsEpochs = lastEpochs.change { last in
            if let before = last, now - before < ReconcileLoop.epochsPauseMax { return false }
            last = now
            return true
        }
        var observed = try await observer.observe(readsEpochs: readsEpochs)
        // Who has not answered is asked again, and the others with it.
        let isWhole = observed.fleet.backends.allSatisfy { observed.markedEpochs[$0.name] != nil }
        if readsEpochs, !isWhole { lastEpochs.update { $0 = nil } }
        awaySince.update { since in
            for record in observed.fleet.backends {
                if observed.isTrusted(record) {
                    since[record.id] = nil
                } else if case .failed? = observed.probes[record.id] {
                    let first = since[record.id] ?? now
                    since[record.id] = first
                    if now - first < desired.fleet.replication.repairDelay { observed.awayBriefly.insert(record.id) }
                }
            }
        }
        return observed
    }

    /// Passes until nothing is left to do, nothing moves, or the time is over. Waits for what only time can bring (read grace, leases).
    package func runUntilConverged(
        _ desired: DesiredState, within limit: Duration, pause: @Sendable () async throws(CancellationError) -> Void
    ) async throws(CatalogError) -> ConvergenceOutcome {
        let deadline = elapsed() + limit
        while true {
            let (plan, outcome) = try await step(desired)
            if !outcome.hasProgressed {
                let waits =
                    plan.phases.contains { $0.to != .retired } || plan.doomed.copies > 0
                    || plan.drains.contains { $0.move.copies + $0.drop.copies > 0 }
                let isWaiting = waits || plan.repair.copies > 0 || hasOpenDrain(desired, plan)
                if !plan.blockers.isEmpty { return .blocked(plan.blockers) }
                if !isWaiting, !plan.phases.contains(where: { $0.to == .retired }) { return .converged }
            }
            guard elapsed() < deadline else { return .timedOut }
            if !outcome.hasProgressed {
                do throws(CancellationError) { try await pause() } catch { return .timedOut }
            }
        }
    }

    private func hasOpenDrain(_ desired: DesiredState, _ plan: Plan) -> Bool { !plan.drains.isEmpty }
}

/// A value that several passes share.
final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>
    init(_ value: Value) { self.value = Mutex(value) }
    func update(_ change: (inout Value) -> Void) { value.withLock { change(&$0) } }
    func change<Answer: Sendable>(_ change: (inout Value) -> Answer) -> Answer { value.withLock { change(&$0) } }
}
