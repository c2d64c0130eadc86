import Catalog
import EventLoop
import HTTP
import PostgresCatalog
import Reconciler
import Spec
import Telemetry

/// `sluice reconcile`: one run until converged or blocked; with `--dry-run` the plan alone.
struct ReconcileCommand {
    private let invocation: Invocation
    private let instance: Instance
    private let source: SpecSource
    private let path: String

    init(_ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.invocation = invocation
        let logger = Logger(level: try invocation.logLevel(), now: { SystemClock.now().rfc3339 }, sink: Terminal.say)
        instance = try Instance(invocation, loops: loops, logger: invocation.has(.dryRun) ? .silent : logger)
        path = try invocation.required(.spec)
        source = SpecSource(path: path, pool: instance.pool)
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        let spec = try await source.loaded()
        if !spec.warnings.isEmpty { Terminal.say(DiagnosticRenderer.text(spec.warnings, sources: spec.sources)) }
        return invocation.has(.dryRun) ? try await dryRun(spec.desired) : try await converge(spec)
    }

    /// Holds no executor: it observes, plans and prints.
    private func dryRun(_ desired: DesiredState) async throws(CommandFailure) -> ExitCode {
        let plan: Plan
        if try await !instance.hasSchema() {
            plan = FleetPlanner(desired: desired, observed: .nothing).plan()
        } else {
            plan = try await planned(desired)
        }
        Terminal.print(
            try invocation.wantsJSON()
                ? PlanJSONRenderer.render(plan).indented
                : PlanTextRenderer(usesColour: invocation.wantsColour).render(plan, source: path))
        if !plan.blockers.isEmpty { return .blocked }
        return invocation.has(.detailedExitcode) && !plan.isEmpty ? .changesPending : .ok
    }

    private func planned(_ desired: DesiredState) async throws(CommandFailure) -> Plan {
        do throws(CatalogError) {
            await instance.registry.update(try await instance.catalog.snapshot(), desired)
            return FleetPlanner(desired: desired, observed: try await instance.observer.observe()).plan()
        } catch {
            throw Instance.failure(error)
        }
    }

    private func converge(_ spec: LoadedSpec) async throws(CommandFailure) -> ExitCode {
        try await instance.prepareDatabase(patience: .seconds(10))
        let revision = try await SpecSource.accept(
            spec, instance.catalog, by: instance.name, allowsRollback: invocation.has(.allowRollback))
        let limit = try timeout()
        let runtime = ReconcileRuntime(instance, metrics: nil)
        let outcome: ConvergenceOutcome
        do throws(CatalogError) {
            outcome = try await runtime.runUntilConverged(spec.desired, within: limit)
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
