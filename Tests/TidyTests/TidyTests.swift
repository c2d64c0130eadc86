import Foundation
import Testing

/// Reads the source tree and fails on what the house rules forbid (docs: ARCHITECTURE.md), with file and line.
@Suite("Tidy") struct TidyTests {
    struct Source: Sendable {
        let path: String
        let lines: [String]
        var module: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }
    }

    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    static let sources: [Source] = {
        let files = FileManager.default.enumerator(atPath: root + "/Sources")?.compactMap { $0 as? String } ?? []
        return files.filter { $0.hasSuffix(".swift") }.sorted().compactMap { file in
            guard let text = try? String(contentsOfFile: root + "/Sources/" + file, encoding: .utf8) else { return nil }
            return Source(
                path: "Sources/" + file,
                lines: text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
        }
    }()

    private func offences(
        in modules: Set<String>? = nil, except: Set<String> = [], _ isOffence: (String, Int, Source) -> Bool
    ) -> [String] {
        Self.sources.filter { (modules?.contains($0.module) ?? true) && !except.contains($0.path) }.flatMap { source in
            source.lines.enumerated().compactMap { index, line in
                let code = line.trimmingCharacters(in: .whitespaces)
                guard !code.hasPrefix("//"), isOffence(code, index, source) else { return nil }
                return "\(source.path):\(index + 1): \(code)"
            }
        }
    }

    /// Whether a comment stands beside a line: in the lines above it, or at its end.
    private func isExplained(_ index: Int, _ source: Source) -> Bool {
        source.lines[max(0, index - 6)...index].contains { $0.contains("//") }
    }

    @Test func `the tree is read at all`() { #expect(Self.sources.count > 100) }

    @Test func `the core reads no clock, draws no randomness, prints nothing`() {
        let words = [
            "ContinuousClock", "SystemRandom", "clock_gettime", ".random(", "SystemRandomNumberGenerator", "print(",
            "UUID(",
        ]
        let found = offences(in: ["Catalog", "Transfer", "Reconciler", "Spec"]) { code, _, _ in
            words.contains { code.contains($0) } && !code.contains("fingerprint(")
        }
        #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
    }

    @Test func `each C library has one owner, and Foundation none`() {
        let owners = [
            "CPostgres": ["Postgres"], "COpenSSL": ["Crypto"], "CYAML": ["Spec"],
            "CLinux": ["EventLoop", "FileStore", "App"], "Foundation": ["TestSupport"],
        ]
        let found = offences { code, _, source in
            guard let name = code.split(separator: " ").last.map(String.init), code.contains("import "),
                let allowed = owners[name]
            else { return false }
            return !allowed.contains(source.module)
        }
        #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
    }

    @Test func `the reconciler and the gateway do not know each other, nor a database, a socket or a driver`() {
        let forbidden = ["Postgres", "PostgresCatalog", "Transport", "EventLoop", "S3Client", "FileStore", "App"]
        let found = offences(in: ["Reconciler", "Gateway", "Transfer", "Catalog"]) { code, _, source in
            guard code.hasPrefix("import ") || code.hasPrefix("package import "),
                let name = code.split(separator: " ").last.map(String.init)
            else { return false }
            return forbidden.contains(name) || source.module == "Reconciler" && name == "Gateway"
                || source.module == "Gateway" && name == "Reconciler"
        }
        #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
    }

    @Test func `tasks are structured; only the event loop makes roots`() {
        let found = offences(except: ["Sources/EventLoop/EventLoop.swift"]) { code, _, _ in
            code.contains(/(^|[^A-Za-z])Task \{/) || code.contains("Task.detached") || code.contains("Task(executor")
        }
        #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
    }

    @Test func `nothing is public, unfinished, or forced`() {
        let found = offences { code, _, _ in
            code.hasPrefix("public ") || code.contains("TODO") || code.contains("FIXME") || code.contains("try!")
                || code.contains("fatalError(")
        }
        #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
    }

    @Test func `what the compiler cannot prove is explained beside it`() {
        let found = offences { code, index, source in
            (code.contains("@unchecked Sendable") || code.contains("nonisolated(unsafe)"))
                && !isExplained(index, source)
        }
        #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
    }

    @Test func `every crash point is reached somewhere`() {
        let text = Self.sources.flatMap(\.lines).joined(separator: "\n")
        let points = Self.sources.first { $0.path.hasSuffix("/CrashPoint.swift") }?.lines.compactMap {
            $0.firstMatch(of: /case (\w+) = "after-/).map { String($0.1) }
        }
        #expect(points?.count ?? 0 > 20)
        for point in points ?? [] { #expect(text.contains("reached(.\(point))"), "\(point)") }
    }

    @Test func `types avoid the words that say nothing`() {
        let words = ["Manager", "Helper", "Util", "Common", "Impl", "Info"]
        let found = offences { code, _, _ in
            guard let match = code.firstMatch(of: /\b(struct|class|enum|protocol|actor) ([A-Za-z0-9]+)/) else {
                return false
            }
            return words.contains { match.2.contains($0) }
        }
        #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
    }

    @Test func `files fit a sitting`() {
        /// What is still too long; the list may only shrink.
        let known: Set<String> = ["Sources/Spec/DesiredState.swift"]
        let long = Self.sources.filter { $0.lines.count > 400 && !known.contains($0.path) }.map {
            "\($0.path): \($0.lines.count) lines"
        }
        #expect(long.isEmpty, "\(long.joined(separator: "\n"))")
    }
}
