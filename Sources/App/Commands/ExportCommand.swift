import Catalog
import EventLoop
import Gateway
import PostgresCatalog
import Spec
import Telemetry

/// `sluice export [BUCKET]`: buckets that clients made, as spec documents.
struct ExportCommand {
    private let invocation: Invocation
    private let instance: Instance

    init(_ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.invocation = invocation
        instance = try Instance(invocation, loops: loops, logger: .silent)
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        try await instance.requireSchema()
        let desired = try await SpecSource(path: try invocation.required(.spec), pool: instance.pool).loaded().desired
        let buckets: [BucketRecord]
        do throws(CatalogError) { buckets = try await instance.catalog.snapshot().buckets } catch {
            throw Instance.failure(error)
        }
        var made = buckets.filter { $0.owner != nil && !$0.isDeclared }
        if let name = invocation.operands.first {
            made = made.filter { $0.name == name }
            guard !made.isEmpty else { throw CommandFailure(.failure, try ExportCommand.absence(name, buckets)) }
        }
        let credentials = desired.buckets.flatMap(\.credentials)
        for bucket in made {
            let credential = credentials.first { $0.accessKeyID == bucket.owner }
            Terminal.print(String(BucketExport(bucket, credential: credential).text.dropLast()))
        }
        if made.isEmpty { Terminal.say("No client has made a bucket.") }
        return .ok
    }

    private static func absence(_ name: String, _ buckets: [BucketRecord]) throws(CommandFailure) -> String {
        guard let known = buckets.first(where: { $0.name == name }) else { return "there is no bucket \(name)" }
        return known.isDeclared
            ? "bucket \(name) is declared in the spec already" : "bucket \(name) was not made by a client"
    }
}
