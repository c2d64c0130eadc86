package import Catalog
import S3
import Spec
package import Telemetry
package import Transfer

/// One step through a backend's copies.
package enum ScrubStep: Sendable, Equatable {
    /// No round is due, or another instance is at it.
    case idle
    case progressed(ScrubTally)
    case finished(ScrubTally)
}

/// Reads and verifies copies, a batch at a time; what is damaged becomes suspect, and repair makes it anew from another copy.
package struct Scrubber: Sendable {
    private let scrubs: any ScrubLedger
    private let objects: any ObjectIndex
    private let context: TransferContext
    private let limits: ReconcilerLimits
    private let logger: Logger

    package init(
        scrubs: any ScrubLedger, objects: any ObjectIndex, context: TransferContext, limits: ReconcilerLimits,
        logger: Logger
    ) {
        self.scrubs = scrubs
        self.objects = objects
        self.context = context
        self.limits = limits
        self.logger = logger
    }

    /// - Parameter interval: begins a round if the last began so long ago; nil only goes on with one
    package func step(_ record: BackendRecord, interval: Duration?) async throws(CatalogError) -> ScrubStep {
        let token = context.identifiers.makeLeaseToken()
        guard
            let position = try await scrubs.beginScrub(
                record.id, interval: interval, token: token, lease: limits.scrubLease)
        else { return .idle }
        let page = try await scrubs.copiesToScrub(record.id, after: position.after, limit: limits.scrubBatch)
        var batch: [PlacedVersion] = []
        var bytes: Int64 = 0
        for one in page where batch.isEmpty || bytes + one.version.size <= limits.scrubBytes {
            batch.append(one)
            bytes += one.version.size
        }
        // A gap would leave copies out: what comes behind the first that is too much waits.
        batch = Array(page.prefix(batch.count))
        let scrubber = CopyScrubber(context: context)
        let (scrubs, lease, width) = (scrubs, limits.scrubLease, limits.concurrency)
        // A large object takes longer than any lease.
        let verdicts = await LeaseKeeper.keeping(
            lease, context,
            { () async throws(CatalogError) in
                try await scrubs.renewScrub(record.id, token: token, lease: lease)
            }
        ) { [batch] in
            await BoundedGroup.map(batch, width: width) { one in
                (one, await scrubber.verify(one.copies[0], of: one.version))
            }
        }
        let tally = try await take(verdicts, record)
        let isLast = batch.count == page.count && page.count < limits.scrubBatch
        let holds = try await scrubs.recordScrub(
            record.id, token: token, round: position.round, through: isLast ? nil : batch.last?.version.id, tally)
        guard holds else { return .idle }
        return isLast ? .finished(tally) : .progressed(tally)
    }

    private func take(
        _ verdicts: [(PlacedVersion, ScrubVerdict)], _ record: BackendRecord
    ) async throws(CatalogError) -> ScrubTally {
        let damaged = verdicts.filter { if case .damaged = $0.1 { true } else { false } }
        // So many at once are a wrong bucket or an empty disk, not damage (DESIGN §6, Read): nothing is concluded.
        let isBelieved = damaged.count < limits.scrubDamagedMax || damaged.count * 2 < verdicts.count
        var tally = ScrubTally()
        for (one, verdict) in verdicts {
            let copy = one.copies[0]
            let fields: [(String, JSONValue)] = [
                ("backend", .string(record.name)), ("copy", .string(copy.id.description)),
                ("name", .string(copy.physicalKey)),
            ]
            tally.copies += 1
            switch verdict {
            case .intact: tally.bytes += one.version.size
            case .unreadable(let error):
                tally.unreadable += 1
                logger.warning("scrub cannot read a copy", fields + [("error", .string(error.evidence))])
            case .damaged(let evidence) where !isBelieved:
                tally.unreadable += 1
                logger.warning("scrub finds too much damage to believe", fields + [("error", .string(evidence))])
            case .damaged(let evidence):
                // Deleted or moved meanwhile: it was no copy to be there.
                guard try await objects.markSuspect(copy.id) else { continue }
                tally.damaged += 1
                logger.warning("scrub found a damaged copy", fields + [("error", .string(evidence))])
            }
        }
        return tally
    }
}

extension Executor {
    /// One batch on each backend, all of them at once: their disks do not wait for each other.
    func scrub(_ pass: MovementPass, _ outcome: inout PassOutcome) async throws(CatalogError) {
        guard !pass.time.isCutShort else { return }
        let scrubber = Scrubber(
            scrubs: ledgers.scrubs, objects: ledgers.objects, context: context, limits: limits, logger: logger)
        let records = pass.observed.fleet.backends.filter { pass.observed.isConfirmed($0) && !$0.isAbandoned }
        let interval = pass.desired.fleet.scrubInterval
        let steps = await BoundedGroup.map(records, width: limits.concurrency) { record in
            do throws(CatalogError) {
                return (
                    record, Result<ScrubStep, CatalogError>.success(try await scrubber.step(record, interval: interval))
                )
            } catch {
                return (record, .failure(error))
            }
        }
        for (record, step) in steps {
            let damaged: Int64
            switch try step.get() {
            case .idle: continue
            case .progressed(let tally), .finished(let tally): damaged = tally.damaged
            }
            guard damaged > 0 else { continue }
            outcome.events.append(
                EventRecord(
                    Subject(.backend, record.name), isWarning: true, .damageFound,
                    "\(Grouped.number(damaged)) copies are absent or damaged; they are made anew from others"))
        }
    }
}
