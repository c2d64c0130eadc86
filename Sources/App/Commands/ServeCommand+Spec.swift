import Catalog
import EventLoop
import HTTP
import PostgresCatalog
import Reconciler
import Spec
import Telemetry

/// The files of a running server: what changes there is proposed to the database, whole or not at all.
extension ServeCommand {
    /// Looks at the content itself, so that symlink swaps and mounts without events are seen too.
    ///
    /// - Parameter fingerprint: of the files that were proposed last
    func watch(_ state: ServeState, since fingerprint: String) async {
        var known = fingerprint
        while !Task.isCancelled {
            do throws(CancellationError) { try await EventLoop.sleep(for: ServeCommand.watchPause) } catch { return }
            let now = await source.fingerprint()
            guard now != known || state.mustReload else { continue }
            known = now
            await reload(state, because: "the files changed")
        }
    }

    /// At start. The revision is read before the files are: they replace what was in force then, or are read once more. Waiting for Postgres
    /// may take long, and another instance may accept newer files meanwhile.
    func propose() async throws(CommandFailure) -> (spec: LoadedSpec, fingerprint: String, revision: Int64) {
        var known: String?
        while true {
            let seen = try await patiently { () async throws(CommandFailure) in
                try await Instance.catalogCall { () async throws(CatalogError) in
                    try await instance.catalog.snapshot().revision
                }
            }
            let fingerprint = await source.fingerprint()
            let spec = try await source.loaded()
            do throws(CommandFailure) {
                let acceptance = try await patiently { () async throws(CommandFailure) in
                    try await SpecSource.propose(
                        spec, instance.catalog, by: instance.name, allowsRollback: invocation.has(.allowRollback),
                        parent: seen)
                }
                if case .accepted(let revision) = acceptance { return (spec, fingerprint, revision) }
            } catch {
                // Only files that did not change meanwhile are too old.
                guard error.code == .stale, fingerprint != known else { throw error }
            }
            known = fingerprint
        }
    }

    /// More edits than this while one is proposed are proposed a little later.
    private static let proposalsMax = 5

    func reload(_ state: ServeState, because cause: String) async {
        state.mustReload = false
        state.propose { $0.lookedAt = $0.inForce }
        for _ in 0..<ServeCommand.proposalsMax {
            switch await source.load() {
            case .rejected(let findings, let sources): return await reject(state, cause, findings, sources)
            case .accepted(let spec):
                if await propose(spec, state, because: cause) { return }
            }
        }
        state.mustReload = true
    }

    private func reject(
        _ state: ServeState, _ cause: String, _ findings: [Diagnostic], _ sources: [String: String]
    ) async {
        let text = DiagnosticRenderer.text(findings, sources: sources)
        state.specProblem = SpecProblem(
            .specRejected, "the files are invalid, the accepted revision stays in force: \(text.prefix(600))")
        instance.logger.error(
            "spec rejected, the accepted one stays in force",
            [("cause", .string(cause)), ("findings", .string(text))])
        await report(state, .specRejected, String(text.prefix(900)))
    }

    /// Files may replace only the revision that they come from: those of an instance whose mount lags behind are older than what is in
    /// force. What else is to replace it an operator says: `sluice reconcile`.
    ///
    /// - Returns: false if the files are to be read once more, since another instance was faster
    private func propose(_ spec: LoadedSpec, _ state: ServeState, because cause: String) async -> Bool {
        await rebase(state)
        let before = state.proposals
        let isNew = spec.digest != before.digest
        state.propose { $0.digest = spec.digest }
        do throws(CommandFailure) {
            let acceptance = try await SpecSource.propose(
                spec, instance.catalog, by: instance.name, allowsRollback: false, parent: before.base)
            switch acceptance {
            case .accepted(let revision):
                state.accept(spec.desired, digest: spec.digest, revision: revision)
                instance.logger.info("spec accepted", [("cause", .string(cause)), ("revision", .int(revision))])
            case .conflict(let current):
                if current < before.base {
                    // The database was restored: what came behind this revision is lost, and these files with it.
                    state.propose { $0.base = current }
                    return false
                }
                if isNew { return false }
                await standBy(state, current)
            }
        } catch {
            if error.code == .unreachable {
                // It may have been accepted; asking again tells.
                state.propose { proposals in
                    proposals.digest = before.digest
                    proposals.unresolved = spec.digest
                }
                state.mustReload = true
                instance.logger.warning(
                    "the database does not answer; the spec is proposed again",
                    [("cause", .string(cause)), ("error", .string(error.message))])
                return true
            }
            state.specProblem = SpecProblem(.staleSpec, error.message)
            instance.logger.error(
                "spec not accepted, the one before stays in force",
                [("cause", .string(cause)), ("error", .string(error.message))])
            await report(state, .staleSpec, error.message)
        }
        return true
    }

    /// Another instance accepted other files. Two specs must not pull at one fleet: this instance goes on serving, and leaves the
    /// reconciling to the others until its own files are what is in force.
    func standBy(_ state: ServeState, _ revision: Int64) async {
        let message =
            "revision \(revision) was accepted from other files than \(source.path) has here: this instance does not reconcile until they are the same. If these are the right ones: sluice reconcile"
        guard state.specProblem?.message != message else { return }
        state.specProblem = SpecProblem(.staleSpec, message)
        instance.logger.error("the spec files are not what is in force", [("revision", .int(revision))])
        await report(state, .staleSpec, message)
    }

    /// Where what the files said before is in force by now, accepted by whomever, an edit of them is one of that revision.
    private func rebase(_ state: ServeState) async {
        do throws(CatalogError) {
            let fleet = try await instance.catalog.snapshot()
            let proposals = state.proposals
            guard fleet.digest == proposals.digest || fleet.digest == proposals.unresolved else { return }
            state.propose { $0.base = fleet.revision }
        } catch {
            // The proposal meets the same.
            return
        }
    }

    func report(_ state: ServeState, _ reason: Reason, _ message: String) async {
        let event = EventRecord(Subject(.fleet, state.desired.fleet.name), isWarning: true, reason, message)
        do throws(CatalogError) { try await instance.catalog.publish([], events: [event]) } catch {
            instance.logger.debug("cannot record an event", [("error", .string("\(error)"))])
        }
    }
}
