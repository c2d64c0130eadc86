import Catalog
import EventLoop
import PostgresCatalog
import Reconciler
import Telemetry

/// `sluice status`: what Postgres knows; also without a running server.
struct StatusCommand {
    private let invocation: Invocation
    private let instance: Instance

    init(_ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.invocation = invocation
        instance = try Instance(invocation, loops: loops, logger: .silent)
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        try await instance.requireSchema()
        let wantsJSON = try invocation.wantsJSON()
        var last = ""
        repeat {
            let status = try await StatusCommand.read(instance)
            let text = wantsJSON ? StatusRenderer.json(status).indented : StatusRenderer.text(status)
            if text != last { Terminal.print(last.isEmpty ? text : "\n" + text) }
            last = text
            if !invocation.has(.watch) { break }
            do throws(CancellationError) { try await EventLoop.sleep(for: .seconds(1)) } catch { break }
        } while true
        return .ok
    }

    static func read(_ instance: Instance) async throws(CommandFailure) -> FleetStatus {
        do throws(CatalogError) {
            let fleet = try await instance.catalog.snapshot()
            var residues: [BackendID: BackendResidue] = [:]
            for backend in fleet.backends { residues[backend.id] = try await instance.catalog.residue(backend.id) }
            return FleetStatus(
                fleet: fleet, conditions: try await instance.catalog.conditions(),
                drains: try await instance.catalog.drains(),
                residues: residues, pace: try await instance.catalog.pace(),
                aliveAt: try await instance.catalog.lifetimes().map(\.until).max())
        } catch {
            throw Instance.failure(error)
        }
    }
}
