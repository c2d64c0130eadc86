import Foundation
import Glibc

/// A whole Sluice for one test: a Postgres of its own, spec files, backends on directories or S3 servers, and the real binary.
final class Fleet: Sendable {
    struct Backend: Sendable {
        var name: String
        var location: String
        var state = "active"
        var removal: String?
    }

    let folder: TemporaryFolder
    let databaseURL: String
    let port: Int
    let adminPort: Int
    private let readGrace: String

    var endpoint: String { "http://127.0.0.1:\(port)" }
    static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    static let binary = repository + "/.build/debug/sluice"
    static let tools =
        ProcessInfo.processInfo.environment["SLUICE_TEST_TOOLS"] ?? repository + "/.build/test-tools/bin"

    /// Starts Postgres; nothing else yet.
    init(readGrace: String = "0s") async throws {
        folder = try TemporaryFolder()
        self.readGrace = readGrace
        chmod(folder.path, 0o755)
        let started = try await Subprocess.run([Fleet.repository + "/scripts/postgres", "start", folder.path + "/pg"])
        guard started.status == 0 else { throw Failure("Postgres: \(started.errors)") }
        databaseURL = started.output.trimmingCharacters(in: .whitespacesAndNewlines)
        port = try freePort()
        adminPort = try freePort()
    }

    /// Runs `body` on a fleet of its own, whose Postgres is ended whatever happens.
    static func run(readGrace: String = "0s", _ body: (Fleet) async throws -> Void) async throws {
        let fleet = try await Fleet(readGrace: readGrace)
        do { try await body(fleet) } catch {
            try await fleet.close()
            throw error
        }
        try await fleet.close()
    }

    /// Ends Postgres.
    func close() async throws {
        let stopped = try await Subprocess.run([Fleet.repository + "/scripts/postgres", "stop", folder.path + "/pg"])
        guard stopped.status == 0 else { throw Failure("Postgres: \(stopped.errors)") }
    }

    /// Starts Postgres again after `close`.
    func startPostgres() async throws {
        let started = try await Subprocess.run([Fleet.repository + "/scripts/postgres", "start", folder.path + "/pg"])
        guard started.status == 0 else { throw Failure("Postgres: \(started.errors)") }
    }

    func directory(_ name: String) -> String { folder.path + "/backends/" + name }

    /// Three backends on directories, as in the quick start.
    func directories(_ names: [String] = ["disk1", "disk2", "disk3"]) -> [Backend] {
        names.map { Backend(name: $0, location: "endpoint: file://\(directory($0))") }
    }

    /// Writes the whole spec; the running server sees it by itself.
    func writeSpec(
        _ backends: [Backend], factor: Int = 2, interval: String = "1s", trimDelay: String = "24h",
        bucketCreation: String = "declaredOnly", orphanQuarantine: String = "7d", maxDeletionsPerHour: Int? = nil,
        rebalance: String? = nil
    ) throws {
        let ceiling = maxDeletionsPerHour.map { ", maxDeletionsPerHour: \($0)" } ?? ""
        let balance = rebalance.map { "\n  rebalance: \($0)" } ?? ""
        var text = """
            apiVersion: sluice/v1
            kind: Fleet
            metadata: { name: test }
            spec:
              replication: { factor: \(factor) }
              reconcile: { interval: \(interval) }
              bucketCreation: \(bucketCreation)
              safety: { readGrace: \(readGrace), trimDelay: \(trimDelay), orphanQuarantine: \(orphanQuarantine)\(ceiling) }\(balance)
            ---
            apiVersion: sluice/v1
            kind: Bucket
            metadata: { name: photos }
            spec:
              credentials:
                - accessKeyId: photoskey
                  secretAccessKey: photossecret
                  access: readWrite

            """
        for backend in backends {
            text += """
                ---
                apiVersion: sluice/v1
                kind: Backend
                metadata: { name: \(backend.name) }
                spec:
                  state: \(backend.state)
                \(backend.location.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n"))

                """
            if let removal = backend.removal { text += "  removal: \(removal)\n" }
        }
        try folder.write("specs/fleet.yaml", text)
    }

    var environment: [String: String] {
        [
            "SLUICE_SPEC": folder.path + "/specs", "SLUICE_DATABASE_URL": databaseURL,
            "SLUICE_LISTEN": "127.0.0.1:\(port)", "SLUICE_ADMIN_LISTEN": "127.0.0.1:\(adminPort)",
            "AWS_ACCESS_KEY_ID": "photoskey", "AWS_SECRET_ACCESS_KEY": "photossecret",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "HOME": folder.path,
        ]
    }

    /// Starts `sluice serve` without waiting.
    func launch(_ extra: [String: String] = [:]) throws -> Subprocess {
        try Subprocess(
            [Fleet.binary, "serve"],
            environment: ProcessInfo.processInfo.environment.merging(environment) { _, new in new }.merging(extra) {
                _, new in new
            },
            output: folder.path + "/serve.log", errors: folder.path + "/serve.log")
    }

    /// Starts `sluice serve` and waits until it is ready.
    func serve(_ extra: [String: String] = [:], adminPort: Int? = nil) async throws -> Subprocess {
        let process = try launch(extra)
        _ = try await eventually("sluice serve is ready; its log:\n\(folder.read("serve.log"))") { () -> Bool? in
            if let status = process.poll() {
                throw Failure("sluice serve ended with \(status): \(folder.read("serve.log"))")
            }
            return isReady(adminPort ?? self.adminPort) ? true : nil
        }
        return process
    }

    private func isReady(_ port: Int) -> Bool {
        (try? httpGet(port: port, path: "/readyz"))?.contains(" 200 ") ?? false
    }

    @discardableResult
    func sluice(_ arguments: String..., environment extra: [String: String] = [:]) async throws -> Subprocess.Finished {
        try await Subprocess.run([Fleet.binary] + arguments, environment: environment.merging(extra) { _, new in new })
    }

    /// Runs awscli against the gateway and insists on success.
    @discardableResult
    func aws(_ arguments: String...) async throws -> String {
        let result = try await Subprocess.run(
            [Fleet.tools + "/aws", "--endpoint-url", endpoint] + arguments, environment: environment)
        guard result.status == 0 else {
            throw Failure(
                "aws \(arguments.joined(separator: " ")): \(result.status) \(result.errors)\n\(folder.read("serve.log").suffix(4000))"
            )
        }
        return result.output
    }

    /// Runs a Python program (boto3 is there) with the endpoint as its first argument, and insists on success.
    @discardableResult
    func python(_ program: String, _ arguments: String...) async throws -> String {
        let name = "program-\(UInt32.random(in: 0...(.max))).py"
        try folder.write(name, program)
        let result = try await Subprocess.run(
            [Fleet.tools + "/python", folder.path + "/" + name, endpoint] + arguments, environment: environment)
        guard result.status == 0 else {
            throw Failure(
                "python: \(result.status) \(result.output)\n\(result.errors)\n\(folder.read("serve.log").suffix(4000))")
        }
        return result.output
    }

    /// Asks Postgres; one row a line, columns divided by `|`.
    func sql(_ statement: String) async throws -> String {
        let result = try await Subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", databaseURL, "-c", statement])
        guard result.status == 0 else { throw Failure("psql: \(result.errors)") }
        return result.output.trimmingCharacters(in: .newlines)
    }
}
