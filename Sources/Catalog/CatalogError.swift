/// Why a call to a store of the catalog gave no answer.
package enum CatalogError: Error, Sendable, Equatable {
    /// The transaction certainly did not happen: no connection, refused, rolled back. Safe to repeat.
    case unavailable(evidence: String)
    /// COMMIT was sent and its reply lost: it may have happened. Never guess (DESIGN §6).
    case unknownOutcome(evidence: String)
    /// The database refuses writes: read-only, standby.
    case readOnly(evidence: String)
    /// The statement was cancelled or the deadline passed before COMMIT was sent. Did not happen.
    case timedOut(evidence: String)
    case cancelled
    /// A broken promise of ours or of the database: wrong schema, failed constraint. Never retried.
    case internalError(evidence: String)

    /// Whether the next answer may come from another server: one that was restored, or promoted.
    package var isOfConnection: Bool {
        switch self {
        case .unavailable, .timedOut, .unknownOutcome, .readOnly: true
        case .cancelled, .internalError: false
        }
    }

    /// Whether the same call may simply be made again.
    package var isRepeatable: Bool {
        switch self {
        case .unavailable, .timedOut: true
        case .unknownOutcome, .readOnly, .cancelled, .internalError: false
        }
    }
}
