package import Catalog
import S3
import Synchronization
package import Telemetry
import Transfer

/// Takes what reads find out about backends: health, metrics, suspects.
package struct ReadFindings: Sendable {
    private let index: any ObjectIndex
    private let health: HealthBoard
    private let suspects: SuspectGuard
    private let metrics: GatewayMetrics
    private let logger: Logger

    package init(index: any ObjectIndex, health: HealthBoard, suspects: SuspectGuard, metrics: GatewayMetrics, logger: Logger) {
        self.index = index
        self.health = health
        self.suspects = suspects
        self.metrics = metrics
        self.logger = logger
    }

    func take(_ finding: ReadFinding, _ snapshot: GatewaySnapshot) async {
        switch finding {
        case .served(let backend): health.record(backend, nil)
        case .failover(let backend, let error):
            health.record(backend, error)
            let name = ReadFindings.name(backend, snapshot)
            metrics.readFailovers.add(1, name)
            logger.warning(
                "a read goes on from another copy",
                [("backend", .string(name)), ("error", .string(error.code.rawValue)), ("evidence", .string(error.evidence))])
        case .suspect(let copy): await suspect(copy, ReadFindings.name(copy.backend, snapshot))
        }
    }

    private func suspect(_ copy: Copy, _ name: String) async {
        metrics.suspectCopies.add(1, name)
        let fields: [(String, JSONValue)] = [("backend", .string(name)), ("copy", .string(copy.id.description))]
        guard suspects.believes(copy.backend) else {
            return logger.error("many copies are missing at once: is this the right bucket or disk? Nothing is concluded", fields)
        }
        do throws(CatalogError) {
            if try await index.markSuspect(copy.id) { logger.warning("a copy is absent or damaged and will be repaired", fields) }
        } catch {
            // The next read of this copy finds the same.
            logger.warning("a suspect copy could not be recorded", fields + [("error", .string("\(error)"))])
        }
    }

    private static func name(_ backend: BackendID, _ snapshot: GatewaySnapshot) -> String {
        snapshot.backends[backend]?.standing.name ?? backend.description
    }
}

/// Tells single damaged copies from a backend that is not what it should be: a wrong bucket answers 404 to everything.
package final class SuspectGuard: Sendable {
    private let elapsed: @Sendable () -> Duration
    private let recent = Mutex<[BackendID: [Duration]]>([:])

    package init(elapsed: @escaping @Sendable () -> Duration) { self.elapsed = elapsed }

    /// Records one more suspect; false if there were too many lately to believe any of them.
    package func believes(_ backend: BackendID) -> Bool {
        let now = elapsed()
        return recent.withLock { recent in
            var times = (recent[backend] ?? []).filter { now - $0 < GatewayLimits.suspectsWindow }
            if times.count >= GatewayLimits.suspectsMax { times.removeFirst() }
            times.append(now)
            recent[backend] = times
            return times.count < GatewayLimits.suspectsMax
        }
    }
}
