import Catalog
import EventLoop
import HTTP
import PostgresCatalog
import Telemetry

/// `sluice object locate BUCKET/KEY`: where the bytes of an object are, by their names on the backends.
struct ObjectCommand {
    private let invocation: Invocation
    private let instance: Instance

    init(_ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.invocation = invocation
        instance = try Instance(invocation, loops: loops, logger: .silent)
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        if invocation.operands == ["lost"] { return try await lost() }
        guard invocation.operands.count == 2, invocation.operands[0] == "locate",
            let slash = invocation.operands[1].firstIndex(of: "/"), slash != invocation.operands[1].startIndex
        else { throw CommandFailure(.usage, "usage: sluice object locate BUCKET/KEY, or sluice object lost") }
        try await instance.requireSchema()
        let bucketName = String(invocation.operands[1][..<slash])
        let key = String(invocation.operands[1][invocation.operands[1].index(after: slash)...])
        let fleet: FleetSnapshot
        do throws(CatalogError) { fleet = try await instance.catalog.snapshot() } catch {
            throw Instance.failure(error)
        }
        guard let bucket = fleet.bucket(bucketName) else {
            throw CommandFailure(.failure, "there is no bucket \(bucketName)")
        }
        let placed: PlacedVersion?
        do throws(CatalogError) {
            placed = try await instance.catalog.current(ObjectName(bucket: bucket.id, key: key))
        } catch {
            throw Instance.failure(error)
        }
        guard let placed else { throw CommandFailure(.failure, "there is no object \(bucketName)/\(key)") }
        Terminal.print(try invocation.wantsJSON() ? json(placed, fleet).indented : text(placed, fleet))
        return .ok
    }

    /// Objects whose last copy went with a backend that was abandoned.
    private func lost() async throws(CommandFailure) -> ExitCode {
        try await instance.requireSchema()
        let isJSON = try invocation.wantsJSON()
        do throws(CatalogError) {
            let fleet = try await instance.catalog.snapshot()
            let buckets = Dictionary(fleet.buckets.map { ($0.id, $0.name) }) { first, _ in first }
            var last: VersionID?
            var objects: [JSONValue] = []
            while true {
                let page = try await instance.catalog.lostObjects(after: last, limit: 1000)
                for one in page {
                    let name = buckets[one.bucket] ?? "bucket \(one.bucket.raw)"
                    let time = WallTime(microseconds: one.lostAt).rfc3339
                    if isJSON {
                        objects.append(
                            .object([
                                ("bucket", .string(name)), ("key", .string(one.key)),
                                ("version", .string(one.version.description)), ("size", .int(one.size)),
                                ("etag", .string(one.etag)), ("inDoubt", .bool(one.isInDoubt)),
                                ("lostAt", .string(time)),
                            ]))
                    } else {
                        let doubt = one.isInDoubt ? "  (in doubt: a suspect copy is left)" : ""
                        Terminal.print("\(time)  \(one.size)  \(name)/\(one.key)\(doubt)")
                    }
                }
                guard page.count == 1000 else { break }
                last = page.last?.version
            }
            if isJSON {
                Terminal.print(JSONValue.object([("formatVersion", "1.0"), ("lost", .array(objects))]).indented)
            }
        } catch {
            throw Instance.failure(error)
        }
        return .ok
    }

    private func text(_ placed: PlacedVersion, _ fleet: FleetSnapshot) -> String {
        let version = placed.version
        var lines = [
            "version   \(version.id)", "size      \(version.size)", "ETag      \(version.digests.etag)",
            "modified  \(WallTime(microseconds: version.committedAt).rfc3339)", "",
        ]
        let name = { (id: BackendID) in fleet.backend(id)?.name ?? "backend \(id.raw)" }
        let width = placed.copies.map { name($0.backend).count }.max() ?? 0
        for copy in placed.copies {
            let backend = name(copy.backend)
            let state = copy.state.rawValue + (copy.isSuspect ? ", suspect" : "")
            lines.append(
                "\(backend)\(String(repeating: " ", count: width - backend.count))  \(state)  \(copy.physicalKey)")
        }
        if placed.copies.isEmpty { lines.append("No copy is left.") }
        return lines.joined(separator: "\n")
    }

    private func json(_ placed: PlacedVersion, _ fleet: FleetSnapshot) -> JSONValue {
        let copies = placed.copies.map { copy in
            JSONValue.object([
                ("backend", .string(fleet.backend(copy.backend)?.name ?? "")), ("state", .string(copy.state.rawValue)),
                ("suspect", .bool(copy.isSuspect)), ("physicalKey", .string(copy.physicalKey)),
            ])
        }
        return .object([
            ("formatVersion", "1.0"), ("version", .string(placed.version.id.description)),
            ("size", .int(placed.version.size)),
            ("etag", .string(placed.version.digests.etag)),
            ("lastModified", .string(WallTime(microseconds: placed.version.committedAt).rfc3339)),
            ("copies", .array(copies)),
        ])
    }
}
