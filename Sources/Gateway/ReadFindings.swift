import Catalog
import S3
import Telemetry
import Transfer

/// Takes what reads find out about backends: health, metrics, suspects.
struct ReadFindings: Sendable {
    let index: any ObjectIndex
    let health: HealthBoard
    let metrics: GatewayMetrics?
    let logger: Logger

    func take(_ finding: ReadFinding, _ snapshot: GatewaySnapshot) async {
        switch finding {
        case .served(let backend): health.record(backend, nil)
        case .failover(let backend, let error):
            health.record(backend, error)
            let name = ReadFindings.name(backend, snapshot)
            metrics?.readFailovers.add(1, name)
            logger.warning(
                "a read goes on from another copy",
                [
                    ("backend", .string(name)), ("error", .string(error.code.rawValue)),
                    ("evidence", .string(error.evidence)),
                ])
        case .suspect(let copy): await suspect(copy, ReadFindings.name(copy.backend, snapshot))
        }
    }

    private func suspect(_ copy: Copy, _ name: String) async {
        metrics?.suspectCopies.add(1, name)
        let fields: [(String, JSONValue)] = [("backend", .string(name)), ("copy", .string(copy.id.description))]
        guard health.believesSuspect(on: copy.backend) else {
            return logger.error(
                "many copies are missing at once: is this the right bucket or disk? Nothing is concluded", fields)
        }
        do throws(CatalogError) {
            if try await index.markSuspect(copy.id) {
                logger.warning("a copy is absent or damaged and will be repaired", fields)
            }
        } catch {
            // The next read of this copy finds the same.
            logger.warning("a suspect copy could not be recorded", fields + [("error", .string("\(error)"))])
        }
    }

    private static func name(_ backend: BackendID, _ snapshot: GatewaySnapshot) -> String {
        snapshot.backends[backend]?.standing.name ?? backend.description
    }
}
