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
    func watch(_ state: ServeState) async {
        var known = await source.fingerprint()
        while !Task.isCancelled {
            do throws(CancellationError) { try await EventLoop.sleep(for: ServeCommand.watchPause) } catch { return }
            let now = await source.fingerprint()
            guard now != known || state.mustReload else { continue }
            known = now
            await reload(state, because: "the files changed")
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
