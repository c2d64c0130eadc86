import Catalog
import EventLoop
import HTTP
import PostgresCatalog
import Reconciler
import Spec
import Telemetry

/// `sluice scrub [BACKEND]`: reads every copy and verifies it, together with whoever else is at it.
struct ScrubCommand {
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
        let fleet = try await instance.openFleet(spec.desired)
        var backends = fleet.backends
        if let name = invocation.operands.first {
            backends = backends.filter { $0.name == name }
            if backends.isEmpty { throw CommandFailure(.failure, "there is no backend \(name)") }
        }
        let scrubber = Scrubber(
            scrubs: instance.catalog, objects: instance.catalog, context: instance.transferContext(fleet),
            limits: ReconcilerLimits(), logger: instance.logger)
        var isIntact = true
        for record in backends { isIntact = try await scrub(record, scrubber) && isIntact }
        return isIntact ? .ok : .failure
    }

    /// One whole round; one that is under way is gone on with, and waited for while another instance works on it.
    private func scrub(_ record: BackendRecord, _ scrubber: Scrubber) async throws(CommandFailure) -> Bool {
        var interval: Duration? = .zero
        while true {
            let step = try await Instance.catalogCall { () async throws(CatalogError) in
                try await scrubber.step(record, interval: interval)
            }
            interval = nil
            await instance.flushUsage()
            let known = try await Instance.catalogCall { () async throws(CatalogError) in
                try await instance.catalog.scrubs().first { $0.backend == record.id }
            }
            if let known, known.finishedAt != nil { return report(record, known.tally) }
            if case .idle = step {
                do throws(CancellationError) { try await EventLoop.sleep(for: ScrubCommand.pause) } catch {
                    throw CommandFailure(.failure, "interrupted; 'sluice scrub' goes on where it stands")
                }
            }
        }
    }

    private func report(_ record: BackendRecord, _ tally: ScrubTally) -> Bool {
        let unreadable = tally.unreadable > 0 ? ", \(tally.unreadable) could not be read" : ""
        Terminal.print(
            "\(record.name): \(tally.copies) copies, \(ByteCount(tally.bytes)) verified, \(tally.damaged) damaged\(unreadable)"
        )
        return tally.damaged == 0 && tally.unreadable == 0
    }
}
