import Catalog
import Spec

/// What a drain needs of a backend's month, beside what is left of it.
package struct MonthlyDemand: Sendable, Equatable {
    package enum Kind: String, Sendable { case requests, egress, ingress }
    package var backend: String
    package var kind: Kind
    /// Requests, or bytes.
    package var needed: Int64
    package var left: Int64

    package var isEnough: Bool { needed <= left }

    /// Only what is limited, of the drained backend and of its targets.
    ///
    /// A copy that moves is read once, written once and deleted once; one that is dropped is deleted. Sources elsewhere are read first, so
    /// that the drained backend may well be read less. Objects over 64 MiB take more requests, one for each part.
    static func of(
        _ effect: DrainEffect, received: [BackendID: Plan.Effect], standings: [BackendStanding]
    ) -> [MonthlyDemand] {
        standings.flatMap { standing -> [MonthlyDemand] in
            var demand = MonthlyUsage()
            if standing.name == effect.backend {
                demand.requests = effect.move.copies * 2 + effect.drop.copies
                demand.egress = effect.move.bytes.value
            }
            if let taken = received[standing.id] {
                demand.requests += taken.copies
                demand.ingress += taken.bytes.value
            }
            func one(_ kind: Kind, _ needed: Int64, _ limit: Int64?, _ used: Int64) -> MonthlyDemand? {
                guard let limit, needed > 0 else { return nil }
                return MonthlyDemand(backend: standing.name, kind: kind, needed: needed, left: max(0, limit - used))
            }
            let (limits, used) = (standing.limits, standing.monthly)
            return [
                one(.requests, demand.requests, limits.apiRequests, used.requests),
                one(.egress, demand.egress, limits.egress?.value, used.egress),
                one(.ingress, demand.ingress, limits.ingress?.value, used.ingress),
            ].compactMap { $0 }
        }
    }
}
