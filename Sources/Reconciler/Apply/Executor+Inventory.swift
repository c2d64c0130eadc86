import Catalog
import S3
import Spec
import Telemetry
import Transfer

/// The look through the backends for what no row names (DESIGN §6): recorded, kept in quarantine, then deleted like any copy.
extension Executor {
    func takeInventory(
        _ observed: ObservedState, _ desired: DesiredState, _ outcome: inout PassOutcome
    ) async throws(CatalogError) {
        let usual = limits.inventoryInterval(quarantine: desired.fleet.safety.orphanQuarantine)
        // An operator waits to see what a catalog that went back in time does not know.
        let isPressing = observed.safeguard.halt != nil ? true : try await isAfterSilence(observed)
        let interval = isPressing ? min(usual, limits.inventoryIntervalHalted) : usual
        for record in observed.fleet.backends {
            guard let store = context.stores[record.id], observed.isConfirmed(record), !record.isAbandoned else {
                continue
            }
            try await lookThrough(record, store, interval, &outcome)
        }
        // A backend that is away may hold the marker that says that the catalog went back in time: then orphans are all that
        // is left of what was written since.
        let declared = observed.fleet.backends.filter { $0.isDeclared && $0.phase != .retired }
        guard observed.mayDestroy, declared.allSatisfy({ observed.isConfirmed($0) }) else { return }
        guard try await areExplained(declared, desired, &outcome) else { return }
        for record in declared {
            guard let store = context.stores[record.id] else { continue }
            try await doomOrphans(record, store, desired.fleet.safety, observed, &outcome)
        }
    }

    /// In the first minutes after the database was silent or started: if it was restored, objects tell that nothing else tells.
    private func isAfterSilence(_ observed: ObservedState) async throws(CatalogError) -> Bool {
        guard let moment = observed.pace.moment, let last = try await ledgers.safeguard.lifetimes().last else {
            return false
        }
        return moment - max(0, last.since) < ReconcilerLimits.silenceWatch.microseconds
    }

    /// Whether all orphans that were seen twice are from times that the catalog lived through. A crash of Postgres loses intents
    /// of its last moment; a restore loses whatever was written since, and nothing else may tell of it.
    private func areExplained(
        _ declared: [BackendRecord], _ desired: DesiredState, _ outcome: inout PassOutcome
    ) async throws(CatalogError) -> Bool {
        var lifetimes: [CatalogLifetime]?
        for record in declared {
            for orphan in try await ledgers.inventory.dueOrphans(
                record.id, quarantine: .zero, limit: limits.orphanBatch)
            {
                guard let parts = PhysicalName.parse(orphan.name, keyPrefix: record.spec.keyPrefix) else { continue }
                let known: [CatalogLifetime]
                if let lifetimes { known = lifetimes } else { known = try await ledgers.safeguard.lifetimes() }
                lifetimes = known
                let written = parts.version.raw.milliseconds
                let isKnown = known.contains {
                    $0.contains(written, tolerance: ReconcilerLimits.aliveTolerance)
                }
                if isKnown { continue }
                let evidence = RewindEvidence.unknownTime(backend: record.name, name: orphan.name, written: written)
                try await halt(evidence)
                outcome.events.append(
                    EventRecord(
                        Subject(.fleet, desired.fleet.name), isWarning: true, .catalogRewound, evidence.description))
                return false
            }
        }
        return true
    }

    private func lookThrough(
        _ record: BackendRecord, _ store: any ObjectStore, _ interval: Duration, _ outcome: inout PassOutcome
    ) async throws(CatalogError) {
        let token = context.identifiers.makeLeaseToken()
        guard
            var position = try await ledgers.inventory.beginInventory(
                record.id, interval: interval, token: token, lease: limits.inventoryLease)
        else { return }
        var fresh = 0
        for number in 1...max(1, limits.inventoryPages) {
            let page: InventoryPage
            do throws(StoreError) {
                page = try await self.page(record, store, token, position)
            } catch {
                outcome.failures += 1
                logger.warning(
                    "cannot list a backend for its inventory",
                    [("backend", .string(record.name)), ("error", .string(error.evidence))])
                break
            }
            // Behind the last page of this pass the next one goes on at once.
            let lease = number < limits.inventoryPages ? limits.inventoryLease : .zero
            guard let found = try await ledgers.inventory.record(page, lease: lease) else { break }
            fresh += found
            guard let through = page.through else { break }
            position.after = through
        }
        guard fresh > 0 else { return }
        let message =
            "\(Grouped.number(Int64(fresh))) more objects that no row names; in quarantine for safety.orphanQuarantine"
        outcome.events.append(EventRecord(Subject(.backend, record.name), isWarning: true, .orphansFound, message))
        logger.warning("orphans found", [("backend", .string(record.name)), ("orphans", .int(Int64(fresh)))])
    }

    private func page(
        _ record: BackendRecord, _ store: any ObjectStore, _ token: LeaseToken, _ position: InventoryPosition
    ) async throws(StoreError) -> InventoryPage {
        let prefix = record.spec.keyPrefix
        let listing = try await store.list(prefix: prefix, after: position.after, limit: 1000)
        let ours = listing.entries.filter { PhysicalName.isOurs($0.key, keyPrefix: prefix) }
        var uploads: [ListedName]?
        if !listing.isTruncated {
            let open = try await store.listUploads(prefix: prefix)
            // Where there may be more than one answer holds, none of those that are not in it may be forgotten.
            if open.count < 1000 {
                let names = Set(open.map(\.key).filter { PhysicalName.isOurs($0, keyPrefix: prefix) })
                uploads = names.sorted().map { ListedName(name: $0, bytes: 0) }
            }
        }
        return InventoryPage(
            backend: record.id, token: token, position: position,
            through: listing.isTruncated ? listing.entries.last?.key : nil,
            objects: ours.map { ListedName(name: $0.key, bytes: $0.size) }, uploads: uploads)
    }

    /// Whether nobody reads the version any more, or another copy of it was seen just now: a row alone is no proof here.
    private func isDispensable(
        _ orphan: Orphan, _ own: CopyMetadata.Description, _ observed: ObservedState
    ) async throws(CatalogError) -> Bool {
        guard let bucket = observed.fleet.bucket(own.bucket),
            let placed = try await ledgers.objects.current(ObjectName(bucket: bucket.id, key: own.key)),
            placed.version.id == own.version
        else { return true }
        for copy in placed.copies where copy.state == .live && !copy.isSuspect {
            guard let holder = observed.fleet.backend(copy.backend), observed.isConfirmed(holder), holder.isDeclared,
                let store = context.stores[copy.backend]
            else { continue }
            do throws(StoreError) {
                if try await store.head(copy.physicalKey).size == placed.version.size { return true }
            } catch {
                continue
            }
        }
        return false
    }

    private func doomOrphans(
        _ record: BackendRecord, _ store: any ObjectStore, _ safety: SafetySpec, _ observed: ObservedState,
        _ outcome: inout PassOutcome
    ) async throws(CatalogError) {
        var doomed = 0
        for orphan in try await ledgers.inventory.dueOrphans(
            record.id, quarantine: safety.orphanQuarantine, limit: limits.orphanBatch)
        {
            guard let parts = PhysicalName.parse(orphan.name, keyPrefix: record.spec.keyPrefix) else {
                try await ledgers.inventory.markForeign(orphan)
                continue
            }
            let found: StoredObject
            do throws(StoreError) {
                found = try await store.head(orphan.name)
            } catch {
                // The next round forgets what is not there any more.
                if error.code == .noSuchKey { continue }
                break
            }
            guard let own = CopyMetadata.parse(found.metadata), own.describes(parts) else {
                try await ledgers.inventory.markForeign(orphan)
                continue
            }
            guard try await isDispensable(orphan, own, observed) else {
                try await ledgers.inventory.keep(orphan)
                continue
            }
            let answer = try await ledgers.inventory.doomOrphan(
                orphan, of: parts.version, copy: context.identifiers.makeCopyID(),
                owner: context.identifiers.makeVersionID(), hourlyMax: safety.deletionsPerHourMax)
            context.crashPlan.reached(.afterOrphanDoom)
            if case .doomed = answer { doomed += 1 }
            if case .ceilingReached = answer { break }
        }
        guard doomed > 0 else { return }
        outcome.doomed += doomed
        outcome.events.append(
            EventRecord(
                Subject(.backend, record.name), isWarning: false, .orphansRemoved,
                "\(Grouped.number(Int64(doomed))) objects that no row named are deleted after their quarantine"))
    }
}
