import Catalog
import Crypto
import Gateway
import HTTP
import S3
import Spec
import Synchronization
import Telemetry
import TestSupport
import Transfer

/// A gateway with its doubles, a fixed clock, and clients that sign by hand.
struct GatewayHarness: Sendable {
    static let now = WallTime(seconds: 1_700_000_500)
    static let photos = ServedBucket(
        id: BucketID(1), name: "photos", createdAt: 1_690_000_000_000_000, replication: ReplicationSpec(factor: 2))
    static let logs = ServedBucket(
        id: BucketID(2), name: "logs", createdAt: 1_690_000_000_000_000, replication: ReplicationSpec(factor: 2))

    enum Proof: Sendable, CaseIterable {
        case header, presigned, none, both, wrongSecret, wrongSecretPresigned, unknownKey
    }

    struct Answer: Sendable {
        var status: Int
        var fields: Fields
        var body: [UInt8]
        /// Nil if the body came to its end.
        var bodyError: BodyError?
        var text: String { String(decoding: body, as: UTF8.self) }
        /// The text of the first element of this name.
        func element(_ name: String) -> String? { elements(name).first }
        func elements(_ name: String) -> [String] {
            text.split(separator: "<\(name)>", omittingEmptySubsequences: false).dropFirst().map { piece in
                String(piece.prefix { $0 != "<" })
            }
        }
        var code: String? { element("Code") }
    }

    let catalog: MemoryCatalog
    /// Three backends: a, b, c.
    let backends: [MemoryStore]
    let transfer: ScriptedTransfer
    let health: HealthBoard
    let server: GatewayServer
    let metrics: Metrics
    let logLines: LogLines
    let snapshots: SnapshotCell

    final class LogLines: Sendable {
        private let lines = Mutex<[String]>([])
        func append(_ line: String) { lines.withLock { $0.append(line) } }
        var all: [String] { lines.withLock { $0 } }
    }

    static let credentials = [
        GatewayCredential(
            accessKeyID: "photoskey", secret: Secret("photossecret"), grants: ["photos": [Grant(access: .readWrite)]]),
        GatewayCredential(
            accessKeyID: "readerkey", secret: Secret("readersecret"), grants: ["photos": [Grant(access: .readOnly)]]),
        GatewayCredential(
            accessKeyID: "lokikey", secret: Secret("lokisecret"),
            grants: ["photos": [Grant(access: .readWrite, prefixes: ["loki/"])], "logs": [Grant(access: .readWrite)]]),
    ]
    private static let names = ["a", "b", "c"]

    private static func fleet(
        _ backends: [MemoryStore], quota: ByteCount?, _ creation: BucketCreation, _ edit: (inout ServedBucket) -> Void
    ) -> GatewaySnapshot {
        let served = backends.enumerated().map { index, store in
            ServedBackend(
                standing: BackendStanding(
                    id: BackendID(Int32(index + 1)), name: names[index], isEligible: true, isHealthy: true,
                    quota: quota,
                    occupied: .zero),
                keyPrefix: "sluice/", store: store)
        }
        var fleet = FleetSpec(name: "test", replication: ReplicationSpec(factor: 2))
        fleet.bucketCreation = creation
        var open = photos
        edit(&open)
        return GatewaySnapshot(
            revision: 1, fleet: fleet, buckets: [open, logs],
            credentials: credentials, backends: served)
    }

    private static func catalog() -> MemoryCatalog {
        let catalog = MemoryCatalog()
        catalog.edit { tables in
            for bucket in [photos, logs] {
                tables.buckets[bucket.id] = BucketRecord(
                    id: bucket.id, name: bucket.name, isDeclared: true, createdAt: bucket.createdAt)
            }
            for (index, name) in names.enumerated() {
                let id = BackendID(Int32(index + 1))
                tables.backends[id] = BackendRecord(
                    id: id, uid: ID128(high: 9, low: UInt64(index)), name: name, phase: .active, isDeclared: true,
                    spec: BackendSpec(name: name, location: .directory(path: "/" + name)), generation: 1, isMarked: true
                )
                tables.usage[id] = BackendUsage()
            }
        }
        return catalog
    }

    /// Runs a test with jobs that may outlive their requests, as in the real program.
    static func run(
        domain: String? = nil, level: LogLevel = .info, ready: Bool = true, sleepsNotAtAll: Bool = false,
        quota: ByteCount? = nil, creation: BucketCreation = .declaredOnly,
        photos edit: (inout ServedBucket) -> Void = { _ in },
        _ test: (GatewayHarness) async throws -> Void
    ) async throws {
        let (jobs, feed) = AsyncStream<@Sendable () async -> Void>.makeStream()
        let environment = GatewayEnvironment(
            now: { now }, elapsed: { .seconds(1) }, makeRequestID: { "0123456789ABCDEF" },
            sleep: { duration in
                if sleepsNotAtAll { return await Task.yield() }
                try? await Task.sleep(for: duration)
            },
            spawn: { job in feed.yield(job) })
        let catalog = catalog()
        let backends = names.map { _ in MemoryStore() }
        let metrics = Metrics()
        let gatewayMetrics = GatewayMetrics(metrics)
        let lines = LogLines()
        let logger = Logger(level: level, now: { "" }, sink: { lines.append($0) })
        let health = HealthBoard(elapsed: environment.elapsed)
        let transfer = ScriptedTransfer(
            TransferService(
                writes: catalog, uploads: catalog, index: catalog, health: health, identifiers: SerialIdentifiers(),
                crashPlan: .none, metrics: gatewayMetrics, logger: logger
            ) { duration throws(CancellationError) in
                do { try await Task.sleep(for: duration) } catch { throw CancellationError() }
            })
        let snapshots = SnapshotCell(ready ? fleet(backends, quota: quota, creation, edit) : nil)
        let server = GatewayServer(
            snapshots: snapshots,
            services: GatewayServices(
                index: catalog, writes: catalog, uploads: catalog, buckets: catalog, transfer: transfer),
            settings: GatewaySettings(region: "us-east-1", domain: domain, tokenKey: Array("token key".utf8)),
            environment: environment, metrics: gatewayMetrics, logger: logger)
        let harness = GatewayHarness(
            catalog: catalog, backends: backends, transfer: transfer, health: health, server: server, metrics: metrics,
            logLines: lines, snapshots: snapshots)
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask {
                await withDiscardingTaskGroup { inner in
                    for await job in jobs { inner.addTask { await job() } }
                }
            }
            defer { feed.finish() }
            try await test(harness)
        }
    }

    /// How many calls reached the catalog; each is one transaction.
    var statements: Int { MemoryCatalog.Call.allCases.reduce(0) { $0 + catalog.calls($1) } }

    /// How many calls reached the catalog or a backend.
    var effects: Int {
        statements
            + backends.reduce(0) { sum, store in StoreCall.allCases.reduce(sum) { $0 + store.calls($1) } }
    }

    /// How many backends have a live copy of the key's current version.
    func copies(_ key: String) async -> Int {
        let object = ObjectName(bucket: GatewayHarness.photos.id, key: key)
        do { return try await catalog.current(object)?.copies.count ?? 0 } catch { return -1 }
    }

    func exists(_ key: String) async -> Bool { await copies(key) > 0 }

    func send(
        _ method: HTTP.Method, _ target: String, _ headers: [(String, String)] = [], body: String = "",
        key: String = "photoskey", proof: Proof = .header, payload: PayloadForm = .signed
    ) async -> Answer {
        await send(method, target, headers, bytes: Array(body.utf8), key: key, proof: proof, payload: payload)
    }

    func send(
        _ method: HTTP.Method, _ target: String, _ headers: [(String, String)] = [], bytes: [UInt8],
        key: String = "photoskey", proof: Proof = .header, payload: PayloadForm = .signed
    ) async -> Answer {
        await answer(SignedRequest.make(method, target, headers, bytes, key: key, proof: proof, payload: payload))
    }

    func answer(_ request: Request) async -> Answer {
        let response = await server.respond(to: request)
        var answer = Answer(status: response.head.status.code, fields: response.head.fields, body: [])
        switch response.body {
        case .empty: break
        case .bytes(let bytes): answer.body = bytes.array
        case .none(let length): answer.fields.set("content-length", "\(length)")
        case .stream(let length, let reader):
            if let length { answer.fields.set("content-length", "\(length)") }
            do throws(BodyError) {
                while let run = try await reader.next() { answer.body += run.array }
            } catch {
                answer.bodyError = error
            }
        }
        return answer
    }

    @discardableResult
    func put(_ key: String, _ content: String, _ headers: [(String, String)] = []) async -> Answer {
        await send(.put, "/photos/" + PercentCoding.encode(key, keepingSlash: true), headers, body: content)
    }
}
