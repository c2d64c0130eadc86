import Catalog
import Reconciler
import S3
import Spec
import Testing
import Transfer

/// Whole plans, and their text.
@Suite("Fleet planner") struct FleetPlannerTests {
    private func spec(
        _ name: String, _ state: DesiredBackendState = .active, removal: RemovalPolicy = .whenEmpty,
        protected: Bool = false
    ) -> BackendSpec {
        BackendSpec(
            name: name, state: state, location: .directory(path: "/srv/\(name)"), removal: removal,
            isDeletionProtected: protected)
    }

    private func record(_ id: Int32, _ name: String, _ phase: BackendPhase = .active) -> BackendRecord {
        BackendRecord(
            id: BackendID(id), uid: ID128(high: 0, low: UInt64(id)), name: name, phase: phase, isDeclared: true,
            spec: spec(name),
            generation: 1, isMarked: true)
    }

    private func observed(
        _ backends: [BackendRecord], groups: [CopyGroup] = [], residues: [BackendID: BackendResidue] = [:],
        usage: [BackendID: BackendUsage] = [:]
    ) -> ObservedState {
        ObservedState(
            fleet: FleetSnapshot(
                revision: 42, digest: "d", acceptedAt: 0, backends: backends, usage: usage,
                buckets: [BucketRecord(id: BucketID(1), name: "photos", isDeclared: true, createdAt: 0)]),
            groups: groups, residues: residues, drains: [:],
            probes: Dictionary(uniqueKeysWithValues: backends.map { ($0.id, ProbeResult.answered(.match)) }))
    }

    private func desired(_ backends: [BackendSpec], factor: Int = 2) -> DesiredState {
        DesiredState(
            fleet: FleetSpec(name: "home", replication: ReplicationSpec(factor: factor)), backends: backends,
            buckets: [BucketSpec(name: "photos")])
    }

    private func group(_ holders: [Int32], versions: Int64, bytes: Int64) -> CopyGroup {
        CopyGroup(
            bucket: BucketID(1), holders: holders.map { BackendID($0) }, suspects: [], versions: versions,
            bytes: ByteCount(bytes),
            largest: ByteCount(bytes / max(1, versions)), example: "a.jpg")
    }

    @Test func `a backend that is wanted again is planned with at once, and worked with when its phase has changed`() {
        let state = observed(
            [record(1, "a", .draining), record(2, "b"), record(3, "c")],
            groups: [group([1, 2], versions: 1, bytes: 10)])
        let planner = FleetPlanner(desired: desired([spec("a"), spec("b"), spec("c")]), observed: state)
        #expect(planner.roles[BackendID(1)] == .staying && planner.plan().repair.copies == 0)
        let working = planner.working()
        #expect(working.roles[BackendID(1)] == .away && working.roles[BackendID(2)] == .staying)
        #expect(working.standings.map(\.isEligible) == [false, true, true])
    }

    @Test func `the plan of a drain prints what moves where, what is dropped, and changes nothing`() {
        let state = observed(
            [record(1, "b2-eu"), record(2, "r2"), record(3, "hetzner")],
            groups: [
                group([1, 2], versions: 6909, bytes: 8_000_000_000),
                group([1, 2, 3], versions: 1192, bytes: 1_100_000_000),
            ])
        let plan = FleetPlanner(
            desired: desired([spec("b2-eu", .draining), spec("r2"), spec("hetzner")]), observed: state
        ).plan()
        #expect(
            PlanTextRenderer(usesColour: false).render(plan, source: "specs/") == """
                specs/ against revision 42

                  ~ backend/b2-eu   state: active -> draining
                      move        6,909 copies    8.0 GB  -> hetzner 100%
                      drop        1,192 copies    1.1 GB  enough verified copies elsewhere

                Repairs: 0 copies to make (0 B), 0 doomed copies to delete (0 B)
                Plan: 0 to add, 1 to change, 0 to remove; 8,101 copies to leave b2-eu. Nothing was changed.

                """)
        #expect(plan.phases == [PhaseStep(backend: BackendID(1), name: "b2-eu", from: .active, to: .draining)])
    }

    @Test func `a drain without a target is blocked with the bucket, the count and the way out`() {
        let state = observed(
            [record(1, "a"), record(2, "b")], groups: [group([1, 2], versions: 12, bytes: 45_000_000_000)])
        let plan = FleetPlanner(desired: desired([spec("a", .draining), spec("b")]), observed: state).plan()
        #expect(plan.blockers.map(\.reason) == [.insufficientTargets])
        #expect(
            plan.blockers.first?.message == "bucket photos needs 2 backends, has 1. Add a backend, or lower the factor."
        )
        #expect(plan.blockers.first?.example == "photos/a.jpg")
    }

    @Test func `giving up a backend takes the token that names the loss, and no greater one`() throws {
        var lost = record(1, "lost", .draining)
        let groups = [
            group([1], versions: 41, bytes: 41_000), group([1, 2], versions: 5, bytes: 5_000),
            group([2, 3], versions: 9, bytes: 9_000),
        ]
        func plan(_ token: String, _ groups: [CopyGroup]) -> Plan {
            let state = observed(
                [lost, record(2, "b"), record(3, "c")], groups: groups,
                residues: [BackendID(1): BackendResidue(live: 46)])
            let wanted = [spec("lost", .removed, removal: .abandon(token: token)), spec("b"), spec("c")]
            return FleetPlanner(desired: desired(wanted), observed: state).plan()
        }
        let first = plan("?", groups)
        let refusal = try #require(first.blockers.first { $0.reason == .removalRefused })
        #expect(refusal.copies == 41 && first.abandons.isEmpty && refusal.example == "photos/a.jpg")
        let words = refusal.message.split(separator: " ").map(String.init)
        let token = try #require(words.first { $0.hasPrefix("lose-41-") })
        #expect(plan(token, groups).abandons.map(\.soleCopies) == [41])
        let fewer = [group([1], versions: 40, bytes: 40_000)]
        #expect(plan(token, fewer).abandons.map(\.soleCopies) == [40], "less is lost than was agreed")
        let more = [group([1], versions: 42, bytes: 42_000)]
        #expect(plan(token, more).abandons.isEmpty)
        #expect(AbandonToken(token, of: ID128(high: 0, low: 2)) == nil, "another backend's")
        #expect(AbandonToken("lose-41-0000", of: ID128(high: 0, low: 1)) == nil)
        let protected = FleetPlanner(
            desired: desired([
                spec("lost", .removed, removal: .abandon(token: token), protected: true), spec("b"), spec("c"),
            ]), observed: observed([lost, record(2, "b"), record(3, "c")], groups: groups)
        ).plan()
        #expect(protected.abandons.isEmpty && protected.blockers.contains { $0.reason == .deletionProtected })
        lost.isAbandoned = true
        let after = plan(token, groups)
        #expect(after.abandons.isEmpty && !after.blockers.contains { $0.reason == .removalRefused })
    }

    struct Edit: Sendable {
        var state: DesiredBackendState
        var removal = RemovalPolicy.whenEmpty
        var protected = false
        var phase: BackendPhase
        var residue = BackendResidue()
        var expected: BackendPhase?
        var blocked: Reason?
    }

    /// DESIGN §4's table of edits, as far as phases go.
    @Test(arguments: [
        Edit(state: .draining, phase: .active, residue: BackendResidue(live: 3), expected: .draining),
        Edit(state: .active, phase: .draining, residue: BackendResidue(live: 3), expected: .active),
        Edit(state: .active, phase: .drained, expected: .active),
        Edit(state: .draining, phase: .draining, residue: BackendResidue(live: 1), expected: nil),
        Edit(state: .draining, phase: .draining, residue: BackendResidue(doomed: 1), expected: nil),
        Edit(state: .draining, phase: .draining, residue: BackendResidue(waitingHorizon: 1), expected: .drained),
        Edit(state: .removed, phase: .active, residue: BackendResidue(live: 3), expected: .draining),
        Edit(
            state: .removed, protected: true, phase: .active, residue: BackendResidue(live: 3), expected: nil,
            blocked: .deletionProtected),
        Edit(state: .removed, removal: .purge, phase: .drained, expected: .retiring),
        Edit(state: .removed, removal: .whenEmpty, phase: .drained, expected: nil),
        Edit(state: .removed, removal: .purge, phase: .retiring, expected: .retired),
        Edit(
            state: .removed, removal: .purge, phase: .retiring, residue: BackendResidue(waitingHorizon: 1),
            expected: nil),
        Edit(
            state: .removed, removal: .abandon(token: "x"), phase: .active, expected: .draining,
            blocked: .removalRefused),
        Edit(
            state: .removed, removal: .abandon(token: "x"), phase: .draining, residue: BackendResidue(live: 1),
            expected: nil, blocked: .removalRefused),
    ])
    func `an edit of the state means one step`(edit: Edit) {
        let state = observed(
            [record(1, "a", edit.phase), record(2, "b"), record(3, "c")], residues: [BackendID(1): edit.residue])
        let wanted = spec("a", edit.state, removal: edit.removal, protected: edit.protected)
        let plan = FleetPlanner(desired: desired([wanted, spec("b"), spec("c")]), observed: state).plan()
        #expect(plan.phases.first?.to == edit.expected)
        #expect(plan.blockers.first?.reason == edit.blocked)
    }

    @Test func `only as many drains as allowed begin at once`() {
        let state = observed([record(1, "a"), record(2, "b"), record(3, "c")])
        let plan = FleetPlanner(
            desired: desired([spec("a", .draining), spec("b", .draining), spec("c")], factor: 1), observed: state
        ).plan()
        #expect(plan.phases.map(\.name) == ["a"])
        #expect(plan.blockers.map(\.reason) == [.tooManyDrains])
    }

    @Test func `what waits for its drain, or is protected, keeps its copies`() {
        let groups = [group([2, 3], versions: 5, bytes: 50), group([1, 2], versions: 3, bytes: 30)]
        let backends = [record(1, "a", .draining), record(2, "b"), record(3, "c"), record(4, "d")]
        let state = observed(backends, groups: groups, residues: [BackendID(2): BackendResidue(live: 8)])
        for waiting in [spec("b", .draining), spec("b", .removed, protected: true)] {
            let wanted = desired([spec("a", .draining), waiting, spec("c"), spec("d")])
            let planner = FleetPlanner(desired: wanted, observed: state)
            #expect(planner.roles[BackendID(1)] == .leaving && planner.roles[BackendID(2)] == .waiting)
            let plan = planner.plan()
            #expect(plan.repair.copies == 0, "nobody empties it before its turn")
            #expect(plan.drains.map(\.backend) == ["a"] && plan.drains.first?.move.copies == 3)
        }
    }

    @Test func `a closed window and a reached ceiling are blockers that name their fields`() throws {
        var wanted = desired([spec("a", .draining), spec("b"), spec("c")])
        wanted.backends[0].drain.window = DailyWindow(start: 60, end: 120)
        wanted.fleet.safety.deletionsPerHourMax = 10
        var state = observed(
            [record(1, "a", .draining), record(2, "b"), record(3, "c")],
            groups: [group([1, 2], versions: 5, bytes: 50)], residues: [BackendID(1): BackendResidue(live: 5)])
        func blockers(minute: Int64, drops: Int64) -> [String] {
            state.pace = PaceReading(moment: minute * 60_000_000, dropsLastHour: drops)
            return FleetPlanner(desired: wanted, observed: state).plan().blockers.map {
                "\($0.subject) \($0.reason.rawValue)"
            }
        }
        #expect(blockers(minute: 90, drops: 9) == [])
        #expect(blockers(minute: 120, drops: 9) == ["backend/a OutsideWindow"])
        #expect(blockers(minute: 90, drops: 10) == ["fleet/home DeletionCeiling"])
    }

    @Test func `a plan says how long a drain takes, by what was measured and what is allowed`() {
        let move = Plan.Effect(copies: 1000, bytes: ByteCount(3_600_000_000))
        func text(_ policy: DrainPolicy, _ rate: MoveRate?) -> String? {
            MoveEstimate.of(move, policy: policy, rate: rate).map { "\($0.text), with \($0.basis)" }
        }
        #expect(text(DrainPolicy(), nil) == nil)
        #expect(text(DrainPolicy(), MoveRate(copies: 5, bytes: 5, busy: .milliseconds(10))) == nil, "too little")
        let rate = MoveRate(copies: 100, bytes: 100_000_000, busy: .seconds(10))
        #expect(text(DrainPolicy(), rate) == "about 6m, with 10.0 MB/s and 10 copies/s as one instance measured")
        let slow = MoveRate(copies: 10, bytes: 1_000_000_000, busy: .seconds(10))
        #expect(text(DrainPolicy(), slow) == "about 16m, with 100.0 MB/s and 1.0 copies/s as one instance measured")
        let limited = DrainPolicy(bandwidth: ByteCount(1_000_000), window: DailyWindow(start: 0, end: 720))
        #expect(text(limited, rate) == "about 2h, with the limit of 1.0 MB/s, 00:00 to 12:00 UTC only")
        #expect(MoveEstimate.rough(.seconds(95_000)) == "1d2h" && MoveEstimate.rough(.seconds(70)) == "1m10s")
    }

    @Test func `a plan sets what a drain needs of limited months beside what is left`() {
        var wanted = desired([spec("a", .draining), spec("b"), spec("c")])
        wanted.backends[0].usageLimits = UsageLimits(apiRequests: 100, egress: ByteCount(1000))
        wanted.backends[2].usageLimits = UsageLimits(ingress: ByteCount(2000))
        var state = observed(
            [record(1, "a"), record(2, "b"), record(3, "c")],
            groups: [group([1, 2], versions: 30, bytes: 900), group([1, 2, 3], versions: 5, bytes: 50)])
        state.fleet.monthly[BackendID(1)] = MonthlyUsage(requests: 40, egress: 200)
        let plan = FleetPlanner(desired: wanted, observed: state).plan()
        #expect(
            plan.drains.first?.demands.map { "\($0.backend) \($0.kind.rawValue) \($0.needed) of \($0.left)" } == [
                "a requests 65 of 60", "a egress 900 of 800", "c ingress 900 of 2000",
            ])
        let text = PlanTextRenderer(usesColour: false).render(plan, source: "specs/")
        #expect(text.contains("requests") && text.contains("65  of a, more than the 60 that are left this month"))
        #expect(text.contains("900 B  of c, within the 2.0 kB that are left this month"), "\(text)")
    }

    @Test func `sole copies on a backend that does not answer are blockers, not moves`() throws {
        var state = observed(
            [record(1, "a"), record(2, "b"), record(3, "c")],
            groups: [group([1], versions: 7, bytes: 70), group([1, 2], versions: 5, bytes: 50)])
        state.probes[BackendID(1)] = .failed(StoreError(.unreachable, mayArriveLate: false, evidence: "refused"))
        awayForLong(&state)
        for drained in [true, false] {
            let first = spec("a", drained ? .draining : .active)
            let plan = FleetPlanner(desired: desired([first, spec("b"), spec("c")]), observed: state).plan()
            let blocker = try #require(plan.blockers.first { $0.reason == .sourceUnreadable })
            #expect(blocker.copies == 7 && blocker.message.contains("the only copies are on a, which cannot be read"))
            #expect("\(blocker.subject)" == (drained ? "backend/a" : "bucket/photos"))
            #expect(plan.drains.reduce(0) { $0 + $1.move.copies } + plan.repair.copies == 5, "the others have a source")
        }
    }

    @Test func `a backend that vanished from the files is kept, and its copies neither count nor go`() {
        let state = observed(
            [record(1, "a"), record(2, "b"), record(3, "c")], groups: [group([1, 2], versions: 5, bytes: 50)])
        let plan = FleetPlanner(desired: desired([spec("b"), spec("c")]), observed: state).plan()
        #expect(plan.phases.isEmpty && plan.drains.isEmpty)
        #expect(plan.changes.map(\.kind) == [.notice])
        #expect(plan.repair.copies == 5)
    }

    /// The first backend could not be used for longer than the repair delay.
    private func awayForLong(_ state: inout ObservedState) {
        state.pace = PaceReading(moment: 2_000_000_000)
        state.awaySince[BackendID(1)] = 2_000_000_000 - 601_000_000
    }

    @Test func `a mismatched marker freezes a backend, and its copies are made anew after the repair delay`() {
        var state = observed(
            [record(1, "a"), record(2, "b"), record(3, "c")], groups: [group([1, 2], versions: 5, bytes: 50)])
        state.probes[BackendID(1)] = .answered(.mismatch(found: "other"))
        let desired = desired([spec("a"), spec("b"), spec("c")])
        for isLong in [false, true] {
            if isLong { awayForLong(&state) }
            let planner = FleetPlanner(desired: desired, observed: state)
            let plan = planner.plan()
            #expect(planner.roles[BackendID(1)] == (isLong ? .uncounted : .away))
            #expect(planner.standings.first { $0.name == "a" }?.isEligible == false)
            #expect(plan.repair.copies == (isLong ? 5 : 0) && plan.missing == plan.repair)
            let notice = plan.changes.first { $0.kind == .notice }
            #expect(notice?.detail.contains("its marker is of another backend") == true)
            #expect(notice?.detail.contains("after 10m") == !isLong)
        }
    }

    @Test func `what cannot be made is missing all the same, and what is in doubt everywhere is named`() {
        var state = observed(
            [record(1, "a"), record(2, "b")], groups: [group([1, 2], versions: 5, bytes: 50)])
        let short = FleetPlanner(desired: desired([spec("a"), spec("b")], factor: 4), observed: state).plan()
        #expect(short.missing.copies == 10 && short.repair.copies == 0)
        #expect(short.blockers.map(\.reason) == [.insufficientTargets])
        state.groups = [
            CopyGroup(
                bucket: BucketID(1), holders: [], suspects: [BackendID(1), BackendID(2)], versions: 3,
                bytes: ByteCount(30),
                largest: ByteCount(10), example: "lost.jpg")
        ]
        let lost = FleetPlanner(desired: desired([spec("a"), spec("b")]), observed: state).plan()
        #expect(lost.blockers.map(\.reason) == [.sourceUnreadable])
        #expect(lost.blockers.first?.example == "photos/lost.jpg" && lost.missing.copies == 6)
        #expect(lost.repair.copies == 0)
    }

    @Test func `a drain that is called off makes room for another in the same edit`() {
        let state = observed([record(1, "a", .draining), record(2, "b"), record(3, "c")])
        let plan = FleetPlanner(
            desired: desired([spec("a"), spec("b", .draining), spec("c")]), observed: state
        ).plan()
        #expect(plan.blockers.isEmpty)
        #expect(plan.phases.map(\.to) == [.active, .draining])
    }

    @Test func `a factor that changes is a change of the plan`() {
        var state = observed([record(1, "a"), record(2, "b")])
        state.fleet.buckets[0].factor = 1
        let plan = FleetPlanner(desired: desired([spec("a"), spec("b")]), observed: state).plan()
        #expect(plan.changes.map(\.detail) == ["factor: 1 -> 2"])
    }
}
