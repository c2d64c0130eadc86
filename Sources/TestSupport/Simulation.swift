import Catalog
import HTTP
import S3
import Spec
import Transfer

/// A protection that a test takes away, to see that the simulation notices.
package enum SimulatedAblation: String, Sendable, CaseIterable {
    /// A commit does not ask whether its copies are still its own.
    case commitWithoutFence
    /// Dooming does not count the other copies under the lock.
    case doomWithoutRecount
    /// A new copy may begin on a backend that is being drained.
    case intentWithoutGate
    /// A lost reply to COMMIT is taken for a failure.
    case guessedCommit
    /// Copies lie under the client's key.
    case reusedNames
    /// A doomed row is forgotten without a second look behind the horizon.
    case noHorizon
    /// A new copy is made live without a check of its bytes.
    case unverifiedCopy
    /// NoSuchUpload is taken for the success of an earlier Complete, without a look at the name.
    case guessedComplete
    /// Deletion leaves the uploads of the name as they are.
    case uploadsLeft
    /// Nobody ends uploads that their clients left.
    case staleUploads
    /// The result of a Complete is not kept for one who asks again.
    case forgottenResult
    /// A Complete does not tell a backend which attempts at its parts are meant.
    case anyPart
    /// Nobody looks for bytes that no row names.
    case noInventory
    /// A copy may begin on a backend that has no room for it.
    case intentWithoutQuota
    /// A part's bytes leave before they are reserved.
    case unreservedParts
    /// A backend is called drained, without a look at what is left.
    case drainWithoutProof
    /// Likewise, when it is retired.
    case retireWithoutProof
    /// A write that is under way on a backend that is given up may still become visible.
    case abandonWithoutFence
}

/// What went wrong, and how to see it again.
package struct SimulationFailure: Error, CustomStringConvertible, Sendable {
    package var seed: UInt64
    package var step: Int
    package var violation: String
    /// The last things that happened.
    package var trace: [String]
    package var description: String {
        "SLUICE_SIM_SEED=\(seed) step \(step): \(violation)\n" + trace.map { "    \($0)" }.joined(separator: "\n")
    }
}

/// Several writers, readers, deleters, movers and an operator over one catalog and a few backends, in one thread and from one seed.
/// Calls are delayed, reordered, lost, refused, abandoned and delivered late; actors crash; leases run out. After every step the
/// invariants of DESIGN §6 are checked; then the faults stop, and everything must converge. See docs/simulation.md.
package struct Simulation {
    struct Running {
        var actor: any SimulatedActor
        /// Calls that it waits for.
        var pending: Set<Int> = []
        var startedAt: Int
    }

    package static let factor = 2
    static let bucket = BucketID(1)
    static let backendCount: Int32 = 4
    /// The last backend has room for so many bytes, the others are without limit.
    static let quota: Int64 = 50
    static let keys = ["a", "b/c", "ü"]
    /// With few at a time each comes to its end soon; with many they meet.
    private var actorsMax: Int { [12, 4, 8][Int(seed / 4 % 3)] }

    let seed: UInt64
    let ablation: SimulatedAblation?
    var random: SimulatedRandom
    var tables: CatalogTables
    /// Of its clock, since the run began.
    package var elapsed: Duration { .microseconds(tables.now - CatalogTables().now) }
    /// Names and the tokens that stand for their bytes.
    var backends: [BackendID: [String: UInt64]] = [:]
    var uploads: [BackendID: [String: OpenParts]] = [:]
    /// Bytes of objects that were made of parts, by their tokens.
    var sizes: [UInt64: Int64] = [:]
    var actors: [Int: Running] = [:]
    var messages: [SimulatedMessage] = []
    var model = SimulationModel()
    /// What happened, put into words only if it is to be shown: words are most of the work.
    private var trace: [(step: Int, what: () -> String)] = []
    var violation: String?
    var step = 0
    /// Names that a repeated PUT may have brought back.
    var strays: Set<BackendName> = []
    var hasFaults = true
    /// How often it came to pass.
    package internal(set) var sights: [SimulatedSight: Int] = [:]
    var nextUpload = 0
    /// The one backend that its operator may retire.
    var retiree: BackendID?
    /// A backend that is lost: nothing arrives there.
    var lost: BackendID?
    /// Versions that clients saw when their only copy was given up: the operator agreed to lose these.
    var givenUp: Set<VersionID> = []
    let identifiers: SeededIdentifiers
    private var nextActor = 0
    private var nextTicket = 0

    package init(seed: UInt64, ablation: SimulatedAblation? = nil) {
        self.seed = seed
        self.ablation = ablation
        random = SimulatedRandom(seed: seed)
        identifiers = SeededIdentifiers(seed: seed)
        tables = CatalogTables()
        tables.declareBuckets(["photos"])
        let picture = FleetPicture((1...Self.backendCount).map { "b\($0):" }.joined(separator: " | "))
        for (id, record) in MemoryFleet(picture).catalog.tables.backends {
            tables.backends[id] = record
            backends[id] = [:]
            uploads[id] = [:]
            if id.raw == Self.backendCount { tables.backends[id]?.spec.quota = ByteCount(Self.quota) }
        }
        switch ablation {
        case .commitWithoutFence: tables.ablations = [.commitWithoutFence]
        case .doomWithoutRecount: tables.ablations = [.doomWithoutRecount]
        case .intentWithoutGate: tables.ablations = [.intentWithoutGate]
        case .reusedNames: tables.ablations = [.sharedNames]
        case .forgottenResult: tables.ablations = [.forgottenResults]
        case .abandonWithoutFence: tables.ablations = [.abandonWithoutFence]
        case .drainWithoutProof: tables.ablations = [.drainWithoutProof]
        case .retireWithoutProof: tables.ablations = [.retireWithoutProof]
        case .intentWithoutQuota: tables.ablations = [.intentWithoutQuota]
        case .unreservedParts, .guessedCommit, .noHorizon, .unverifiedCopy, .guessedComplete, .uploadsLeft,
            .staleUploads, .anyPart,
            .noInventory, nil:
            break
        }
    }

    /// Runs until something is wrong, or to the end.
    package mutating func run(steps: Int) throws(SimulationFailure) {
        while step < steps {
            step += 1
            advance()
            try check()
        }
        hasFaults = false
        try converge()
    }

    func check() throws(SimulationFailure) {
        guard let violation else { return }
        throw SimulationFailure(
            seed: seed, step: step, violation: violation, trace: trace.suffix(60).map { "\($0.step) \($0.what())" })
    }

    mutating func violated(_ what: @autoclosure () -> String) { if violation == nil { violation = what() } }

    mutating func note(_ what: @escaping @autoclosure () -> String) {
        trace.append((step, what))
        if trace.count > 200 { trace.removeFirst(100) }
    }

    // MARK: Steps

    private mutating func advance() {
        tables.now += Int64(random.below(2_000_000))
        model.now = tables.now
        switch random.below(100) {
        case 0..<22 where actors.count < actorsMax: spawnAny()
        case 22..<26: abandonOne()
        case 26..<28: crashOne()
        case 28: jump()
        case 29: breakBody()
        case 30: harmOne()
        case 31: random.chance(30) ? forgetUpload() : harmOne()
        default: deliverOne()
        }
    }

    private mutating func jump() {
        let seconds = random.pick([30, 130, 130, 130, 650, 4_000]) ?? 30
        note("time jumps by \(seconds) s")
        tables.now += Int64(seconds) * 1_000_000
    }

    /// Whoever waits for a call is told that nobody knows; the call may still arrive.
    private mutating func abandonOne() {
        let waited = messages.indices.filter { !messages[$0].isAbandoned }
        guard let index = random.pick(waited) else { return }
        let message = messages[index]
        if random.chance(30) { messages.remove(at: index) } else { holdBack(index) }
        note("abandoned \(message.call)")
        answer(message, SimulatedAnswer.unknown(message.call))
    }

    private mutating func crashOne() {
        guard let id = random.pick(actors.keys.sorted()), let running = actors.removeValue(forKey: id) else { return }
        note("actor \(id) crashes")
        model.crashed(running.actor)
        for index in messages.indices where messages[index].actor == id { holdBack(index) }
    }

    /// It arrives later: some at once, some when much has happened in between.
    private mutating func holdBack(_ index: Int) {
        messages[index].isAbandoned = true
        messages[index].heldUntil = step + (random.chance(60) ? random.below(200) : 0)
    }

    private mutating func breakBody() {
        guard let id = random.pick(actors.keys.sorted().filter { actors[$0]?.actor.hasBody == true }) else { return }
        let open = messages.filter { message in
            switch message.call {
            case .backend(_, .put), .backend(_, .putPart): message.actor == id && !message.isAbandoned
            default: false
            }
        }
        note("the client of actor \(id) goes away")
        messages.removeAll { message in open.contains { $0.ticket == message.ticket } }
        for message in open {
            answer(
                message,
                .backend(
                    .failure(StoreError(.bodyFailed, mayArriveLate: false, evidence: "hung up", bodyError: .truncated)))
            )
        }
    }

    /// A copy vanishes or is damaged behind our back; at most one of a version, and never the last good one.
    private mutating func harmOne() {
        let live = tables.copies.values.filter { row in
            row.copy.state == .live && !row.copy.isSuspect && !model.harmed.contains(row.copy.version)
                && tables.copies(of: row.copy.version).count { $0.copy.state == .live && !$0.copy.isSuspect } >= 2
        }
        // One misfortune at a time: where a backend is lost, no copy elsewhere is harmed.
        guard ablation != .reusedNames, traffic != .losses,
            let row = random.pick(live.sorted { $0.copy.id < $1.copy.id })
        else { return }
        model.harmed.insert(row.copy.version)
        model.harmedCopies.insert(row.copy.id)
        let isLost = random.chance(50)
        note("\(row.copy.physicalKey) on \(row.copy.backend) is \(isLost ? "lost" : "damaged")")
        backends[row.copy.backend]?[row.copy.physicalKey] = isLost ? nil : 0
    }

    mutating func deliverOne() {
        guard !messages.isEmpty else { return }
        let due = messages.indices.filter { !hasFaults || messages[$0].heldUntil <= step }
        guard let index = random.pick(due) else { return }
        let message = messages.remove(at: index)
        if hasFaults, !message.isAbandoned, random.chance(3) {
            note("refused \(message.call)")
            return answer(message, SimulatedAnswer.refused(message.call))
        }
        let result = perform(message)
        if hasFaults { repeatLater(message) }
        if message.isAbandoned { return }
        if hasFaults, random.chance(4) {
            note("the reply is lost")
            return answer(message, SimulatedAnswer.unknown(message.call))
        }
        answer(message, result)
    }

    private mutating func answer(_ message: SimulatedMessage, _ answer: SimulatedAnswer) {
        guard var running = actors[message.actor], running.pending.remove(message.ticket) != nil else { return }
        let calls = running.actor.handle(message.call, answer)
        actors[message.actor] = running
        send(calls, from: message.actor)
    }

    // MARK: Actors

    mutating func spawn(_ actor: any SimulatedActor) {
        var actor = actor
        let id = nextActor
        nextActor += 1
        let calls = actor.start()
        model.started(actor, step)
        actors[id] = Running(actor: actor, startedAt: step)
        send(calls, from: id)
    }

    private mutating func send(_ calls: [SimulatedCall], from actor: Int) {
        for call in calls {
            nextTicket += 1
            messages.append(SimulatedMessage(ticket: nextTicket, actor: actor, call: call, sentAt: tables.now))
            actors[actor]?.pending.insert(nextTicket)
        }
        guard let running = actors[actor], running.pending.isEmpty else { return }
        actors[actor] = nil
        if let what = model.ended(running.actor, running.startedAt, step) { violated(what) }
        note("actor \(actor) ends: \(SimulationModel.outcome(running.actor))")
    }
}

extension SimulatedAnswer {
    /// It may have happened, and may still happen.
    static func unknown(_ call: SimulatedCall) -> SimulatedAnswer {
        switch call {
        case .catalog: .catalog(.failure(.unknownOutcome(evidence: "no reply")))
        case .backend: .backend(.failure(StoreError(.timedOut, mayArriveLate: true, evidence: "no reply")))
        }
    }

    /// It certainly did not happen.
    static func refused(_ call: SimulatedCall) -> SimulatedAnswer {
        switch call {
        case .catalog: .catalog(.failure(.unavailable(evidence: "refused")))
        case .backend: .backend(.failure(StoreError(.throttled, mayArriveLate: false, evidence: "refused")))
        }
    }
}
