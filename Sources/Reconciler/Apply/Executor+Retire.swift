import Catalog
import S3
import Spec
import Telemetry
import Transfer

/// The end of a removed backend (DESIGN §6, Retire and purge): listed twice, foreign objects left alone, the marker last.
extension Executor {
    /// Pages of one verification; a backend with more objects of others than this needs a key prefix of its own.
    private static let pagesMax = 10_000

    func retire(_ plan: Plan, _ observed: ObservedState, _ outcome: inout PassOutcome) async throws(CatalogError) {
        for step in plan.phases where step.to == .retired {
            guard let record = observed.fleet.backend(step.backend) else { continue }
            if record.isAbandoned {
                // Nothing can be verified there, and nothing of it counts.
                try await finish(step, "given up and retired; what may be left on it is nobody's", &outcome)
                continue
            }
            guard let store = context.stores[step.backend],
                observed.isTrusted(record)
            else { continue }
            do throws(StoreError) {
                let first = try await unknownObjects(store, record.spec.keyPrefix)
                let second = try await unknownObjects(store, record.spec.keyPrefix)
                if let unknown = second ?? first {
                    outcome.unknownObjects[record.id] = unknown
                    continue
                }
                // The listings took their time: another backend may have the place, and its markers, by now.
                let marker = try await IdentityMarker.read(store, keyPrefix: record.spec.keyPrefix, uid: record.uid)
                if case .mismatch = marker { continue }
                try await EpochMarker.removeAll(store, keyPrefix: record.spec.keyPrefix)
                try await store.delete(IdentityMarker.key(record.spec.keyPrefix), providerVersion: nil)
                context.crashPlan.reached(.afterMarkerDelete)
            } catch {
                outcome.failures += 1
                logger.warning(
                    "cannot verify that a backend is empty",
                    [("backend", .string(record.name)), ("error", .string(error.evidence))])
                continue
            }
            try await finish(step, "emptied, verified by listing and retired", &outcome)
        }
    }

    private func finish(_ step: PhaseStep, _ message: String, _ outcome: inout PassOutcome) async throws(CatalogError) {
        // No spec calls it back.
        let result = try await ledgers.fleet.change(step.backend, from: .retiring, to: .retired, under: nil)
        guard case .done = result else { return }
        context.crashPlan.reached(.afterRetired)
        outcome.phaseSteps += 1
        outcome.events.append(EventRecord(Subject(.backend, step.name), isWarning: false, .retired, message))
        logger.info("backend retired", [("backend", .string(step.name))])
    }

    /// Objects and uploads that look like ours. At this phase no row names any: each is one that the catalog does not know.
    private func unknownObjects(_ store: any ObjectStore, _ keyPrefix: String) async throws(StoreError)
        -> UnknownObjects?
    {
        var found: [String] = []
        var count = 0
        var after: String?
        for _ in 0..<Executor.pagesMax {
            let page = try await store.list(prefix: keyPrefix, after: after, limit: 1000)
            for entry in page.entries where PhysicalName.isOurs(entry.key, keyPrefix: keyPrefix) {
                count += 1
                if found.isEmpty { found.append(entry.key) }
            }
            guard page.isTruncated, let last = page.entries.last else { break }
            after = last.key
        }
        for upload in try await store.listUploads(prefix: keyPrefix)
        where PhysicalName.isOurs(upload.key, keyPrefix: keyPrefix) {
            try await store.abortUpload(upload.key, uploadID: upload.uploadID)
        }
        return found.first.map { UnknownObjects(count: count, example: $0) }
    }
}
