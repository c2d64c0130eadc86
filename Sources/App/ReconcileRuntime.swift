import Catalog
import EventLoop
import PostgresCatalog
import Reconciler
import Spec
import Synchronization

/// The reconcile loop with this instance's backends: the registry is brought up to date before each pass.
final class ReconcileRuntime: Sendable {
    private let instance: Instance
    private let loop: ReconcileLoop
    private let fleet = FleetCell()

    /// What the latest pass began from, for the executor that is made during it.
    private final class FleetCell: Sendable {
        private let value = Mutex<FleetSnapshot?>(nil)
        func set(_ fleet: FleetSnapshot) { value.withLock { $0 = fleet } }
        var current: FleetSnapshot? { value.withLock { $0 } }
    }

    init(_ instance: Instance, metrics: ReconcilerMetrics?) {
        self.instance = instance
        let fleet = fleet
        let epochs = ConfirmedEpochs()
        let limits = ReconcilerLimits()
        loop = ReconcileLoop(
            observer: instance.observer, ledgers: instance.ledgers,
            executor: {
                Executor(
                    ledgers: instance.ledgers, context: instance.transferContext(fleet.current),
                    limits: limits, epochs: epochs, logger: instance.logger)
            }, metrics: metrics, logger: instance.logger, limits: limits, elapsed: SystemClock.elapsed,
            sleep: { duration async throws(CancellationError) in try await EventLoop.sleep(for: duration) })
    }

    /// One pass, unless the spec in force is not the one that `digest` names: then nothing may be done for the other, and nil is
    /// returned with the revision that is in force, if it is another.
    func step(
        _ desired: DesiredState, digest: String, scope: PassScope, specProblem: SpecProblem?,
        isInterrupted: @escaping @Sendable () -> Bool
    ) async throws(CatalogError) -> (step: (plan: Plan, outcome: PassOutcome)?, revision: Int64?) {
        let snapshot = try await instance.catalog.snapshot()
        guard snapshot.digest == digest else { return (nil, snapshot.revision) }
        await instance.registry.update(snapshot, desired)
        fleet.set(snapshot)
        let step = try await loop.step(
            desired, revision: snapshot.revision, scope: scope, specProblem: specProblem, isInterrupted: isInterrupted)
        if step == nil {
            let now = try await instance.catalog.snapshot()
            // The same again, and only the moment was a bad one: the next pass sees it.
            return (nil, now.digest == digest ? nil : now.revision)
        }
        return (step, snapshot.revision)
    }

    /// - Parameter revision: of the spec
    func runUntilConverged(
        _ desired: DesiredState, revision: Int64, within limit: Duration
    ) async throws(CatalogError) -> ConvergenceOutcome {
        let snapshot = try await instance.catalog.snapshot()
        await instance.registry.update(snapshot, desired)
        fleet.set(snapshot)
        let instance = instance
        do throws(CatalogError) {
            let outcome = try await loop.runUntilConverged(desired, revision: revision, within: limit) {
                () async throws(CancellationError) in
                await instance.flushUsage()
                try await EventLoop.sleep(for: .seconds(1))
            }
            await instance.flushUsage()
            return outcome
        } catch {
            await instance.flushUsage()
            throw error
        }
    }
}
