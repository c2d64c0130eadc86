package import Catalog
import S3
import Spec
import Synchronization
import Telemetry
import Transfer

/// Which epoch's marker this instance has seen on each backend.
package final class ConfirmedEpochs: Sendable {
    private let epochs = Mutex<[BackendID: Int64]>([:])
    package init() {}

    func has(_ epoch: Int64, on backend: BackendID) -> Bool {
        epochs.withLock { ($0[backend] ?? 0) >= epoch }
    }

    func note(_ epoch: Int64, on backend: BackendID) {
        epochs.withLock { $0[backend] = max($0[backend] ?? 0, epoch) }
    }
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
        guard !epochs.has(epoch, on: record.id) else { return .confirmed }
        guard let store = context.stores[record.id] else { return .failed(evidence: "no connection is configured") }
        let newest: Int64
        do throws(StoreError) {
            newest = try await EpochMarker.confirm(epoch, on: store, keyPrefix: record.spec.keyPrefix)
        } catch {
            return .failed(evidence: "epoch marker: \(error.code.rawValue) \(error.evidence)")
        }
        context.crashPlan.reached(.afterEpochMarker)
        // Another instance may have raised it meanwhile.
        let safeguard = try await ledgers.safeguard.safeguard()
        if let evidence = safeguard.evidence(markers: [record.name: newest]) {
            try await halt(evidence)
            return .halted
        }
        guard safeguard.halt == nil else { return .halted }
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

    private func halt(_ evidence: RewindEvidence) async throws(CatalogError) {
        logger.error("the catalog may have gone back in time", [("evidence", .string(evidence.description))])
        try await ledgers.safeguard.halt(evidence.description, newestEpoch: evidence.newestEpoch)
    }
}

extension RewindEvidence {
    package var newestEpoch: Int64 {
        switch self {
        case .marker(_, let epoch): epoch
        case .database: 0
        }
    }

    /// For people.
    package var description: String {
        switch self {
        case .marker(let backend, let epoch):
            "backend \(backend) has the marker of epoch \(epoch), which the catalog has not reached"
        case .database(let was, let now):
            "Postgres is system \(now.systemIdentifier) timeline \(now.timeline ?? "unknown"), and was system "
                + "\(was.systemIdentifier) timeline \(was.timeline ?? "unknown")"
        }
    }
}
