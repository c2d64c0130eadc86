package import Spec

/// What a backend was used for in one calendar month, UTC: what providers bill.
package struct MonthlyUsage: Sendable, Equatable {
    package var requests: Int64
    /// Bytes that were read from it.
    package var egress: Int64
    /// Bytes that were written to it.
    package var ingress: Int64
    package init(requests: Int64 = 0, egress: Int64 = 0, ingress: Int64 = 0) {
        self.requests = requests
        self.egress = egress
        self.ingress = ingress
    }
    package static let zero = MonthlyUsage()
    package static func += (a: inout MonthlyUsage, b: MonthlyUsage) {
        a.requests += b.requests
        a.egress += b.egress
        a.ingress += b.ingress
    }
}

extension UsageLimits {
    /// Reads go elsewhere if they can: the requests or the bytes read of this month are used up.
    package func forbidReads(after usage: MonthlyUsage) -> Bool {
        isUsedUp(usage.requests, apiRequests) || isUsedUp(usage.egress, egress?.value)
    }

    /// Whether bytes may still be written this month.
    package func allowsWrite(of size: ByteCount, after usage: MonthlyUsage) -> Bool {
        if isUsedUp(usage.requests, apiRequests) { return false }
        return ingress.map { usage.ingress + size.value <= $0.value } ?? true
    }

    private func isUsedUp(_ used: Int64, _ limit: Int64?) -> Bool { limit.map { used >= $0 } ?? false }
}

/// Usage of backends, added up over all instances.
package protocol UsageLedger: Sendable {
    /// Adds to this month, by the database's clock. A crash may lose what was not added yet.
    func add(_ usage: [BackendID: MonthlyUsage]) async throws(CatalogError)
}
