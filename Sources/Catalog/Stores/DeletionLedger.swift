/// A copy whose bytes are to go.
package struct DoomedCopy: Sendable, Equatable {
    package var copy: Copy
    /// Whether a write of this name may still arrive: it is deleted and looked at again after the horizon.
    package var mayArriveLate: Bool
    /// It was deleted once and seen to be absent; this is the second look.
    package var isSecondLook: Bool
    package var attempts: Int
    package init(copy: Copy, mayArriveLate: Bool, isSecondLook: Bool, attempts: Int) {
        self.copy = copy
        self.mayArriveLate = mayArriveLate
        self.isSecondLook = isSecondLook
        self.attempts = attempts
    }
}

package enum DeletionResult: Sendable, Equatable {
    /// Confirmed absent; the row becomes `gone`.
    case gone
    /// Deleted and absent now, but to be looked at again after the horizon.
    case lookAgain(after: Duration)
    /// Try again later.
    case failed(retryAfter: Duration, evidence: String)
}

/// The deletion queue, which is the `doomed` rows themselves; each call is one transaction.
package protocol DeletionLedger: Sendable {
    /// Claims due `doomed` copies of the backend; durable before any DELETE leaves. None while the safeguard halts.
    func claimDoomed(backend: BackendID, limit: Int, token: LeaseToken, lease: Duration) async throws(CatalogError)
        -> [DoomedCopy]
    /// Ends the claim; rows that became `gone` are removed later.
    func settle(_ copy: CopyID, token: LeaseToken, _ result: DeletionResult) async throws(CatalogError)
    /// Dooms `writing` copies whose lease ran out (late arrivals possible), and versions that never committed. Uploads'
    /// copies are left alone, and so are copies in parts that somebody will go on with, on a backend that takes copies: for a
    /// quarter of an hour while their version has too few sound copies, for a day while a backend with a copy drains. Writes
    /// from before a silence of the catalog end without a deletion. Returns how many.
    func reapExpiredWrites(limit: Int) async throws(CatalogError) -> Int
    /// Removes `gone` rows and versions and objects that nothing refers to any more. Returns how many rows went.
    func forgetGone(limit: Int) async throws(CatalogError) -> Int
    /// Aborts uploads with a copy on a backend that has drained for longer than the grace, and those that were created `maxAge` ago
    /// or before. Where Complete has begun, both count from then, too. Returns how many.
    func abortStaleUploads(drainGrace: Duration, maxAge: Duration, limit: Int) async throws(CatalogError) -> Int
}
