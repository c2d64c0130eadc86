package import Catalog
package import Spec

/// What a backend's copies are good for, under the desired state.
package enum BackendRole: Sendable, Equatable {
    /// Active, declared, answering, identified: copies count, new ones may come.
    case staying
    /// Copies count as being there, but none is added and none elsewhere is dropped because of them.
    case away
    /// Draining or removed: copies are to leave.
    case leaving
    /// To leave, but not yet: its drain waits for others, or its removal is refused. Its copies are enough where they are; what has to
    /// move anyway does not count on them.
    case waiting
    /// Undeclared, frozen, or gone for longer than the repair delay: read if possible, not counted.
    case uncounted
}

/// What is to be done for a version that is held by certain backends. The same function decides for a whole group in a plan and for
/// one claimed version in a worker.
package struct VersionDecision: Sendable, Equatable {
    /// New copies, in this order.
    package var targets: [BackendID]
    /// Copies that may be doomed once the new ones are live.
    package var dooms: [BackendID]
    /// Nil if everything that is needed can be done.
    package var blocked: Reason?
    package init(targets: [BackendID], dooms: [BackendID], blocked: Reason?) {
        self.targets = targets
        self.dooms = dooms
        self.blocked = blocked
    }
}

package enum VersionPlanner {
    /// The copies beyond the factor, on the most utilised backends first (DESIGN §4, factor lowered); ties by name.
    ///
    /// Only copies on staying backends are counted and taken: what is away or leaving may not come back.
    /// - Parameter holders: backends with a live, unsuspected copy
    package static func surplus(
        holders: [BackendID], factor: Int, roles: [BackendID: BackendRole], standings: [BackendStanding]
    ) -> [BackendID] {
        let staying = holders.filter { roles[$0] == .staying }
        guard staying.count > factor, factor >= 1 else { return [] }
        let known = Dictionary(standings.map { ($0.id, $0) }) { first, _ in first }
        // Without a quota there is no share: such backends come after all that have one, by their bytes.
        func rank(_ id: BackendID) -> (share: Double, occupied: Int64, name: String) {
            guard let standing = known[id] else { return (-1, 0, "") }
            let share =
                standing.quota.map { $0.value > 0 ? Double(standing.occupied.value) / Double($0.value) : 1 } ?? -1
            return (share, standing.occupied.value, standing.name)
        }
        let ordered = staying.sorted { first, second in
            let (a, b) = (rank(first), rank(second))
            return a.share != b.share
                ? a.share > b.share : a.occupied != b.occupied ? a.occupied > b.occupied : a.name < b.name
        }
        return Array(ordered.prefix(staying.count - factor))
    }

    /// - Parameters:
    ///   - holders: backends with a live, unsuspected copy
    ///   - suspects: backends with a live but suspect copy
    package static func decide(
        holders: [BackendID], suspects: [BackendID], factor: Int, size: ByteCount, roles: [BackendID: BackendRole],
        standings: [BackendStanding], routing: Routing
    ) -> VersionDecision {
        func role(_ id: BackendID) -> BackendRole { roles[id] ?? .uncounted }
        let staying = holders.filter { role($0) == .staying }
        let leaving = Set(holders + suspects).filter { role($0) == .leaving }.sorted()
        let counted = holders.filter { holder in
            role(holder) == .staying || role(holder) == .away || role(holder) == .waiting && leaving.isEmpty
        }
        let healed = suspects.filter { role($0) == .staying }
        let isReadable = !(holders + suspects).isEmpty
        let need = max(0, factor - counted.count)
        func room(_ size: ByteCount, without excluded: Set<BackendID>) -> [BackendID] {
            Placement.targets(for: size, routing: routing, among: standings, excluding: excluded)
        }
        var targets: [BackendID] = []
        if need > 0, isReadable {
            targets = Array(room(size, without: Set(holders).union(suspects)).prefix(need))
            // Where a copy went bad another may, so that comes last; but a fleet without a spare backend heals too.
            let again = room(size, without: Set(holders).union(targets)).filter { suspects.contains($0) }
            targets += again.prefix(need - targets.count)
        }
        let after = staying.count + targets.count
        let required = max(1, min(factor, holders.count))
        let mayDoom = after >= required
        var blocked: Reason?
        if targets.count < need || !leaving.isEmpty && !mayDoom {
            let wouldFit = room(.zero, without: Set(holders))
            blocked =
                !isReadable
                ? .sourceUnreadable : wouldFit.count > targets.count ? .insufficientRoom : .insufficientTargets
        }
        // Beside the good copy that took its place a suspect is of no use, however few there are.
        let replaced = healed.filter { after >= factor || holders.contains($0) || targets.contains($0) }
        return VersionDecision(targets: targets, dooms: mayDoom ? leaving + replaced : [], blocked: blocked)
    }
}
