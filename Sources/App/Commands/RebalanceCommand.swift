import Catalog
import EventLoop
import HTTP
import PostgresCatalog
import Reconciler
import Spec
import Telemetry

/// `sluice rebalance`: asks for an even utilisation, and takes part until it is reached.
struct RebalanceCommand {
    private static let pause: Duration = .seconds(1)

    private let invocation: Invocation
    private let instance: Instance
    private let source: SpecSource

    init(_ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.invocation = invocation
        instance = try Instance(invocation, loops: loops, logger: try invocation.terminalLogger())
        source = SpecSource(path: try invocation.required(.spec), pool: instance.pool)
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        let spec = try await source.loaded()
        try await instance.requireSchema()
        if invocation.has(.cancel) { return try await cancel() }
        guard spec.desired.fleet.routing == .spread else {
            throw CommandFailure(
                .blocked, "routing: pack fills one backend after the other; there is nothing to balance")
        }
        if invocation.has(.dryRun) { return try await dryRun(spec.desired) }
        guard !spec.desired.fleet.isSuspended else {
            throw CommandFailure(.blocked, "suspend is true: nothing is moved")
        }
        let digest = try await Instance.catalogCall { () async throws(CatalogError) in
            try await instance.catalog.snapshot().digest
        }
        guard digest == spec.digest else { throw RebalanceCommand.isStale }
        try await Instance.catalogCall { () async throws(CatalogError) in
            try await instance.catalog.requestRebalance()
        }
        return try await takePart(spec)
    }

    private func cancel() async throws(CommandFailure) -> ExitCode {
        let wasRequested = try await Instance.catalogCall { () async throws(CatalogError) in
            try await instance.catalog.cancelRebalance()
        }
        Terminal.say(wasRequested ? "Cancelled; what has moved stays moved." : "No rebalancing was asked for.")
        return .ok
    }

    /// What a request would move now.
    private func dryRun(_ desired: DesiredState) async throws(CommandFailure) -> ExitCode {
        var observed = try await instance.observe(desired)
        observed.rebalance = RebalanceRecord(requestedAt: observed.pace.moment ?? 0)
        let plan = FleetPlanner(desired: desired, observed: observed).plan()
        Terminal.print(PlanTextRenderer.rebalance(plan.rebalance))
        if plan.rebalance.utilisation == nil { throw RebalanceCommand.waits }
        return .ok
    }

    private static let waits = CommandFailure(
        .blocked,
        "it waits until no copy is missing, no backend drains and copies may be dropped: see 'sluice reconcile --dry-run'"
    )
    private static let isStale = CommandFailure(
        .stale, "these spec files are not what is in force; 'sluice diff' shows what differs")

    private func takePart(_ spec: LoadedSpec) async throws(CommandFailure) -> ExitCode {
        let runtime = ReconcileRuntime(instance, metrics: nil)
        while true {
            let (plan, outcome, record) = try await Instance.catalogCall { () async throws(CatalogError) in
                let (step, _) = try await runtime.step(
                    spec.desired, digest: spec.digest, scope: .whole, specProblem: nil
                ) { false }
                return (step?.plan, step?.outcome, try await instance.catalog.rebalance())
            }
            await instance.flushUsage()
            guard let plan, let outcome else {
                throw RebalanceCommand.isStale
            }
            guard record.isRequested else {
                Terminal.print("\(record.copies) copies, \(ByteCount(record.bytes)) moved")
                return .ok
            }
            if outcome.hasProgressed || outcome.isUnfinished { continue }
            if plan.rebalance.utilisation == nil {
                throw CommandFailure(
                    .blocked,
                    RebalanceCommand.waits.message
                        + ". It stays asked for: servers begin when they can; 'sluice rebalance --cancel' withdraws it")
            }
            do throws(CancellationError) { try await EventLoop.sleep(for: RebalanceCommand.pause) } catch {
                throw CommandFailure(
                    .failure, "interrupted; servers go on with it, or 'sluice rebalance --cancel' ends it")
            }
        }
    }
}
