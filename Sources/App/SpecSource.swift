import Catalog
import Crypto
import EventLoop
import Spec
import Telemetry

/// Loads the spec, and proposes it to the database.
struct SpecSource: Sendable {
    let path: String
    let pool: BlockingPool

    private var loader: SpecLoader {
        SpecLoader(path: path) { Hex.encode(Digest.hash(.sha256, $0)) }
    }

    func load() async -> SpecLoad { await pool.run { loader.load() } }
    func fingerprint() async -> String { await pool.run { loader.fingerprint() } }

    /// The spec, or a failure whose message is all findings.
    func loaded() async throws(CommandFailure) -> LoadedSpec {
        switch await load() {
        case .accepted(let spec): return spec
        case .rejected(let findings, let sources): throw SpecSource.rejected(findings, sources)
        }
    }

    static func rejected(_ findings: [Diagnostic], _ sources: [String: String]) -> CommandFailure {
        let errors = findings.filter { $0.severity == .error }.count
        return CommandFailure(
            .specInvalid,
            DiagnosticRenderer.text(findings, sources: sources)
                + "\n\(errors) error\(errors == 1 ? "" : "s"); nothing was changed")
    }

    /// What became of a spec that was proposed.
    enum Acceptance {
        case accepted(revision: Int64)
        /// Another one was accepted since the revision that was to be replaced.
        case conflict(revision: Int64)
    }

    /// Accepts the spec in the database, by compare-and-set on a revision.
    ///
    /// - Parameter parent: the only revision that it may replace: what was in force when its files were read, or the one that they come
    ///   from. Files that are older than what is in force would replace it otherwise.
    static func propose(
        _ spec: LoadedSpec, _ ledger: any FleetLedger, by name: String, allowsRollback: Bool, parent: Int64
    ) async throws(CommandFailure) -> Acceptance {
        let proposal = SpecProposal(
            desired: spec.desired, digest: spec.digest, redactedText: spec.redactedText, acceptedBy: name,
            parent: parent, allowsRollback: allowsRollback)
        return try accepted(
            try await Instance.catalogCall { () async throws(CatalogError) in try await ledger.accept(proposal) })
    }

    /// A failure if the spec would not be accepted now.
    static func check(
        _ spec: LoadedSpec, _ ledger: any FleetLedger, allowsRollback: Bool
    ) async throws(CommandFailure) {
        let proposal = SpecProposal(
            desired: spec.desired, digest: spec.digest, redactedText: spec.redactedText, acceptedBy: "", parent: 0,
            allowsRollback: allowsRollback)
        _ = try accepted(
            try await Instance.catalogCall { () async throws(CatalogError) in try await ledger.verdict(proposal) })
    }

    private static func accepted(_ acceptance: SpecAcceptance) throws(CommandFailure) -> Acceptance {
        switch acceptance {
        case .accepted(let revision), .unchanged(let revision): return .accepted(revision: revision)
        case .conflict(let current): return .conflict(revision: current)
        case .superseded(let current, let acceptedAs):
            throw CommandFailure(
                .stale,
                "this spec was accepted before, as revision \(acceptedAs), and superseded; revision \(current) is in force. "
                    + "If it is to come back: sluice reconcile --allow-rollback, or change the file")
        case .refused(.retiringCannotReturn(let backend)):
            throw CommandFailure(
                .blocked,
                "backend \(backend) is being retired, which cannot be undone; declare a new one under another name")
        case .refused(.nameRetired(let backend)):
            throw CommandFailure(
                .blocked, "backend \(backend) was retired, and names are not used twice; declare it under another name")
        }
    }

    /// For commands: a conflict is a failure.
    static func accept(
        _ spec: LoadedSpec, _ ledger: any FleetLedger, by name: String, allowsRollback: Bool, parent: Int64
    ) async throws(CommandFailure) -> Int64 {
        switch try await propose(spec, ledger, by: name, allowsRollback: allowsRollback, parent: parent) {
        case .accepted(let revision): return revision
        case .conflict(let current):
            throw CommandFailure(
                .stale, "revision \(current) was accepted in place of \(parent) meanwhile. Nothing was changed")
        }
    }
}
