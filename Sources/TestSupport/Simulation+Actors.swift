import Catalog
import S3
import Spec
import Transfer

/// Who comes, and how it all must end.
extension Simulation {
    private var objects: [ObjectName] { Simulation.keys.map { ObjectName(bucket: Simulation.bucket, key: $0) } }
    private var backendIDs: [BackendID] { (1...Simulation.backendCount).map { BackendID($0) } }

    /// What clients mostly do. A run that does a little of everything has too little of each for rare meetings.
    enum Traffic: UInt64, CaseIterable {
        case both
        case writes
        case uploads
        /// Few clients, so that versions last; many workers.
        case repairs
        /// An operator who removes a backend.
        case removals
        /// An operator who gives up a backend that is lost.
        case losses
    }

    /// The backend that will be lost, where one is.
    private var endangered: BackendID { BackendID(1 + Int32(seed / 7 % 4)) }

    var traffic: Traffic {
        // Elsewhere it would not be missed.
        if ablation == .abandonWithoutFence { return .losses }
        return Traffic(rawValue: seed % UInt64(Traffic.allCases.count)) ?? .both
    }

    mutating func spawnAny() {
        let object = random.pick(objects) ?? objects[0]
        let uploadsPercent =
            switch traffic {
            case .writes: 0
            case .uploads: 60
            case .both: 30
            case .repairs: 5
            case .removals, .losses: 20
            }
        if let record = retiree.flatMap({ tables.backends[$0] }), let next = worstMove(record) { return spawn(next) }
        if random.chance(uploadsPercent) { return spawnOnUpload(candidates) }
        chooseRetiree()
        if isAboutBackends, random.chance(traffic == .losses ? 30 : 60) { return spawnWorker() }
        switch random.below(100) {
        case 0..<30: spawn(writer(object))
        case 30..<36: spawn(SimulatedTransaction(.delete(object)))
        case 36..<48: spawn(SimulatedReader(object))
        case 48..<64: spawn(deleter(deletionsWanted))
        case 64..<84 where traffic == .losses && random.chance(70): break
        case 64..<84: if let scope = random.pick(scopes) { spawn(mover(scope)) }
        case 84..<89: spawn(SimulatedTransaction(.reap))
        case 89..<91: spawn(SimulatedTransaction(.abortStale))
        case 91..<93: spawn(SimulatedTransaction(.forget))
        case 93: spawn(inventory(random.pick(backendIDs) ?? backendIDs[0]))
        default: operate()
        }
    }

    /// Something is to be there when a backend is lost.
    private var isAboutBackends: Bool {
        traffic == .repairs || traffic == .removals || traffic == .losses && step > 150
    }

    private mutating func chooseRetiree() {
        guard retiree == nil, isAboutBackends, traffic != .repairs else { return }
        retiree = traffic == .losses ? endangered : random.pick(backendIDs)
        if traffic == .losses, random.chance(30) { lost = retiree }
    }

    /// What runs about backends have more of than others.
    private mutating func spawnWorker() {
        switch traffic == .losses ? 6 + random.below(4) : random.below(10) {
        case 0..<5: if let scope = random.pick(scopes) { spawn(mover(scope)) }
        case 5..<7: spawn(deleter(deletionsWanted))
        default: operate()
        }
    }

    private mutating func writer(_ object: ObjectName) -> SimulatedWriter {
        let version = identifiers.makeVersionID()
        let token = random.next() | 1
        // An instance that has not seen the latest phases may choose any backend: the gate decides.
        var chosen = Array(backendIDs.shuffled(using: &random).prefix(3))
        let make = candidates
        if traffic == .losses, random.chance(50) { chosen = [endangered] + chosen.filter { $0 != endangered } }
        // Where a backend is lost, some objects are to have their only copy there.
        let requirement = WriteRequirement(
            ack: traffic == .losses && random.chance(60) ? 1 : 2, minAck: random.chance(50) ? 1 : 2)
        let precondition =
            random.chance(20)
            ? WritePrecondition(ifNoneMatch: .any) : random.chance(10) ? WritePrecondition(ifMatch: .any) : .none
        return SimulatedWriter(
            object: object, version: version, token: token, lease: identifiers.makeLeaseToken(),
            precondition: precondition,
            candidates: chosen.map { make($0, object, version) },
            requirement: requirement,
            guessesLostCommits: ablation == .guessedCommit)
    }

    private var candidates: @Sendable (BackendID, ObjectName, VersionID) -> CopyCandidate {
        let identifiers = identifiers
        let isShared = ablation == .reusedNames
        return { backend, object, version in
            let name = PhysicalName(
                keyPrefix: "p/", bucket: "photos", key: object.key, version: version,
                suffix: identifiers.makeNameSuffix())
            return CopyCandidate(
                id: identifiers.makeCopyID(), backend: backend,
                physicalKey: isShared ? "p/photos/\(object.key)" : name.text)
        }
    }

    /// A backend where something is to be deleted, if there is one.
    private var deletionsWanted: BackendID {
        mutating get {
            let doomed = tables.copies.values.filter {
                $0.copy.state == .doomed && ($0.deleteNotBefore ?? 0) <= tables.now
            }
            return random.pick(Set(doomed.map(\.copy.backend)).sorted()) ?? random.pick(backendIDs) ?? backendIDs[0]
        }
    }

    private func deleter(_ backend: BackendID) -> SimulatedDeleter {
        SimulatedDeleter(
            backend: backend, token: identifiers.makeLeaseToken(),
            horizon: ablation == .noHorizon ? .zero : SimulatedLimits.horizon,
            leavesUploads: ablation == .uploadsLeft)
    }

    private func inventory(_ backend: BackendID) -> SimulatedInventory {
        SimulatedInventory(backend: backend, token: identifiers.makeLeaseToken(), identifiers: identifiers)
    }

    private var scopes: [MoveScope] {
        let draining = tables.backends.values.filter { $0.phase == .draining }.map(\.id).sorted()
        // Otherwise nothing has its only copy anywhere for long.
        if traffic == .losses, hasFaults { return draining.filter { $0 != endangered }.map { .leaving($0) } }
        return draining.map { .leaving($0) } + [
            .short(bucket: Simulation.bucket, factor: Simulation.factor, staying: active),
            .surplus(bucket: Simulation.bucket, factor: Simulation.factor, staying: active),
        ]
    }

    private func mover(_ scope: MoveScope) -> SimulatedMover {
        SimulatedMover(
            scope: scope, token: identifiers.makeLeaseToken(), factor: Simulation.factor,
            isTrusting: ablation == .unverifiedCopy,
            candidate: candidates)
    }

    /// An edit of the operator; as many backends as copies are wanted stay active.
    private mutating func operate() {
        // One who retires a backend comes back to it.
        let ending = retiree.flatMap { tables.backends[$0] }.flatMap { $0.phase == .retired ? nil : $0 }
        let any = random.pick(tables.backends.values.sorted { $0.id < $1.id })
        guard let record = random.chance(60) ? ending ?? any : any else { return }
        switch record.phase {
        case .active:
            if active.count > Simulation.factor {
                spawn(SimulatedTransaction(.change(record.id, from: .active, to: .draining)))
            }
        case .draining where isGivenUp(record.id):
            spawn(SimulatedTransaction(.endAbandoned(record.id)))
            spawn(SimulatedTransaction(.change(record.id, from: .draining, to: .drained)))
        case .draining where traffic == .losses && record.id == retiree:
            let isDecided = lost != nil || random.chance(15)
            spawn(
                isDecided
                    ? abandoning(record) : SimulatedTransaction(.change(record.id, from: .draining, to: .active)))
        case .draining:
            let goesOn = record.id == retiree || random.chance(60)
            spawn(SimulatedTransaction(.change(record.id, from: .draining, to: goesOn ? .drained : .active)))
        case .drained:
            // As many as copies are wanted stay, without a quota.
            let others = tables.backends.values.filter { $0.id != record.id && $0.spec.quota == nil }
            if others.count >= Simulation.factor, retiree ?? record.id == record.id, random.chance(70) {
                retiree = record.id
                spawn(SimulatedTransaction(.change(record.id, from: .drained, to: .retiring)))
            } else {
                spawn(SimulatedTransaction(.change(record.id, from: .drained, to: .active)))
            }
        // Nothing can be verified where nothing arrives.
        case .retiring where isGivenUp(record.id):
            spawn(SimulatedTransaction(.change(record.id, from: .retiring, to: .retired)))
        case .retiring: spawn(SimulatedRetirer(record.id))
        case .retired: break
        }
    }

    // MARK: Convergence

    /// Faults have stopped: in a bounded number of rounds nothing is left to do, and everything is as it should be.
    mutating func converge() throws(SimulationFailure) {
        note("faults stop")
        try settle()
        findAgain()
        try finishUploads()
        // Two edits at once may have left too few: the operator takes some back.
        for id in backendIDs where active.count(where: { !limited.contains($0) }) < Simulation.factor {
            if let phase = tables.backends[id]?.phase, phase.mayBecome(.active) {
                _ = tables.change(id, from: phase, to: .active)
            }
        }
        scrub()
        for _ in 0..<Simulation.roundsMax where leftover != nil {
            tables.now += Duration.seconds(1_500).microseconds
            spawn(SimulatedTransaction(.reap))
            spawn(SimulatedTransaction(.abortStale))
            if let lost { spawn(SimulatedTransaction(.endAbandoned(lost))) }
            for backend in backendIDs { spawn(deleter(backend)) }
            for scope in scopes { spawn(mover(scope)) }
            if ablation != .noInventory { for backend in backendIDs { spawn(inventory(backend)) } }
            try settle()
            for record in tables.backends.values.sorted(by: { $0.id < $1.id }) {
                switch record.phase {
                case .draining: spawn(SimulatedTransaction(.change(record.id, from: .draining, to: .drained)))
                case .drained where isGivenUp(record.id):
                    spawn(SimulatedTransaction(.change(record.id, from: .drained, to: .retiring)))
                case .retiring where isGivenUp(record.id):
                    spawn(SimulatedTransaction(.change(record.id, from: .retiring, to: .retired)))
                case .retiring: spawn(SimulatedRetirer(record.id))
                case .active, .drained, .retired: break
                }
            }
            spawn(SimulatedTransaction(.forget))
            try settle()
        }
        if let leftover { violated("not converged after \(Simulation.roundsMax) rounds: \(leftover)") }
        try check()
    }

    private static let roundsMax = 60

    /// Until nobody waits for anything.
    mutating func settle() throws(SimulationFailure) {
        var left = 100_000
        while !messages.isEmpty, left > 0 {
            left -= 1
            step += 1
            deliverOne()
            try check()
        }
        if !messages.isEmpty { violated("messages without end") }
        try check()
    }

    /// Reads every copy, as the scrub does: what was harmed and not noticed yet is found.
    private mutating func scrub() {
        for row in tables.copies.values where row.copy.state == .live {
            if backends[row.copy.backend]?[row.copy.physicalKey] != model.token(row.copy.version) {
                _ = tables.markSuspect(row.copy.id)
            }
        }
    }

    /// What is not yet as it should be; nil when all is.
    private var leftover: String? {
        let active = Set(active)
        for row in tables.copies.values {
            guard row.copy.state == .live, !row.copy.isSuspect else {
                return "\(row.copy.state) \(row.copy.physicalKey)"
            }
            guard active.contains(row.copy.backend) else {
                return "\(row.copy.physicalKey) on \(row.copy.backend), which is not active"
            }
        }
        for object in tables.objects.values {
            guard let version = object.current else { return "an empty row of \(object.name.key)" }
            let held = tables.copies(of: version).count
            if held != Simulation.factor { return "\(object.name.key) has \(held) copies" }
        }
        let needed = Set(tables.objects.values.compactMap(\.current)).union(tables.uploads.values.map(\.version))
        if tables.versions.keys.contains(where: { !needed.contains($0) }) { return "versions that nobody needs" }
        for row in tables.uploads.values where row.state != .completed && row.state != .aborted {
            return "upload \(row.id) is \(row.state)"
        }
        if uploads.contains(where: { !isGivenUp($0.key) && !$0.value.isEmpty }) {
            return "uploads that nobody needs on a backend"
        }
        if let record = tables.backends.values.first(where: { $0.phase == .draining || $0.phase == .retiring }) {
            return "\(record.id) is still \(record.phase)"
        }
        // What comes again when a backend is retired is nobody's, and so is what was given up: nobody looks there any more.
        let watched = backends.filter { tables.backends[$0.key]?.phase != .retired && !isGivenUp($0.key) }
        let stored = watched.values.reduce(0) { $0 + $1.count }
        return stored == tables.copies.count ? nil : "\(stored) objects for \(tables.copies.count) copies"
    }
}
