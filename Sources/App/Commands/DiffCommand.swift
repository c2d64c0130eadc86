import Catalog
import EventLoop
import PostgresCatalog
import Spec
import Telemetry

/// `sluice diff`: the files beside the accepted revision, by lines. What a run would do is the plan's, `reconcile --dry-run`.
struct DiffCommand {
    private let invocation: Invocation
    private let instance: Instance

    init(_ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.invocation = invocation
        instance = try Instance(invocation, loops: loops, logger: .silent)
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        try await instance.requireSchema()
        let spec = try await SpecSource(path: try invocation.required(.spec), pool: instance.pool).loaded()
        let accepted: String
        do throws(CatalogError) { accepted = try await instance.catalog.acceptedText() } catch {
            throw Instance.failure(error)
        }
        let lines = DiffCommand.lines(from: accepted, to: spec.redactedText)
        guard !lines.isEmpty else {
            Terminal.say("The files are the accepted revision.")
            return .ok
        }
        Terminal.print(lines.joined(separator: "\n"))
        return .changesPending
    }

    private static let contextLines = 2

    /// Changed lines with two unchanged ones around them; empty if nothing differs.
    static func lines(from old: String, to new: String) -> [String] {
        let before = old.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let after = new.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var removed: [Int: String] = [:]
        var inserted: [Int: String] = [:]
        for change in after.difference(from: before) {
            switch change {
            case .remove(let offset, let line, _): removed[offset] = line
            case .insert(let offset, let line, _): inserted[offset] = line
            }
        }
        guard !removed.isEmpty || !inserted.isEmpty else { return [] }
        var all: [(text: String, isChange: Bool)] = []
        var (i, j) = (0, 0)
        while i < before.count || j < after.count {
            if let line = removed[i], i < before.count {
                all.append(("- \(line)", true))
                i += 1
            } else if let line = inserted[j], j < after.count {
                all.append(("+ \(line)", true))
                j += 1
            } else {
                all.append(("  \(j < after.count ? after[j] : "")", false))
                i += 1
                j += 1
            }
        }
        var lines: [String] = []
        var isCut = false
        for index in all.indices {
            let window = max(0, index - contextLines)...min(all.count - 1, index + contextLines)
            if all[window].contains(where: \.isChange) {
                lines.append(all[index].text)
                isCut = false
            } else if !isCut {
                lines.append("  …")
                isCut = true
            }
        }
        return lines
    }
}
