import Foundation
import Spec
import Testing

/// Whole files in, diagnostics or a desired state out.
@Suite("Spec loader") struct SpecLoaderTests {
    static let fleet = """
        apiVersion: sluice/v1
        kind: Fleet
        metadata: { name: home }
        spec: { replication: { factor: 2 } }

        """
    static let backend = """
        ---
        apiVersion: sluice/v1
        kind: Backend
        metadata: { name: disk }
        spec:
          endpoint: file:///srv/disk

        """
    /// What gives YAML its structure.
    static let syntax = Array(":-{}[]&*!|>'\"%@`#\n\t ".utf8)
    static let bucket = """
        ---
        apiVersion: sluice/v1
        kind: Bucket
        metadata: { name: photos }
        spec:
          credentials: [ { accessKeyId: k, secretAccessKey: { fromEnv: S } } ]

        """

    /// Loads `files` from a folder of their own; paths in the result are file names.
    func load(_ files: [String: String]) throws -> SpecLoad {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-spec-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, text) in files { try Data(text.utf8).write(to: folder.appendingPathComponent(name)) }
        return SpecLoader(path: folder.path) { "\($0.utf8.count)" }.load()
    }

    /// The findings as people see them, with file names only.
    private func findings(_ text: String) throws -> String {
        switch try load(["a.yaml": text]) {
        case .accepted(let spec): return DiagnosticRenderer.text(spec.warnings, sources: spec.sources).withoutFolders
        case .rejected(let findings, let sources):
            return DiagnosticRenderer.text(findings, sources: sources).withoutFolders
        }
    }

    @Test func `a complete spec is accepted with its defaults filled in`() throws {
        guard case .accepted(let spec) = try load(["a.yaml": Self.fleet + Self.backend, "b.yaml": Self.bucket]) else {
            Issue.record("rejected")
            return
        }
        #expect(
            spec.desired.fleet.replication == ReplicationSpec(factor: 2, ack: 2, minAck: 1, repairDelay: .seconds(600)))
        #expect(spec.desired.backend("disk")?.location == .directory(path: "/srv/disk"))
        #expect(spec.desired.backend("disk")?.keyPrefix == "sluice/")
        #expect(spec.desired.backend("disk")?.state == .active)
        #expect(spec.desired.bucket("photos")?.credentials.first?.access == .readWrite)
    }

    @Test func `every mistake of a file is reported at once, with its place, its line and a hint`() throws {
        let text =
            Self.fleet + """
                ---
                apiVersion: sluice/v1
                kind: Backend
                metadata: { name: b2-eu }
                spec:
                  state: drainig
                  endpoint: https://s3.example.com
                  quotas: 10GB
                  quota: 10XB

                """
        let shown = try findings(text)
        #expect(
            shown == """
                a.yaml:10:10: error: Backend.spec.state must be one of active, draining, removed, not "drainig" [E0109]
                   10 |   state: drainig
                      |          ^^^^^^^ did you mean "draining"?
                a.yaml:10:3: error: Backend.spec lacks the field "bucket" [E0106]
                   10 |   state: drainig
                      |   ^ the bucket on https://s3.example.com that holds the data
                a.yaml:10:3: error: Backend.spec lacks the field "credentials" [E0106]
                   10 |   state: drainig
                      |   ^ accessKeyId and secretAccessKey of the backend
                a.yaml:13:10: error: Backend.spec.quota is not a size [E0109]
                   13 |   quota: 10XB
                      |          ^^^^ such as 10GB or 512MiB, or unlimited
                a.yaml:12:3: error: unknown field "quotas" in Backend.spec [E0107]
                   12 |   quotas: 10GB
                      |   ^^^^^^ did you mean "quota"?
                """)
    }

    @Test(arguments: [
        ("kind: Fleet\n  metadata: x", "E0101"),
        ("\tapiVersion: sluice/v1", "E0101"),
        ("apiVersion: sluice/v1\nkind: Fleet\nkind: Fleet\nmetadata: { name: a }\nspec: {}", "E0102"),
        ("apiVersion: sluice/v1\nkind: Fleat\nmetadata: { name: a }\nspec: {}", "E0104"),
        ("apiVersion: sluice/v2\nkind: Fleet\nmetadata: { name: a }\nspec: {}", "E0105"),
        ("apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: A_B }\nspec: {}", "E0109"),
        ("apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: a }\nspec: { suspend: yes }", "E0108"),
        ("apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: a }\nspec: { replication: { factor: 0 } }", "E0109"),
        (
            "apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: a }\nspec: { replication: { factor: 2, ack: 3 } }",
            "E0109"
        ),
        ("apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: a }\nspec: !mine {}", "E0103"),
        ("apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: a }\nspec: { <<: {} }", "E0103"),
        ("apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: a }\nspec: { rebalance: { threshold: 0% } }", "E0109"),
        ("apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: a }\nspec: { rebalance: { threshold: 20 } }", "E0109"),
        (
            "apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: a }\nspec: { safety: { maxDeletionsPerHour: 0 } }",
            "E0109"
        ),
        (
            "apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: a }\nspec: { routing: pack, rebalance: {} }", "E0207"
        ),
        ("", "E0202"),
    ])
    func `a broken document has the code of its mistake`(text: String, code: String) throws {
        let shown = try findings(text)
        #expect(shown.contains("[\(code)]"), "\(shown)")
    }

    @Test func `what holds between documents is checked`() throws {
        #expect(try findings(Self.fleet).contains("[E0203]"))
        #expect(try findings(Self.fleet + "---\n" + Self.fleet + Self.backend).contains("[E0202]"))
        #expect(try findings(Self.fleet + Self.backend + Self.backend).contains("[E0201]"))
        let inside = Self.backend.replacingOccurrences(of: "name: disk", with: "name: other")
            .replacingOccurrences(of: "/srv/disk", with: "/srv/disk/below")
        #expect(try findings(Self.fleet + Self.backend + inside).contains("[E0205]"))
        let keyring = Self.bucket + "  encryption: { keyring: main }\n"
        #expect(try findings(Self.fleet + Self.backend + keyring).contains("[E0204]"))
        let removal = Self.backend + "  removal: { purge: true }\n"
        #expect(try findings(Self.fleet + removal).contains("[E0207]"))
    }

    @Test func `a drain's bandwidth and window are read, and refused where they say nothing`() throws {
        let drain = Self.backend + "  drain: { bandwidth: 50MB/s, window: { start: \"22:00\", end: \"06:30\" } }\n"
        guard case .accepted(let spec) = try load(["a.yaml": Self.fleet + drain]) else {
            Issue.record("rejected")
            return
        }
        let policy = spec.desired.backend("disk")?.drain
        #expect(policy == DrainPolicy(bandwidth: ByteCount(50_000_000), window: DailyWindow(start: 1320, end: 390)))
        for wrong in [
            "bandwidth: 50MB", "bandwidth: 0B/s", "window: { start: \"22:00\" }",
            "window: { start: \"24:00\", end: \"06:00\" }", "window: { start: \"6:00\", end: \"07:00\" }",
            "window: { start: \"06:00\", end: \"06:00\" }",
        ] {
            let shown = try findings(Self.fleet + Self.backend + "  drain: { \(wrong) }\n")
            #expect(shown.contains("[E0109]") || shown.contains("[E0106]"), "\(wrong): \(shown)")
        }
    }

    @Test func `an absent, an empty and an unreadable spec are three things`() throws {
        func code(_ path: String) -> DiagnosticCode? {
            if case .rejected(let findings, _) = SpecLoader(path: path, hash: { $0 }).load() {
                return findings.first?.code
            }
            return nil
        }
        #expect(code("/nonexistent/specs") == .specAbsent)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-empty-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        #expect(code(folder.path) == .folderEmpty)
        try Data([0xFF, 0xFE]).write(to: folder.appendingPathComponent("a.yaml"))
        #expect(code(folder.path) == .syntax)
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/b.yaml", withDestinationPath: "/nonexistent/target")
        #expect(code(folder.path) == .syntax || code(folder.path) == .fileUnreadable)
    }

    @Test func `a literal secret is a warning, and never comes back in text`() throws {
        let text = Self.fleet + Self.backend + Self.bucket.replacingOccurrences(of: "{ fromEnv: S }", with: "hunter2")
        guard case .accepted(let spec) = try load(["a.yaml": text]) else {
            Issue.record("rejected")
            return
        }
        #expect(spec.warnings.contains { $0.code == .literalSecret })
        let shown = "\(spec.desired)" + String(reflecting: spec.desired)
        #expect(!shown.contains("hunter2"))
    }

    @Test func `the examples in the repository are valid`() {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        for folder in ["local", "examples"] {
            if case .rejected(let findings, let sources) = SpecLoader(path: root + "/specs/" + folder, hash: { $0 })
                .load()
            {
                Issue.record("\(DiagnosticRenderer.text(findings, sources: sources))")
            }
        }
    }

    @Test func `mutated specs end with an answer, never with a crash`() throws {
        let seed = ProcessInfo.processInfo.environment["SLUICE_SEED"].flatMap { UInt64($0) } ?? 8841
        print("spec mutation seed \(seed)")
        var random = SplitMix(state: seed)
        let base = Array((Self.fleet + Self.backend + Self.bucket).utf8)
        for _ in 0..<300 {
            var bytes = base
            for _ in 0..<Int(random.next() % 6 + 1) {
                let index = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 3 {
                case 0: bytes[index] = UInt8(truncatingIfNeeded: random.next() % 96 + 32)
                case 1: bytes.remove(at: index)
                default: bytes.insert(Self.syntax[Int(random.next() % UInt64(Self.syntax.count))], at: index)
                }
            }
            _ = try load(["a.yaml": String(decoding: bytes, as: UTF8.self)])
        }
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

extension String {
    /// Temporary folders have random names.
    fileprivate var withoutFolders: String {
        split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.hasPrefix("/")
                ? String(line[(line.range(of: "a.yaml")?.lowerBound ?? line.startIndex)...]) : String(line)
        }.joined(separator: "\n")
    }
}
