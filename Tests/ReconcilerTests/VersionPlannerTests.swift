import Catalog
import Reconciler
import Spec
import Testing

/// The one decision that plans and workers share: tables, and properties over random fleets.
@Suite("Version planner") struct VersionPlannerTests {
    private func standing(_ id: Int32, _ role: BackendRole, quota: Int64? = nil, occupied: Int64 = 0) -> BackendStanding
    {
        BackendStanding(
            id: BackendID(id), name: "b\(id)", isEligible: role == .staying, isHealthy: role == .staying,
            quota: quota.map { ByteCount($0) },
            occupied: ByteCount(occupied))
    }

    private func decide(
        _ roles: [BackendRole], holders: [Int32], suspects: [Int32] = [], factor: Int, size: Int64 = 10,
        quota: Int64? = nil
    ) -> VersionDecision {
        let standings = roles.enumerated().map { standing(Int32($0.offset + 1), $0.element, quota: quota) }
        return VersionPlanner.decide(
            holders: holders.map { BackendID($0) }, suspects: suspects.map { BackendID($0) }, factor: factor,
            size: ByteCount(size),
            roles: Dictionary(uniqueKeysWithValues: standings.indices.map { (standings[$0].id, roles[$0]) }),
            standings: standings, routing: .spread)
    }

    @Test func `a version with enough copies is left alone`() {
        #expect(
            decide([.staying, .staying, .staying], holders: [1, 2], factor: 2)
                == VersionDecision(targets: [], dooms: [], blocked: nil))
    }

    @Test func `a missing copy is made on a backend that has none`() {
        #expect(decide([.staying, .staying, .staying], holders: [1], factor: 2).targets == [BackendID(2)])
    }

    @Test func `a leaving copy is doomed only beside its replacement`() {
        let decision = decide([.leaving, .staying, .staying], holders: [1, 2], factor: 2)
        #expect(decision == VersionDecision(targets: [BackendID(3)], dooms: [BackendID(1)], blocked: nil))
    }

    @Test func `a leaving copy with enough others is dropped without a move`() {
        let decision = decide([.leaving, .staying, .staying], holders: [1, 2, 3], factor: 2)
        #expect(decision == VersionDecision(targets: [], dooms: [BackendID(1)], blocked: nil))
    }

    @Test func `without a target nothing is doomed, and the reason is said`() {
        let decision = decide([.leaving, .staying], holders: [1, 2], factor: 2)
        #expect(decision.dooms.isEmpty)
        #expect(decision.blocked == .insufficientTargets)
        #expect(
            decide([.leaving, .staying, .staying], holders: [1, 2], factor: 2, size: 100, quota: 50).blocked
                == .insufficientRoom)
    }

    @Test func `a sole copy leaves once one other is there, whatever the factor could not have`() {
        let decision = decide([.leaving, .staying], holders: [1], factor: 2)
        #expect(decision.targets == [BackendID(2)])
        #expect(decision.dooms == [BackendID(1)])
    }

    @Test func `without a spare backend a suspect's place is taken by a new copy there`() {
        let decision = decide([.staying, .staying], holders: [1], suspects: [2], factor: 2)
        #expect(decision == VersionDecision(targets: [BackendID(2)], dooms: [BackendID(2)], blocked: nil))
    }

    @Test func `a suspect is not counted, and goes when enough good ones are there`() {
        let decision = decide([.staying, .staying, .staying], holders: [1], suspects: [2], factor: 2)
        #expect(decision == VersionDecision(targets: [BackendID(3)], dooms: [BackendID(2)], blocked: nil))
    }

    @Test
    func `a suspect beside the good copy that took its place goes, though the factor is more than there are backends`()
    {
        let decision = decide([.staying, .staying], holders: [1, 2], suspects: [2], factor: 3)
        #expect(decision == VersionDecision(targets: [], dooms: [BackendID(2)], blocked: .insufficientTargets))
        #expect(
            decide([.staying, .staying, .away], holders: [1, 3], suspects: [2], factor: 3, quota: 5).dooms.isEmpty)
    }

    @Test func `a backend that is away briefly still counts against new copies, but never for a drop`() {
        #expect(decide([.away, .staying, .staying], holders: [1, 2], factor: 2).targets.isEmpty)
        let decision = decide([.leaving, .away, .staying], holders: [1, 2], factor: 2)
        #expect(decision.targets == [BackendID(3)])
        #expect(decision.dooms.isEmpty)
    }

    @Test func `copies that are to leave later are enough until then, and nothing that moves counts on them`() {
        let rest = decide([.waiting, .staying, .staying], holders: [1, 2], factor: 2)
        #expect(rest == VersionDecision(targets: [], dooms: [], blocked: nil))
        let moving = decide([.leaving, .waiting, .staying, .staying], holders: [1, 2], factor: 2)
        #expect(moving == VersionDecision(targets: [3, 4].map { BackendID($0) }, dooms: [BackendID(1)], blocked: nil))
        let short = decide([.waiting, .staying], holders: [1], factor: 2)
        #expect(short == VersionDecision(targets: [BackendID(2)], dooms: [], blocked: nil))
    }

    @Test func `surplus leaves the most utilised backends, and only staying copies count`() {
        let standings = [
            standing(1, .staying, quota: 100, occupied: 10), standing(2, .staying, quota: 100, occupied: 90),
            standing(3, .staying, occupied: 1_000_000), standing(4, .staying, quota: 10, occupied: 5),
            standing(5, .away),
        ]
        let roles: [BackendID: BackendRole] = [
            BackendID(1): .staying, BackendID(2): .staying, BackendID(3): .staying, BackendID(4): .staying,
            BackendID(5): .away,
            BackendID(6): .leaving,
        ]
        func surplus(_ holders: [Int32], _ factor: Int) -> [Int32] {
            VersionPlanner.surplus(
                holders: holders.map { BackendID($0) }, factor: factor, roles: roles, standings: standings
            ).map(\.raw)
        }
        #expect(surplus([1, 2, 3, 4], 1) == [2, 4, 1])
        #expect(surplus([1, 2, 3, 4], 3) == [2])
        #expect(surplus([1, 2, 3], 3) == [])
        #expect(surplus([1, 5, 6], 1) == [], "one that stays, whatever else there is")
        #expect(surplus([1, 2, 5, 6], 1) == [2])
        #expect(surplus([1, 2], 0) == [], "never the last")
    }

    @Test func `random fleets: deterministic, never fewer than before, within quota, and at rest once converged`() {
        let seed: UInt64 = 20_261_120
        print("version planner seed \(seed)")
        var random = SeededGenerator(state: seed)
        for _ in 0..<3000 {
            let count = Int.random(in: 1...6, using: &random)
            let roles = (0..<count).map { _ in
                [BackendRole.staying, .staying, .leaving, .waiting, .away, .uncounted].randomElement(using: &random)
                    ?? .staying
            }
            let ids = (1...Int32(count)).map { $0 }
            let holders = ids.filter { _ in Bool.random(using: &random) }
            let suspects = ids.filter { !holders.contains($0) && Int.random(in: 0..<6, using: &random) == 0 }
            let factor = Int.random(in: 1...4, using: &random)
            let quota: Int64? = Bool.random(using: &random) ? Int64.random(in: 0...20, using: &random) : nil
            let decision = decide(roles, holders: holders, suspects: suspects, factor: factor, quota: quota)
            #expect(decision == decide(roles, holders: holders, suspects: suspects, factor: factor, quota: quota))
            #expect(Set(decision.targets).isDisjoint(with: holders.map { BackendID($0) }))
            #expect(decision.targets.allSatisfy { roles[Int($0.raw) - 1] == .staying })
            if let quota, quota < 10 { #expect(decision.targets.isEmpty) }

            // What is doomed is there now; a copy that takes a suspect's place stays.
            let after = Set(holders).subtracting(decision.dooms.map(\.raw)).union(decision.targets.map(\.raw))
            #expect(after.count >= min(factor, holders.count), "\(roles) \(holders) -> \(decision)")
            if !holders.isEmpty { #expect(!after.isEmpty) }
            // Carried out, the same decision finds nothing more to do.
            if decision.blocked == nil, suspects.isEmpty {
                let next = decide(roles, holders: after.sorted(), factor: factor, quota: quota)
                #expect(next.targets.isEmpty && next.dooms.isEmpty, "\(roles) \(holders) \(decision) \(next)")
            }
        }
    }
}

struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        var z = state
        z = (z ^ (z >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        return z ^ (z >> 33)
    }
}
