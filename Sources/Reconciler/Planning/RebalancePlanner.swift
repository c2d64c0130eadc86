package import Catalog
package import Spec

/// Bytes that go from one backend to another so that both are about as full as the fleet.
package struct RebalanceStep: Sendable, Equatable {
    package var from: BackendID
    package var to: BackendID
    package var fromName: String
    package var toName: String
    package var bytes: ByteCount
}

package struct RebalancePlan: Sendable, Equatable {
    /// From the fullest backend on; empty if nothing is to move.
    package var steps: [RebalanceStep] = []
    /// Of the backends that take copies, in percent: the least and the most utilised; nil without any, or while something else comes first.
    package var utilisation: ClosedRange<Int>?
}

/// Which bytes move where for an even utilisation: a pure function of what is stored.
///
/// Utilisation is that of `Placement` with routing `spread`, reckoned without doomed copies: those go anyway, and counted they would
/// make each pass move once more what the last one moved. No step moves a backend beyond the mean, so nothing ever moves back.
package enum RebalancePlanner {
    private struct Stand {
        var standing: BackendStanding
        var level: Double
        var scale: Double
    }

    /// - Parameters:
    ///   - usage: of the backends
    ///   - threshold: how far apart the utilisations may be, as a share of 1; 0: whatever lies beyond the mean moves
    package static func plan(
        standings: [BackendStanding], usage: [BackendID: BackendUsage], groups: [CopyGroup], threshold: Double
    ) -> RebalancePlan {
        let eligible = standings.filter { $0.isEligible && $0.isHealthy }
        func level(_ one: BackendStanding) -> Double {
            let tally = usage[one.id] ?? BackendUsage()
            return Double((tally.live.bytes + tally.writing.bytes).value)
        }
        // Without any quota the fullest is the measure.
        let scale = eligible.compactMap(\.quota).max().map { Double($0.value) } ?? eligible.map(level).max() ?? 0
        let stands = eligible.map {
            Stand(standing: $0, level: level($0), scale: max(1, $0.quota.map { Double($0.value) } ?? scale))
        }
        let shares = stands.map { $0.level / $0.scale }
        guard let least = shares.min(), let most = shares.max() else { return RebalancePlan() }
        var plan = RebalancePlan(utilisation: Int((least * 100).rounded())...Int((most * 100).rounded()))
        guard most - least >= threshold, most > least else { return plan }
        let mean = stands.reduce(0) { $0 + $1.level } / stands.reduce(0) { $0 + $1.scale }
        var excess = stands.map { max(0, $0.level - mean * $0.scale) }
        var deficit = stands.map { stand in
            let free = stand.standing.free.map { Double($0.value) } ?? .infinity
            return min(free, max(0, mean * stand.scale - stand.level))
        }
        // The fullest gives first, the emptiest takes first.
        let givers = stands.indices.sorted { (-shares[$0], $0) < (-shares[$1], $1) }
        let takers = stands.indices.sorted { (shares[$0], $0) < (shares[$1], $1) }
        for giver in givers where excess[giver] >= 1 {
            for taker in takers where taker != giver && deficit[taker] >= 1 && excess[giver] >= 1 {
                let (from, to) = (stands[giver].standing, stands[taker].standing)
                let bytes = min(excess[giver], deficit[taker], movable(groups, from.id, to.id)).rounded(.down)
                guard bytes >= 1 else { continue }
                excess[giver] -= bytes
                deficit[taker] -= bytes
                plan.steps.append(
                    RebalanceStep(
                        from: from.id, to: to.id, fromName: from.name, toName: to.name, bytes: ByteCount(Int64(bytes))))
            }
        }
        return plan
    }

    /// What the one has and the other has not.
    private static func movable(_ groups: [CopyGroup], _ from: BackendID, _ to: BackendID) -> Double {
        groups.reduce(0) { sum, group in
            let moves = group.holders.contains(from) && !group.holders.contains(to) && !group.suspects.contains(to)
            return moves ? sum + Double(group.bytes.value) : sum
        }
    }
}
