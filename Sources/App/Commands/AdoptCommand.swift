import Catalog
import EventLoop
import PostgresCatalog
import Reconciler
import Spec
import Telemetry

/// `sluice adopt [BACKEND]`: takes back objects that backends have and a catalog that went back in time does not know.
struct AdoptCommand {
    private static let pageSize = 200
    /// Objects that are read at the same time.
    private static let width = 4

    private let invocation: Invocation
    private let instance: Instance
    private let source: SpecSource

    init(_ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.invocation = invocation
        instance = try Instance(invocation, loops: loops, logger: .silent)
        source = SpecSource(path: try invocation.required(.spec), pool: instance.pool)
    }

    private struct Tally {
        var adopted = 0
        var added = 0
        var outdated = 0
        var left = 0

        func summary(_ isDry: Bool) -> String {
            var text =
                isDry
                ? "\(adopted + added) objects would be taken back; each is read and verified then."
                : "\(adopted) objects taken back, \(added) more copies of what the catalog has."
            if outdated > 0 { text += " \(outdated) are older than what their key has." }
            if left > 0 { text += " \(left) stay where they are: see above." }
            return text
        }
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        let spec = try await source.loaded()
        try await instance.requireSchema()
        let fleet = try await Instance.catalogCall { () async throws(CatalogError) in
            try await instance.catalog.snapshot()
        }
        await instance.registry.update(fleet, spec.desired)
        var backend: BackendID?
        if let name = invocation.operands.first {
            guard let record = fleet.backend(name) else {
                throw CommandFailure(.failure, "there is no backend \(name)")
            }
            backend = record.id
        }
        let adopter = Adopter(
            adoptions: instance.catalog, objects: instance.catalog, context: instance.transferContext(fleet),
            fleet: fleet, readGrace: spec.desired.fleet.safety.readGrace)
        let tally = try await adoptAll(adopter, backend, fleet)
        await instance.flushUsage()
        Terminal.say(tally.summary(invocation.has(.dryRun)))
        return tally.left == 0 ? .ok : .failure
    }

    private func adoptAll(
        _ adopter: Adopter, _ backend: BackendID?, _ fleet: FleetSnapshot
    ) async throws(CommandFailure) -> Tally {
        var tally = Tally()
        var last: Orphan?
        while true {
            let after = last
            let page = try await Instance.catalogCall { () async throws(CatalogError) in
                try await instance.catalog.orphans(backend, after: after, limit: AdoptCommand.pageSize)
            }
            for start in stride(from: 0, to: page.count, by: AdoptCommand.width) {
                let some = Array(page[start..<min(start + AdoptCommand.width, page.count)])
                for (orphan, result) in try await adopt(some, adopter) {
                    note(orphan, result, fleet.backend(orphan.backend)?.name ?? "?", &tally)
                }
            }
            last = page.last
            if page.count < AdoptCommand.pageSize { return tally }
        }
    }

    private func adopt(
        _ orphans: [Orphan], _ adopter: Adopter
    ) async throws(CommandFailure) -> [(Orphan, AdoptionResult)] {
        let isDry = invocation.has(.dryRun)
        let results = await withTaskGroup(of: (Int, Result<AdoptionResult, CatalogError>).self) { group in
            for (index, orphan) in orphans.enumerated() {
                group.addTask {
                    do throws(CatalogError) {
                        return (index, .success(try await adopter.adopt(orphan, changesNothing: isDry)))
                    } catch {
                        return (index, .failure(error))
                    }
                }
            }
            return await group.reduce(into: [Int: Result<AdoptionResult, CatalogError>]()) { $0[$1.0] = $1.1 }
        }
        return try await Instance.catalogCall { () async throws(CatalogError) in
            var found: [(Orphan, AdoptionResult)] = []
            for (index, orphan) in orphans.enumerated() {
                guard let result = results[index] else { continue }
                found.append((orphan, try result.get()))
            }
            return found
        }
    }

    private func note(_ orphan: Orphan, _ result: AdoptionResult, _ backend: String, _ tally: inout Tally) {
        let verb: String
        switch result {
        case .adopted:
            tally.adopted += 1
            verb = "object"
        case .copyAdded:
            tally.added += 1
            verb = "copy"
        case .outdated:
            tally.outdated += 1
            return
        case .notOurs where orphan.isUpload || orphan.isForeign: return
        case .notOurs:
            tally.left += 1
            verb =
                orphan.sightings < 2 ? "left (seen once; 'sluice inventory' shows the next round)" : "left (not ours)"
        case .noSuchBucket(let name):
            tally.left += 1
            verb = "left (bucket \(name) is not declared)"
        case .unreadable(let evidence):
            tally.left += 1
            verb = "left (cannot be read: \(evidence))"
        case .damaged(let evidence):
            tally.left += 1
            verb = "left (damaged: \(evidence))"
        }
        Terminal.print("\(backend)  \(verb)  \(ByteCount(orphan.bytes))  \(orphan.name)")
    }
}
