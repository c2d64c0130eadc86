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

    /// Accepts the spec in the database, by compare-and-set on the revision that was seen.
    ///
    /// - Parameter parent: the only revision that it may replace; nil: whichever is in force
    static func accept(
        _ spec: LoadedSpec, _ ledger: any FleetLedger, by name: String, allowsRollback: Bool, parent: Int64? = nil
    ) async throws(CommandFailure) -> Int64 {
        for _ in 0..<5 {
            let acceptance: SpecAcceptance
            do throws(CatalogError) {
                let seen = if let parent { parent } else { try await ledger.snapshot().revision }
                let proposal = SpecProposal(
                    desired: spec.desired, digest: spec.digest, redactedText: spec.redactedText, acceptedBy: name,
                    parent: seen, allowsRollback: allowsRollback)
                acceptance = try await ledger.accept(proposal)
            } catch {
                throw Instance.failure(error)
            }
            switch acceptance {
            case .accepted(let revision), .unchanged(let revision): return revision
            case .conflict(let current):
                guard let parent else { continue }
                throw CommandFailure(
                    .stale, "revision \(current) was accepted in place of \(parent) meanwhile. Nothing was changed")
            case .superseded(let current, let acceptedAs):
                throw CommandFailure(
                    .stale,
                    "this spec was accepted before, as revision \(acceptedAs), and superseded; revision \(current) is in force. "
                        + "If it is to come back: sluice reconcile --allow-rollback, or change the file")
            case .refused(.retiringCannotReturn(let backend)), .refused(.nameRetired(let backend)):
                throw CommandFailure(
                    .blocked,
                    "backend \(backend) is being retired, which cannot be undone; declare a new one under another name")
            }
        }
        throw CommandFailure(
            .stale, "other instances keep accepting other specs; see that all of them read the same files")
    }
}
