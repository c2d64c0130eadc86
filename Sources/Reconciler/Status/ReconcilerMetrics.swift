import Catalog
import Spec
package import Telemetry

/// The reconciler's Prometheus families.
package struct ReconcilerMetrics: Sendable {
    private let copies: Metrics.Family
    private let bytes: Metrics.Family
    private let remaining: Metrics.Family
    private let condition: Metrics.Family
    private let short: Metrics.Family
    private let orphans: Metrics.Family
    private let orphanBytes: Metrics.Family
    private let month: Metrics.Family
    private let quota: Metrics.Family
    private let phase: Metrics.Family
    private let dropsLastHour: Metrics.Family
    private let moved: Metrics.Family
    private let movedBytes: Metrics.Family
    private let dropped: Metrics.Family
    private let deleted: Metrics.Family
    private let failures: Metrics.Family
    private let duration: Metrics.Histogram
    private let lastSuccess: Metrics.Family
    private let wallSeconds: @Sendable () -> Double

    /// - Parameter wallSeconds: the wall clock, in seconds since 1970
    package init(_ metrics: Metrics, wallSeconds: @escaping @Sendable () -> Double) {
        copies = metrics.gauge("sluice_copies", help: "Copies by state.", labels: ["backend", "state"])
        bytes = metrics.gauge("sluice_copy_bytes", help: "Bytes of copies by state.", labels: ["backend", "state"])
        remaining = metrics.gauge(
            "sluice_drain_remaining_bytes", help: "Bytes that are still to leave a draining backend.",
            labels: ["backend"])
        condition = metrics.gauge(
            "sluice_condition", help: "1 for the status that holds.", labels: ["kind", "name", "type", "status"])
        short = metrics.gauge("sluice_copies_missing", help: "Copies that are still to be made.")
        orphans = metrics.gauge(
            "sluice_orphans", help: "Objects that are ours by name and in no row, in quarantine.", labels: ["backend"])
        orphanBytes = metrics.gauge("sluice_orphan_bytes", help: "Bytes of orphans.", labels: ["backend"])
        month = metrics.gauge(
            "sluice_backend_month", help: "Usage of this calendar month, UTC: requests, bytes of egress and ingress.",
            labels: ["backend", "kind"])
        quota = metrics.gauge(
            "sluice_backend_quota_bytes", help: "Declared quota; absent without one.", labels: ["backend"])
        phase = metrics.gauge(
            "sluice_backend_phase", help: "1 for the phase that holds.", labels: ["backend", "phase"])
        dropsLastHour = metrics.gauge(
            "sluice_drops_last_hour", help: "Copies dropped within the hour; counted while there is a ceiling.")
        moved = metrics.counter("sluice_copies_moved_total", help: "Copies that this instance made.")
        movedBytes = metrics.counter("sluice_moved_bytes_total", help: "Bytes of copies that this instance made.")
        dropped = metrics.counter("sluice_copies_dropped_total", help: "Copies that this instance doomed.")
        deleted = metrics.counter(
            "sluice_copies_deleted_total", help: "Doomed copies whose bytes this instance deleted.")
        failures = metrics.counter(
            "sluice_reconcile_failures_total", help: "Moves and deletions that failed and are tried again.")
        duration = metrics.histogram("sluice_reconcile_duration_seconds", help: "Duration of a pass.")
        lastSuccess = metrics.gauge(
            "sluice_reconcile_last_success_timestamp_seconds", help: "When a pass last ended well.")
        self.wallSeconds = wallSeconds
    }

    /// What one pass did, of control or of movement.
    func count(_ outcome: PassOutcome) {
        moved.add(Double(outcome.moved))
        movedBytes.add(Double(outcome.movedBytes))
        dropped.add(Double(outcome.doomed))
        deleted.add(Double(outcome.deleted))
        failures.add(Double(outcome.failures))
    }

    func record(
        _ observed: ObservedState, _ conditions: [ConditionRecord], _ plan: Plan, _ inventories: [InventoryRecord],
        took: Duration
    ) {
        for record in inventories {
            guard let name = observed.fleet.backend(record.backend)?.name else { continue }
            orphans.set(Double(record.orphans), name)
            orphanBytes.set(Double(record.orphanBytes.value), name)
        }
        for backend in observed.fleet.backends {
            let usage = observed.fleet.usage[backend.id] ?? BackendUsage()
            for (state, tally) in [("writing", usage.writing), ("live", usage.live), ("doomed", usage.doomed)] {
                copies.set(Double(tally.copies), backend.name, state)
                bytes.set(Double(tally.bytes.value), backend.name, state)
            }
            let used = observed.fleet.monthly[backend.id] ?? .zero
            for (kind, value) in [("requests", used.requests), ("egress", used.egress), ("ingress", used.ingress)] {
                month.set(Double(value), backend.name, kind)
            }
            if let limit = backend.spec.quota { quota.set(Double(limit.value), backend.name) }
            for one in BackendPhase.allCases { phase.set(backend.phase == one ? 1 : 0, backend.name, one.rawValue) }
            remaining.set(backend.phase == .draining ? Double(usage.live.bytes.value) : 0, backend.name)
        }
        for one in conditions {
            for status in ConditionStatus.allCases {
                condition.set(
                    one.status == status ? 1 : 0, one.subject.kind.rawValue, one.subject.name, one.type.rawValue,
                    status.rawValue)
            }
        }
        short.set(Double(plan.missing.copies))
        dropsLastHour.set(Double(observed.pace.dropsLastHour))
        duration.observe(took)
        lastSuccess.set(wallSeconds())
    }
}
