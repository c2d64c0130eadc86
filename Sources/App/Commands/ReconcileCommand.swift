import Catalog
import EventLoop
import HTTP
import PostgresCatalog
import Reconciler
import Spec
import Telemetry

/// `sluice reconcile`: one run until converged or blocked; with `--dry-run` the plan alone. `sluice apply PLAN`: such a run, if the
/// saved plan is still what it would do.
struct ReconcileCommand {
    private let invocation: Invocation
    private let instance: Instance
    private let source: SpecSource
    private let path: String

    init(_ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.invocation = invocation
        let logger = try invocation.terminalLogger()
        instance = try Instance(invocation, loops: loops, logger: invocation.has(.dryRun) ? .silent : logger)
        path = try invocation.required(.spec)
        source = SpecSource(path: path, pool: instance.pool)
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        let limit = try timeout()
        let (spec, seen) = try await load()
        if !spec.warnings.isEmpty { Terminal.say(DiagnosticRenderer.text(spec.warnings, sources: spec.sources)) }
        if invocation.command == .apply { return try await apply(spec, within: limit) }
        return invocation.has(.dryRun) ? try await dryRun(spec) : try await converge(spec, parent: seen, within: limit)
    }

    /// The spec, and the revision that was in force before its files were read: they may replace that one, and no later one.
    private func load() async throws(CommandFailure) -> (spec: LoadedSpec, seen: Int64) {
        if invocation.has(.dryRun) || invocation.command == .apply { return (try await source.loaded(), 0) }
        // A spec that is wrong is to be told before anything is waited for.
        _ = try await source.loaded()
        try await instance.prepareDatabase(patience: .seconds(10))
        let seen = try await Instance.catalogCall { () async throws(CatalogError) in
            try await instance.catalog.snapshot().revision
        }
        return (try await source.loaded(), seen)
    }

    private func apply(_ spec: LoadedSpec, within limit: Duration) async throws(CommandFailure) -> ExitCode {
        guard let file = invocation.operands.first else {
            throw CommandFailure(.usage, "usage: sluice apply PLAN.json")
        }
        guard let text = readTextFile(file, limit: ReconcileCommand.planBytesMax) else {
            throw CommandFailure(.failure, "cannot read \(file); check its path and mode")
        }
        guard let saved = SavedPlan(text: text) else {
            throw CommandFailure(
                .usage, "\(file) is not a plan of this release; 'sluice reconcile --dry-run -o \(file)' makes one")
        }
        let now = SavedPlan(try await currentPlan(spec.desired), specDigest: spec.digest)
        let accepted = try await instance.hasSchema() ? try await acceptedDigest() : ""
        if let reason = saved.staleness(now, acceptedDigest: accepted) {
            throw CommandFailure(.stale, "the plan is stale: \(reason). Nothing was changed; make a new one")
        }
        try await instance.prepareDatabase(patience: .seconds(10))
        // The revision that was looked at is the one that is replaced, or nothing is.
        return try await converge(spec, parent: now.baseRevision, within: limit)
    }

    private static let planBytesMax = 16 << 20

    private func acceptedDigest() async throws(CommandFailure) -> String {
        do throws(CatalogError) { return try await instance.catalog.snapshot().digest } catch {
            throw Instance.failure(error)
        }
    }

    /// Holds no executor: it observes, plans and prints.
    private func dryRun(_ spec: LoadedSpec) async throws(CommandFailure) -> ExitCode {
        let file = invocation.options[.output].flatMap { $0.hasSuffix(".json") ? $0 : nil }
        let isJSON = file == nil ? try invocation.wantsJSON() : false
        let plan = try await currentPlan(spec.desired)
        if let file {
            guard writeTextFile(file, SavedPlan(plan, specDigest: spec.digest).text) else {
                throw CommandFailure(.failure, "cannot write \(file); check its folder")
            }
        }
        Terminal.print(
            isJSON
                ? PlanJSONRenderer.render(plan).indented
                : PlanTextRenderer(usesColour: invocation.wantsColour).render(plan, source: path))
        // Behind the plan, which is of use to whoever decides about it.
        if plan.revision > 0 {
            try await SpecSource.check(spec, instance.catalog, allowsRollback: invocation.has(.allowRollback))
        }
        if !plan.blockers.isEmpty { return .blocked }
        return invocation.has(.detailedExitcode) && !plan.isEmpty ? .changesPending : .ok
    }

    private func currentPlan(_ desired: DesiredState) async throws(CommandFailure) -> Plan {
        guard try await instance.hasSchema() else {
            return FleetPlanner(desired: desired, observed: .nothing).plan()
        }
        return FleetPlanner(desired: desired, observed: try await instance.observe(desired)).plan()
    }

    private func converge(_ spec: LoadedSpec, parent: Int64, within limit: Duration) async throws(CommandFailure)
        -> ExitCode
    {
        let revision = try await SpecSource.accept(
            spec, instance.catalog, by: instance.name, allowsRollback: invocation.has(.allowRollback), parent: parent)
        let runtime = ReconcileRuntime(instance, metrics: nil)
        let outcome: ConvergenceOutcome
        do throws(CatalogError) {
            outcome = try await runtime.runUntilConverged(spec.desired, revision: revision, within: limit)
        } catch {
            throw Instance.failure(error)
        }
        switch outcome {
        case .converged:
            Terminal.say("converged at revision \(revision)")
            return .ok
        case .timedOut:
            throw CommandFailure(
                .failure, "not converged within \(limit.specText); run it again, or see 'sluice status'")
        case .superseded:
            throw CommandFailure(
                .stale, "another spec was accepted in place of revision \(revision) meanwhile; 'sluice diff' shows it")
        case .blocked(let blockers):
            let lines = blockers.map { "  \($0.subject): \($0.reason.rawValue): \($0.message)" }.joined(separator: "\n")
            throw CommandFailure(.blocked, "blocked:\n\(lines)")
        }
    }

    private func timeout() throws(CommandFailure) -> Duration {
        guard let text = invocation.options[.timeout] else { return .seconds(24 * 3600) }
        guard let duration = Duration(spec: text) else {
            throw CommandFailure(.usage, "--timeout \(text) is not a duration such as 90s or 2h")
        }
        return duration
    }
}
