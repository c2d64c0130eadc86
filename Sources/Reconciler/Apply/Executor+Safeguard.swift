package import Catalog
import HTTP
import S3
import Spec
import Synchronization
import Telemetry
import Transfer

/// Which epoch's marker this instance has put on each backend.
package final class ConfirmedEpochs: Sendable {
    private let epochs = Mutex<[BackendID: Epoch]>([:])
    package init() {}

    func last(on backend: BackendID) -> Epoch? { epochs.withLock { $0[backend] } }
    func note(_ epoch: Epoch, on backend: BackendID) { epochs.withLock { $0[backend] = epoch } }
}

/// The guard against a catalog that went back in time (DESIGN §6, Rewound catalog).
extension Executor {
    enum EpochCheck: Sendable, Equatable {
        case confirmed
        /// Nothing may be deleted.
        case halted
        case failed(evidence: String)
    }

    /// Before copies that were just claimed are deleted: an epoch that began behind their doom is marked on their backend.
    ///
    /// What is due now was doomed at least a read grace ago, so that an epoch that is younger than half of it is behind.
    func confirmEpoch(on record: BackendRecord, readGrace: Duration) async throws(CatalogError) -> EpochCheck {
        guard let epoch = try await ledgers.safeguard.raiseEpoch(minAge: readGrace / 2) else { return .halted }
        let last = epochs.last(on: record.id)
        if last == epoch { return .confirmed }
        if let last, last.number >= epoch.number {
            // This instance has seen the catalog further on than it is now.
            try await halt(.marker(backend: record.name, epoch: last.number))
            return .halted
        }
        guard let store = context.stores[record.id] else { return .failed(evidence: "no connection is configured") }
        let prefix = record.spec.keyPrefix
        let found: [Epoch]
        do throws(StoreError) {
            found = try await EpochMarker.confirm(epoch, on: store, keyPrefix: prefix)
        } catch {
            return .failed(evidence: "epoch marker: \(error.code.rawValue) \(error.evidence)")
        }
        context.crashPlan.reached(.afterEpochMarker)
        let safeguard = try await ledgers.safeguard.safeguard(markers: found)
        if let evidence = safeguard.evidence(markers: [record.name: found]) {
            try await halt(evidence)
            return .halted
        }
        guard safeguard.halt == nil else { return .halted }
        do throws(StoreError) {
            try await EpochMarker.removeOlder(than: epoch, of: found, on: store, keyPrefix: prefix)
        } catch {
            logger.debug("cannot remove older epoch markers", [("backend", .string(record.name))])
        }
        epochs.note(epoch, on: record.id)
        return .confirmed
    }

    /// At the beginning of a pass: halts if what was observed says that the catalog may have gone back in time.
    func guardAgainstRewind(
        _ observed: inout ObservedState, _ desired: DesiredState
    ) async throws(CatalogError) -> EventRecord? {
        if observed.safeguard.recorded == nil, let identity = observed.safeguard.current {
            try await ledgers.safeguard.recordIdentity(identity)
        }
        guard observed.safeguard.halt == nil, let evidence = observed.rewindEvidence else { return nil }
        try await halt(evidence)
        observed.safeguard = try await ledgers.safeguard.safeguard()
        return EventRecord(
            Subject(.fleet, desired.fleet.name), isWarning: true, .catalogRewound,
            "\(evidence.description); nothing is dropped or deleted until 'sluice confirm-catalog'")
    }

    func halt(_ evidence: RewindEvidence) async throws(CatalogError) {
        logger.error("the catalog may have gone back in time", [("evidence", .string(evidence.description))])
        try await ledgers.safeguard.halt(evidence.description, newestEpoch: evidence.newestEpoch)
    }
}

extension RewindEvidence {
    package var newestEpoch: Int64 {
        switch self {
        case .marker(_, let epoch): epoch
        case .database, .unknownTime: 0
        }
    }

    /// For people.
    package var description: String {
        switch self {
        case .marker(let backend, let epoch):
            "backend \(backend) has the marker of an epoch \(epoch) that this catalog never had"
        case .unknownTime(let backend, let name, let written):
            "backend \(backend) has \(name), written at \(WallTime(microseconds: written * 1000).rfc3339): of that time the catalog knows nothing"
        case .database(let was, let now):
            "Postgres is system \(now.systemIdentifier) timeline \(now.timeline ?? "unknown"), and was system "
                + "\(was.systemIdentifier) timeline \(was.timeline ?? "unknown")"
        }
    }
}
