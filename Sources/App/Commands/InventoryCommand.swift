import Catalog
import EventLoop
import HTTP
import PostgresCatalog
import Spec
import Telemetry

/// `sluice inventory [BACKEND]`: what is on the backends and in no row, and how far the look through them has come.
struct InventoryCommand {
    private static let pageSize = 1000
    /// More are counted, and not shown one by one.
    private static let shownMax = 10_000

    private let invocation: Invocation
    private let instance: Instance

    init(_ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.invocation = invocation
        instance = try Instance(invocation, loops: loops, logger: .silent)
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        try await instance.requireSchema()
        let isJSON = try invocation.wantsJSON()
        do throws(CatalogError) {
            let fleet = try await instance.catalog.snapshot()
            let records = try await instance.catalog.inventories()
            guard let name = invocation.operands.first else {
                Terminal.print(isJSON ? json(fleet, records).indented : text(fleet, records))
                return .ok
            }
            guard let backend = fleet.backend(name) else {
                Terminal.say("There is no backend \(name).")
                return .failure
            }
            let found = try await orphans(backend.id)
            Terminal.print(
                isJSON
                    ? JSONValue.object([
                        ("formatVersion", "1.0"), ("backend", .string(name)),
                        ("orphans", .array(found.map(InventoryCommand.json))),
                    ]).indented : InventoryCommand.text(found))
            return .ok
        } catch {
            throw Instance.failure(error)
        }
    }

    private func orphans(_ backend: BackendID) async throws(CatalogError) -> [Orphan] {
        var found: [Orphan] = []
        while found.count < InventoryCommand.shownMax {
            let page = try await instance.catalog.orphans(
                backend, after: found.last, limit: InventoryCommand.pageSize)
            found += page
            if page.count < InventoryCommand.pageSize { break }
        }
        return found
    }

    private func text(_ fleet: FleetSnapshot, _ records: [InventoryRecord]) -> String {
        guard !records.isEmpty else { return "No backend was looked through yet." }
        var lines: [String] = []
        for record in records {
            let name = fleet.backend(record.backend)?.name ?? "backend \(record.backend.raw)"
            let state =
                record.finishedAt.map { "complete at \(InventoryCommand.time($0))" }
                ?? "under way since \(InventoryCommand.time(record.startedAt))"
            var line = "\(name): round \(record.round) \(state); "
            line += record.orphans == 0 ? "no orphans" : "\(record.orphans) orphans, \(record.orphanBytes)"
            if let oldest = record.oldestOrphanSeenAt {
                line += ", the oldest seen since \(InventoryCommand.time(oldest))"
            }
            if record.foreign > 0 { line += "; \(record.foreign) foreign, left alone" }
            lines.append(line)
        }
        return lines.joined(separator: "\n")
    }

    private static func text(_ orphans: [Orphan]) -> String {
        guard !orphans.isEmpty else { return "No orphans." }
        return orphans.map { one in
            let kind = one.isForeign ? "foreign" : one.isUpload ? "upload " : "object "
            return "\(time(one.firstSeenAt))  \(kind)  \(ByteCount(one.bytes))  \(one.name)"
        }.joined(separator: "\n")
    }

    private static func time(_ microseconds: Int64) -> String { WallTime(seconds: microseconds / 1_000_000).rfc3339 }

    private func json(_ fleet: FleetSnapshot, _ records: [InventoryRecord]) -> JSONValue {
        .object([
            ("formatVersion", "1.0"),
            (
                "backends",
                .array(
                    records.map { record in
                        .object([
                            ("backend", .string(fleet.backend(record.backend)?.name ?? "")),
                            ("round", .int(record.round)),
                            ("startedAt", .string(InventoryCommand.time(record.startedAt))),
                            (
                                "finishedAt",
                                record.finishedAt.map { .string(InventoryCommand.time($0)) } ?? .null
                            ),
                            ("orphans", .int(record.orphans)), ("orphanBytes", .int(record.orphanBytes.value)),
                            ("foreign", .int(record.foreign)),
                        ])
                    })
            ),
        ])
    }

    private static func json(_ orphan: Orphan) -> JSONValue {
        .object([
            ("name", .string(orphan.name)), ("upload", .bool(orphan.isUpload)), ("bytes", .int(orphan.bytes)),
            ("firstSeen", .string(time(orphan.firstSeenAt))), ("sightings", .int(Int64(orphan.sightings))),
            ("foreign", .bool(orphan.isForeign)),
        ])
    }
}
