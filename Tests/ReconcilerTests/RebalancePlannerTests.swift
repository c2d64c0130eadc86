import Catalog
import Reconciler
import Spec
import Testing

/// What moves for an even utilisation.
@Suite("Rebalance planner") struct RebalancePlannerTests {
    private func standing(_ id: Int32, quota: Int64?, occupied: Int64) -> BackendStanding {
        BackendStanding(
            id: BackendID(id), name: "b\(id)", isEligible: true, isHealthy: true, quota: quota.map { ByteCount($0) },
            occupied: ByteCount(occupied))
    }

    /// Each backend: quota, live bytes.
    private func plan(
        _ backends: [(quota: Int64?, live: Int64)], shared: [Set<Int32>: Int64] = [:], threshold: Double
    ) -> RebalancePlan {
        var usage: [BackendID: BackendUsage] = [:]
        var groups: [CopyGroup] = []
        for (index, backend) in backends.enumerated() {
            let id = BackendID(Int32(index + 1))
            usage[id] = BackendUsage(live: BackendUsage.Tally(copies: 1, bytes: ByteCount(backend.live)))
            let held = shared.filter { $0.key.contains(id.raw) }.reduce(0) { $0 + $1.value }
            groups.append(group([id.raw], backend.live - held))
        }
        groups += shared.map { group($0.key.sorted(), $0.value) }
        return RebalancePlanner.plan(
            standings: backends.enumerated().map { standing(Int32($0 + 1), quota: $1.quota, occupied: $1.live) },
            usage: usage, groups: groups, threshold: threshold)
    }

    private func group(_ holders: [Int32], _ bytes: Int64) -> CopyGroup {
        CopyGroup(
            bucket: BucketID(1), holders: holders.map { BackendID($0) }, suspects: [], versions: 1,
            bytes: ByteCount(bytes), largest: ByteCount(bytes), example: "k")
    }

    private func text(_ plan: RebalancePlan) -> [String] {
        plan.steps.map { "\($0.fromName)>\($0.toName) \($0.bytes.value)" }
    }

    @Test func `the fullest gives to the emptiest until both are at the mean of their shares`() {
        let two = plan([(quota: 1000, live: 900), (quota: 1000, live: 100)], threshold: 0.2)
        #expect(text(two) == ["b1>b2 400"] && two.utilisation == 10...90)
        let uneven = plan([(quota: 1000, live: 900), (quota: 3000, live: 300)], threshold: 0.2)
        #expect(text(uneven) == ["b1>b2 600"], "a share of the quota, not bytes")
        let three = plan([(quota: 100, live: 90), (quota: 100, live: 60), (quota: 100, live: 0)], threshold: 0)
        #expect(text(three) == ["b1>b3 40", "b2>b3 10"])
    }

    @Test func `below the threshold nothing moves, and without quotas the fullest is the measure`() {
        #expect(plan([(quota: 100, live: 60), (quota: 100, live: 45)], threshold: 0.2).steps.isEmpty)
        #expect(text(plan([(quota: nil, live: 60), (quota: nil, live: 40)], threshold: 0.3)) == ["b1>b2 10"])
        #expect(plan([(quota: nil, live: 60), (quota: nil, live: 50)], threshold: 0.3).steps.isEmpty)
        #expect(plan([(quota: nil, live: 0), (quota: nil, live: 0)], threshold: 0).utilisation == 0...0)
        #expect(plan([(quota: 100, live: 60)], threshold: 0).steps.isEmpty)
        #expect(plan([], threshold: 0).utilisation == nil)
    }

    @Test func `what the emptiest has already cannot go there`() {
        let backends: [(quota: Int64?, live: Int64)] = [(100, 90), (100, 30)]
        #expect(text(plan(backends, shared: [[1, 2]: 30], threshold: 0)) == ["b1>b2 30"])
        #expect(text(plan([(100, 90), (100, 80)], shared: [[1, 2]: 80], threshold: 0)) == ["b1>b2 5"])
        #expect(plan([(100, 90), (1000, 90)], shared: [[1, 2]: 90], threshold: 0).steps.isEmpty)
    }

    @Test func `random fleets: nobody passes the mean, quotas hold, and an even fleet is at rest`() {
        let seed: UInt64 = 20_261_121
        print("rebalance planner seed \(seed)")
        var random = SeededGenerator(state: seed)
        for _ in 0..<2000 {
            let count = Int.random(in: 1...6, using: &random)
            let hasQuotas = Bool.random(using: &random)
            let backends: [(quota: Int64?, live: Int64)] = (0..<count).map { _ in
                let quota: Int64? =
                    hasQuotas && Int.random(in: 0..<4, using: &random) > 0
                    ? Int64.random(in: 100...10_000, using: &random) : nil
                return (quota, Int64.random(in: 0...(quota ?? 10_000), using: &random))
            }
            let threshold = Double(Int.random(in: 0...40, using: &random)) / 100
            let first = plan(backends, threshold: threshold)
            #expect(first == plan(backends, threshold: threshold))
            var after = backends
            for step in first.steps {
                after[Int(step.from.raw) - 1].live -= step.bytes.value
                after[Int(step.to.raw) - 1].live += step.bytes.value
            }
            for (index, backend) in after.enumerated() {
                if let quota = backend.quota, backends[index].live <= quota { #expect(backend.live <= quota) }
                let gives = first.steps.contains { Int($0.from.raw) == index + 1 }
                let takes = first.steps.contains { Int($0.to.raw) == index + 1 }
                #expect(!(gives && takes), "\(backends) \(text(first))")
            }
            // Without quotas the measure is the fullest, which is another one now; then only the spread must not have grown.
            let next = plan(after, threshold: max(threshold, 0.02))
            if hasQuotas, backends.contains(where: { $0.quota != nil }) {
                #expect(next.steps.isEmpty, "\(backends) \(text(first)) then \(text(next))")
            }
        }
    }
}
