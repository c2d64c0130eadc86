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

/// Everything a plan is made from: the catalog and the live backends at one moment. Reading it changes nothing.
package struct ObservedState: Sendable {
    package var fleet: FleetSnapshot
    package var groups: [CopyGroup]
    package var residues: [BackendID: BackendResidue]
    package var drains: [BackendID: DrainRecord]
    package var probes: [BackendID: ProbeResult]
    /// Backends that have not answered for less than their repair delay: their copies still count as being there.
    package var awayBriefly: Set<BackendID>
    package init(
        fleet: FleetSnapshot, groups: [CopyGroup], residues: [BackendID: BackendResidue],
        drains: [BackendID: DrainRecord],
        probes: [BackendID: ProbeResult], awayBriefly: Set<BackendID> = []
    ) {
        self.fleet = fleet
        self.groups = groups
        self.residues = residues
        self.drains = drains
        self.probes = probes
        self.awayBriefly = awayBriefly
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

    private let ledger: any FleetLedger
    private let readers: @Sendable () -> [BackendID: Result<any ObjectReading, SecretProblem>]
    private let withinLimit: @Sendable (Duration, @escaping @Sendable () async -> ProbeResult) async -> ProbeResult?

    /// - Parameters:
    ///   - readers: how each backend is reached now
    ///   - withinLimit: runs a probe and answers nil if it takes longer
    package init(
        ledger: any FleetLedger,
        readers: @escaping @Sendable () -> [BackendID: Result<any ObjectReading, SecretProblem>],
        withinLimit: @escaping @Sendable (Duration, @escaping @Sendable () async -> ProbeResult) async -> ProbeResult?
    ) {
        self.ledger = ledger
        self.readers = readers
        self.withinLimit = withinLimit
    }

    package func observe() async throws(CatalogError) -> ObservedState {
        let fleet = try await ledger.snapshot()
        let groups = try await ledger.copyGroups()
        var residues: [BackendID: BackendResidue] = [:]
        for backend in fleet.backends { residues[backend.id] = try await ledger.residue(backend.id) }
        let drains = try await ledger.drains()
        return ObservedState(
            fleet: fleet, groups: groups, residues: residues,
            drains: Dictionary(drains.map { ($0.backend, $0) }) { first, _ in first }, probes: await probe(fleet))
    }

    private func probe(_ fleet: FleetSnapshot) async -> [BackendID: ProbeResult] {
        let readers = readers()
        let withinLimit = withinLimit
        return await withTaskGroup(of: (BackendID, ProbeResult).self) { group in
            for record in fleet.backends {
                guard let reader = readers[record.id] else { continue }
                switch reader {
                case .failure(let problem): group.addTask { (record.id, .secretUnresolved(reason: problem.reason)) }
                case .success(let store):
                    group.addTask {
                        let result = await withinLimit(Observer.probeLimit) { await Observer.look(store, record) }
                        let late = StoreError(
                            .timedOut, mayArriveLate: false, evidence: "no answer within \(Observer.probeLimit)")
                        return (record.id, result ?? .failed(late))
                    }
                }
            }
            var probes: [BackendID: ProbeResult] = [:]
            for await (id, result) in group { probes[id] = result }
            return probes
        }
    }

    private static func look(_ store: any ObjectReading, _ record: BackendRecord) async -> ProbeResult {
        do throws(StoreError) {
            return .answered(try await IdentityMarker.read(store, keyPrefix: record.spec.keyPrefix, uid: record.uid))
        } catch {
            return .failed(error)
        }
    }
}

/// Why a backend cannot be reached at all: a secret that its spec refers to is not there.
package struct SecretProblem: Error, Sendable, Equatable {
    package let reason: String
    package init(reason: String) { self.reason = reason }
}
