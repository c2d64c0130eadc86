package import Catalog
package import S3
import Spec
package import Transfer

/// What a look at a backend found.
package enum ProbeResult: Sendable, Equatable {
    case answered(IdentityMarker.Finding)
    case failed(StoreError)
    /// Its credentials could not be read, so it was not asked.
    case secretUnresolved(reason: String)
}

/// What a look at a backend found, with the epochs that are marked there if that was asked for.
package struct ProbeAnswer: Sendable, Equatable {
    package var result: ProbeResult
    package var epochs: [Epoch]?
    package init(result: ProbeResult, epochs: [Epoch]? = nil) {
        self.result = result
        self.epochs = epochs
    }
}

/// Everything a plan is made from: the catalog and the live backends at one moment. Reading it changes nothing.
package struct ObservedState: Sendable {
    package var fleet: FleetSnapshot
    package var groups: [CopyGroup]
    package var residues: [BackendID: BackendResidue]
    package var drains: [BackendID: DrainRecord]
    package var probes: [BackendID: ProbeResult]
    /// Whether the catalog may be trusted to know what there is.
    package var safeguard: Safeguard
    /// The epochs that backends have markers of, by name of the backend, of those that were asked and answered.
    package var markedEpochs: [String: [Epoch]]
    /// Since when backends could not be used, by what was found before: microseconds since 1970.
    package var awaySince: [BackendID: Int64] = [:]
    package var pace: PaceReading
    package var rebalance = RebalanceRecord()
    package init(
        fleet: FleetSnapshot, groups: [CopyGroup], residues: [BackendID: BackendResidue],
        drains: [BackendID: DrainRecord],
        probes: [BackendID: ProbeResult], safeguard: Safeguard = Safeguard(epoch: 1),
        markedEpochs: [String: [Epoch]] = [:], pace: PaceReading = PaceReading()
    ) {
        self.fleet = fleet
        self.groups = groups
        self.residues = residues
        self.drains = drains
        self.probes = probes
        self.safeguard = safeguard
        self.markedEpochs = markedEpochs
        self.pace = pace
    }

    /// A database that Sluice never used.
    package static let nothing = ObservedState(
        fleet: FleetSnapshot(revision: 0, digest: "", acceptedAt: 0, backends: [], usage: [:], buckets: []),
        groups: [], residues: [:], drains: [:], probes: [:])

    /// Why the catalog may have gone back in time; nil if nothing says so that was not looked at.
    package var rewindEvidence: RewindEvidence? { safeguard.evidence(markers: markedEpochs) }
    package var mayDestroy: Bool { safeguard.halt == nil && rewindEvidence == nil }

    /// Whether a backend that cannot be used became so only a while ago: its copies still count as being there.
    ///
    /// - Parameter delay: the fleet's repair delay
    package func isAwayBriefly(_ record: BackendRecord, for delay: Duration) -> Bool {
        guard probes[record.id] != nil, !isTrusted(record) else { return false }
        guard let since = awaySince[record.id], let moment = pace.moment else { return true }
        return moment - since < delay.microseconds
    }

    /// Answering, with the marker that we wrote.
    package func isConfirmed(_ record: BackendRecord) -> Bool { probes[record.id] == .answered(.match) }

    /// Answering, and ours: what is there may be counted on. A new backend without a marker yet is ours to mark.
    package func isTrusted(_ record: BackendRecord) -> Bool {
        switch probes[record.id] {
        case .answered(.match): true
        // Retiring ends with the marker's deletion; what comes after a crash there finds none.
        case .answered(.absent): !record.isMarked || record.phase == .retiring
        case .answered(.mismatch), .failed, .secretUnresolved, nil: false
        }
    }
}

/// Reads `ObservedState`. It holds only the reading half of the backends and asks the ledger only for what it knows.
package struct Observer: Sendable {
    package static let probeLimit: Duration = .seconds(10)

    private let ledger: any FleetLedger & StatusLedger & SafeguardLedger & PaceLedger & RebalanceLedger
    private let readers: @Sendable () -> [BackendID: Result<any ObjectReading, SecretProblem>]
    private let withinLimit: @Sendable (Duration, @escaping @Sendable () async -> ProbeAnswer) async -> ProbeAnswer?

    /// - Parameters:
    ///   - readers: how each backend is reached now
    ///   - withinLimit: runs a probe and answers nil if it takes longer
    package init(
        ledger: any FleetLedger & StatusLedger & SafeguardLedger & PaceLedger & RebalanceLedger,
        readers: @escaping @Sendable () -> [BackendID: Result<any ObjectReading, SecretProblem>],
        withinLimit: @escaping @Sendable (Duration, @escaping @Sendable () async -> ProbeAnswer) async -> ProbeAnswer?
    ) {
        self.ledger = ledger
        self.readers = readers
        self.withinLimit = withinLimit
    }

    /// Counts copies; reads the whole catalog.
    package func groups() async throws(CatalogError) -> [CopyGroup] { try await ledger.copyGroups() }

    /// - Parameters:
    ///   - readsEpochs: whether the backends are asked for their newest epoch, which costs a listing of each
    ///   - groups: what was counted before; nil: it is counted now
    ///   - known: what was found a moment ago: these backends are not asked again
    package func observe(
        readsEpochs: Bool = true, groups counted: [CopyGroup]? = nil, known: [BackendID: ProbeResult] = [:]
    ) async throws(CatalogError) -> ObservedState {
        let fleet = try await ledger.snapshot()
        let groups: [CopyGroup]
        if let counted { groups = counted } else { groups = try await ledger.copyGroups() }
        var residues: [BackendID: BackendResidue] = [:]
        for backend in fleet.backends { residues[backend.id] = try await ledger.residue(backend.id) }
        let drains = try await ledger.drains()
        let answers = await probe(
            fleet.backends.filter { known[$0.id] == nil }, readsEpochs: readsEpochs)
        var marked: [String: [Epoch]] = [:]
        for record in fleet.backends { marked[record.name] = answers[record.id]?.epochs }
        // Read behind the markers: what was raised in between is not newer than the catalog.
        var observed = ObservedState(
            fleet: fleet, groups: groups, residues: residues,
            drains: Dictionary(drains.map { ($0.backend, $0) }) { first, _ in first },
            probes: known.merging(answers.mapValues(\.result)) { _, new in new },
            safeguard: try await ledger.safeguard(markers: marked.values.flatMap { $0 }), markedEpochs: marked,
            pace: try await ledger.pace())
        observed.rebalance = try await ledger.rebalance()
        let names = Dictionary(fleet.backends.map { ($0.name, $0.id) }) { first, _ in first }
        for one in try await ledger.conditions()
        where one.subject.kind == .backend && one.type == .identified && one.status != .yes {
            if let id = names[one.subject.name] { observed.awaySince[id] = one.lastTransitionAt }
        }
        return observed
    }

    private func probe(_ backends: [BackendRecord], readsEpochs: Bool) async -> [BackendID: ProbeAnswer] {
        let readers = readers()
        let withinLimit = withinLimit
        return await withTaskGroup(of: (BackendID, ProbeAnswer).self) { group in
            for record in backends {
                guard let reader = readers[record.id] else { continue }
                switch reader {
                case .failure(let problem):
                    group.addTask { (record.id, ProbeAnswer(result: .secretUnresolved(reason: problem.reason))) }
                case .success(let store):
                    group.addTask {
                        let answer = await withinLimit(Observer.probeLimit) {
                            await Observer.look(store, record, readsEpochs: readsEpochs)
                        }
                        let late = StoreError(
                            .timedOut, mayArriveLate: false, evidence: "no answer within \(Observer.probeLimit)")
                        return (record.id, answer ?? ProbeAnswer(result: .failed(late)))
                    }
                }
            }
            var answers: [BackendID: ProbeAnswer] = [:]
            for await (id, answer) in group { answers[id] = answer }
            return answers
        }
    }

    private static func look(_ store: any ObjectReading, _ record: BackendRecord, readsEpochs: Bool) async
        -> ProbeAnswer
    {
        do throws(StoreError) {
            let finding = try await IdentityMarker.read(store, keyPrefix: record.spec.keyPrefix, uid: record.uid)
            guard readsEpochs, finding == .match else { return ProbeAnswer(result: .answered(finding)) }
            let epochs = try await EpochMarker.all(store, keyPrefix: record.spec.keyPrefix)
            return ProbeAnswer(result: .answered(finding), epochs: epochs)
        } catch {
            return ProbeAnswer(result: .failed(error))
        }
    }
}

/// Why a backend cannot be reached at all: a secret that its spec refers to is not there.
package struct SecretProblem: Error, Sendable, Equatable {
    package let reason: String
    package init(reason: String) { self.reason = reason }
}
