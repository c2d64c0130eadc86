import Catalog
import EventLoop
import PostgresCatalog
import Reconciler
import S3
import Spec
import Telemetry
import Transfer

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
                ? "\(adopted) objects would be taken back, \(added) more copies of what the catalog has; each is read and verified then."
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
        let fleet = try await instance.openFleet(spec.desired)
        var backend: BackendID?
        if let name = invocation.operands.first {
            guard let record = fleet.backend(name) else {
                throw CommandFailure(.failure, "there is no backend \(name)")
            }
            backend = record.id
        }
        let silent = try await silentBackends(fleet)
        for one in silent { Terminal.say("\(one.name): left out, \(one.reason)") }
        let adopter = Adopter(
            adoptions: instance.catalog, objects: instance.catalog, context: instance.transferContext(fleet),
            fleet: fleet, silent: silent.map(\.name), readGrace: spec.desired.fleet.safety.readGrace)
        let tally = try await adoptAll(adopter, backend, fleet)
        await instance.flushUsage()
        Terminal.say(tally.summary(invocation.has(.dryRun)))
        return tally.left == 0 && silent.isEmpty ? .ok : .failure
    }

    /// Declared backends whose objects nobody sees: what is on them may be what was lost.
    private func silentBackends(_ fleet: FleetSnapshot) async throws(CommandFailure) -> [(name: String, reason: String)]
    {
        let observed = try await Instance.catalogCall { () async throws(CatalogError) in
            try await instance.observer.observe(readsEpochs: false, groups: [])
        }
        return fleet.backends.filter { $0.isDeclared && $0.phase != .retired && !$0.isAbandoned }.compactMap { record in
            switch observed.probes[record.id] {
            case .answered(.match): return nil
            case .answered(.absent): return record.isMarked ? (record.name, "its marker is missing") : nil
            case .answered(.mismatch):
                return (
                    record.name,
                    "its marker is of another backend. If it was added after the backup, see docs/operations/README.md"
                )
            case .failed(let error): return (record.name, error.evidence)
            case .secretUnresolved(let reason): return (record.name, reason)
            case nil: return (record.name, "it was not asked")
            }
        }
    }

    /// Orphans by the version that their names say they are of; what has no such name stands alone.
    private func groups(_ fleet: FleetSnapshot) async throws(CommandFailure) -> [[Orphan]] {
        var groups: [[Orphan]] = []
        var places: [VersionID: Int] = [:]
        var last: Orphan?
        while true {
            let after = last
            let page = try await Instance.catalogCall { () async throws(CatalogError) in
                try await instance.catalog.orphans(nil, after: after, limit: AdoptCommand.pageSize)
            }
            for orphan in page {
                let prefix = fleet.backend(orphan.backend)?.spec.keyPrefix ?? ""
                guard let version = PhysicalName.parse(orphan.name, keyPrefix: prefix)?.version else {
                    groups.append([orphan])
                    continue
                }
                if let place = places[version] {
                    groups[place].append(orphan)
                } else {
                    places[version] = groups.count
                    groups.append([orphan])
                }
            }
            last = page.last
            if page.count < AdoptCommand.pageSize { return groups }
        }
    }

    private func adoptAll(
        _ adopter: Adopter, _ backend: BackendID?, _ fleet: FleetSnapshot
    ) async throws(CommandFailure) -> Tally {
        var tally = Tally()
        let wanted = try await groups(fleet).filter { group in
            backend == nil || group.contains { $0.backend == backend }
        }
        for start in stride(from: 0, to: wanted.count, by: AdoptCommand.width) {
            let some = Array(wanted[start..<min(start + AdoptCommand.width, wanted.count)])
            for (orphan, result) in try await adopt(some, adopter) {
                note(orphan, result, fleet.backend(orphan.backend)?.name ?? "?", &tally)
            }
        }
        return tally
    }

    private typealias Results = [(Orphan, AdoptionResult)]

    private func adopt(_ groups: [[Orphan]], _ adopter: Adopter) async throws(CommandFailure) -> Results {
        let isDry = invocation.has(.dryRun)
        let results = await withTaskGroup(of: (Int, Result<Results, CatalogError>).self) { tasks in
            for (index, group) in groups.enumerated() {
                tasks.addTask {
                    do throws(CatalogError) {
                        return (index, .success(try await adopter.adopt(group, changesNothing: isDry)))
                    } catch {
                        return (index, .failure(error))
                    }
                }
            }
            return await tasks.reduce(into: [Int: Result<Results, CatalogError>]()) { $0[$1.0] = $1.1 }
        }
        return try await Instance.catalogCall { () async throws(CatalogError) in
            var found: Results = []
            for index in groups.indices { if let result = results[index] { found += try result.get() } }
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
        default:
            guard let reason = AdoptCommand.obstacle(to: orphan, result) else { return }
            tally.left += 1
            verb = "left (\(reason))"
        }
        Terminal.print("\(backend)  \(verb)  \(ByteCount(orphan.bytes))  \(orphan.name)")
    }

    /// Why an orphan was left where it is; nil for what was taken back, and for what is nobody's loss.
    private static func obstacle(to orphan: Orphan, _ result: AdoptionResult) -> String? {
        switch result {
        case .adopted, .copyAdded, .outdated, .notOrphan: nil
        case .notOurs: orphan.isUpload || orphan.isForeign ? nil : "not ours"
        case .seenOnce: "seen once; 'sluice inventory' shows the next round"
        case .closed: "its backend takes nothing back: not declared, or drained"
        case .conflict: "its copies differ, and nothing says which is right"
        case .unproven(let silent): "nothing vouches for it; \(silent.joined(separator: ", ")) may have another copy"
        case .noSuchBucket(let name): "bucket \(name) is not declared"
        case .unreadable(let evidence): "cannot be read: \(evidence)"
        case .damaged(let evidence): "damaged: \(evidence)"
        }
    }
}
