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

    /// At start. Waiting for Postgres may take long: if another instance has accepted newer files meanwhile, those that are here now are
    /// proposed, and only files that did not change are too old.
    func propose(
        _ spec: LoadedSpec, _ fingerprint: String
    ) async throws(CommandFailure) -> (spec: LoadedSpec, fingerprint: String, revision: Int64) {
        var (spec, known) = (spec, fingerprint)
        while true {
            let proposed = spec
            do throws(CommandFailure) {
                let revision = try await patiently { () async throws(CommandFailure) in
                    try await SpecSource.accept(
                        proposed, instance.catalog, by: instance.name, allowsRollback: invocation.has(.allowRollback))
                }
                return (spec, known, revision)
            } catch {
                let now = await source.fingerprint()
                guard error.code == .stale, now != known else { throw error }
                known = now
                spec = try await source.loaded()
            }
        }
    }

    func reload(_ state: ServeState, because cause: String) async {
        state.mustReload = false
        switch await source.load() {
        case .rejected(let findings, let sources):
            let text = DiagnosticRenderer.text(findings, sources: sources)
            state.specProblem = SpecProblem(
                .specRejected, "the files are invalid, the accepted revision stays in force: \(text.prefix(600))")
            instance.logger.error(
                "spec rejected, the accepted one stays in force",
                [("cause", .string(cause)), ("findings", .string(text))])
            await report(state, .specRejected, String(text.prefix(900)))
        case .accepted(let spec):
            do throws(CommandFailure) {
                let revision = try await SpecSource.accept(
                    spec, instance.catalog, by: instance.name, allowsRollback: false)
                state.accept(spec.desired, digest: spec.digest)
                instance.logger.info("spec accepted", [("cause", .string(cause)), ("revision", .int(revision))])
            } catch {
                if error.code == .unreachable {
                    // It may have been accepted; asking again tells.
                    state.mustReload = true
                    instance.logger.warning(
                        "the database does not answer; the spec is proposed again",
                        [("cause", .string(cause)), ("error", .string(error.message))])
                    return
                }
                state.specProblem = SpecProblem(.staleSpec, error.message)
                instance.logger.error(
                    "spec not accepted, the one before stays in force",
                    [("cause", .string(cause)), ("error", .string(error.message))])
                await report(state, .staleSpec, error.message)
            }
        }
    }

    func report(_ state: ServeState, _ reason: Reason, _ message: String) async {
        let event = EventRecord(Subject(.fleet, state.desired.fleet.name), isWarning: true, reason, message)
        do throws(CatalogError) { try await instance.catalog.publish([], events: [event]) } catch {
            instance.logger.debug("cannot record an event", [("error", .string("\(error)"))])
        }
    }
}
