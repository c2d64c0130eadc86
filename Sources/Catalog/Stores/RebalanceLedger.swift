/// The rebalancing that an operator asked for last.
package struct RebalanceRecord: Sendable, Equatable {
    /// Microseconds since 1970; nil: none was ever asked for.
    package var requestedAt: Int64?
    /// nil: it is under way, or none was asked for.
    package var finishedAt: Int64?
    /// What has moved since it was asked for.
    package var copies: Int64
    package var bytes: Int64
    package init(requestedAt: Int64? = nil, finishedAt: Int64? = nil, copies: Int64 = 0, bytes: Int64 = 0) {
        self.requestedAt = requestedAt
        self.finishedAt = finishedAt
        self.copies = copies
        self.bytes = bytes
    }
    package var isRequested: Bool { requestedAt != nil && finishedAt == nil }
}

/// Rebalancing is done by one instance at a time: several would each move what is too much. Each call is one transaction.
package protocol RebalanceLedger: Sendable {
    func rebalance() async throws(CatalogError) -> RebalanceRecord
    /// Asks for an even utilisation, whatever the spec's threshold; begins to count anew if the last one is finished.
    func requestRebalance() async throws(CatalogError)
    /// Ends what was asked for. False if nothing was.
    func cancelRebalance() async throws(CatalogError) -> Bool
    /// False while another instance is at it.
    func beginRebalance(token: LeaseToken, lease: Duration) async throws(CatalogError) -> Bool
    /// Ends the lease, and the request if nothing is left to do for it.
    func endRebalance(token: LeaseToken, copies: Int64, bytes: Int64, finishesRequest: Bool) async throws(CatalogError)
}
