import Catalog
import Spec

/// A month's usage beside its limits, for people.
enum MonthlyText {
    /// Only what is limited.
    static func shares(_ used: MonthlyUsage, _ limits: UsageLimits) -> [String] {
        var shares: [String] = []
        if let limit = limits.apiRequests {
            shares.append("\(Grouped.number(used.requests)) of \(Grouped.number(limit)) requests")
        }
        if let limit = limits.egress { shares.append("\(ByteCount(used.egress)) of \(limit) egress") }
        if let limit = limits.ingress { shares.append("\(ByteCount(used.ingress)) of \(limit) ingress") }
        return shares
    }
}
