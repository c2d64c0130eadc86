package import Spec

/// A backend as placement sees it.
package struct BackendStanding: Sendable, Equatable {
    package var id: BackendID
    package var name: String
    /// Declared, in phase `active`, identified: may take new copies.
    package var isEligible: Bool
    /// Reachable now.
    package var isHealthy: Bool
    /// nil: unlimited.
    package var quota: ByteCount?
    package var occupied: ByteCount
    package var limits: UsageLimits
    /// Of this month.
    package var monthly: MonthlyUsage
    package init(
        id: BackendID, name: String, isEligible: Bool, isHealthy: Bool, quota: ByteCount?, occupied: ByteCount,
        limits: UsageLimits = UsageLimits(), monthly: MonthlyUsage = .zero
    ) {
        self.id = id
        self.name = name
        self.isEligible = isEligible
        self.isHealthy = isHealthy
        self.quota = quota
        self.occupied = occupied
        self.limits = limits
        self.monthly = monthly
    }

    /// nil: unlimited.
    package var free: ByteCount? { quota.map { ByteCount(max(0, $0.value - occupied.value)) } }
}

/// Where new copies go: one pure function for writes, repairs and drains.
package enum Placement {
    /// The eligible, healthy backends with room for `size` whose month has some left, best first; ties are broken by name.
    ///
    /// `pack` fills the first by name before the next; `spread` takes the least utilised, where an unlimited backend counts as
    /// utilised by its bytes beside the largest quota.
    package static func targets(
        for size: ByteCount, routing: Routing, among standings: [BackendStanding], excluding: Set<BackendID> = []
    ) -> [BackendID] {
        let candidates = standings.filter { one in
            one.isEligible && one.isHealthy && !excluding.contains(one.id) && one.free.map { $0 >= size } ?? true
                && one.limits.allowsWrite(of: size, after: one.monthly)
        }
        switch routing {
        case .pack:
            return candidates.sorted { $0.name < $1.name }.map(\.id)
        case .spread:
            let scale = standings.compactMap(\.quota?.value).max() ?? Int64(1) << 40
            let utilised = candidates.map { one in
                (one, Double(one.occupied.value) / Double(max(1, one.quota?.value ?? scale)))
            }
            return utilised.sorted { a, b in a.1 != b.1 ? a.1 < b.1 : a.0.name < b.0.name }.map(\.0.id)
        }
    }
}
