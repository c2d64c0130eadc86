/// Which database this is, and on which branch of its history (Postgres, "pg_control_system", "Timelines"): another one after a
/// restore, a promotion or an upgrade by dump.
package struct DatabaseIdentity: Sendable, Equatable {
    package var systemIdentifier: String
    /// nil where it cannot be asked, as on a standby.
    package var timeline: String?
    package init(systemIdentifier: String, timeline: String?) {
        self.systemIdentifier = systemIdentifier
        self.timeline = timeline
    }
}

/// A number that only goes up, and what tells it from the same number in another history of the catalog.
package struct Epoch: Hashable, Sendable {
    package var number: Int64
    package var nonce: String
    package init(number: Int64, nonce: String) {
        self.number = number
        self.nonce = nonce
    }
}

/// Why the reconciler destroys nothing.
package enum RewindEvidence: Sendable, Equatable {
    /// A backend has the marker of an epoch that the catalog never had.
    case marker(backend: String, epoch: Int64)
    /// Postgres was restored, or another server took over.
    case database(was: DatabaseIdentity, is: DatabaseIdentity)
    /// There is an object from a time of which the catalog knows nothing.
    case unknownTime(backend: String, name: String, written: WallMilliseconds)
}

/// Milliseconds since 1970.
package typealias WallMilliseconds = Int64

/// A time that the catalog lived through. At any moment within, it has every commit from before.
package struct CatalogLifetime: Sendable, Equatable {
    /// Microseconds since 1970; the least there is for the first.
    package var since: Int64
    package var until: Int64
    package init(since: Int64, until: Int64) {
        self.since = since
        self.until = until
    }
    /// - Parameter tolerance: how long the catalog may have gone on behind the last time that it said so
    package func contains(_ milliseconds: WallMilliseconds, tolerance: Duration = .zero) -> Bool {
        let moment = milliseconds * 1000
        return since <= moment && moment <= until + Int64(tolerance / .microseconds(1))
    }
}

/// Whether the catalog may have gone back in time (DESIGN §6, Rewound catalog).
package struct Safeguard: Sendable, Equatable {
    /// Raised whenever copies are deleted that were doomed since it was raised last.
    package var epoch: Int64
    /// Of the epochs that were asked about, those that this catalog has had.
    package var known: Set<Epoch>
    /// As it was when the operator last agreed; nil before the first pass.
    package var recorded: DatabaseIdentity?
    /// As it is; nil where Postgres does not say.
    package var current: DatabaseIdentity?
    /// nil: nothing is held back.
    package var halt: Halt?

    package struct Halt: Sendable, Equatable {
        /// Microseconds since 1970.
        package var since: Int64
        package var evidence: String
        /// What the operator repeats, to say that this very halt was looked at.
        package var token: String
        package init(since: Int64, evidence: String, token: String) {
            self.since = since
            self.evidence = evidence
            self.token = token
        }
    }

    package init(
        epoch: Int64, known: Set<Epoch> = [], recorded: DatabaseIdentity? = nil, current: DatabaseIdentity? = nil,
        halt: Halt? = nil
    ) {
        self.epoch = epoch
        self.known = known
        self.recorded = recorded
        self.current = current
        self.halt = halt
    }

    /// What a look at the database and at the backends' markers says. A part of an identity that is not known says nothing.
    ///
    /// - Parameter markers: by name of their backend; those that this was asked for
    package func evidence(markers: [String: [Epoch]]) -> RewindEvidence? {
        // The newest of all, so that what an operator agrees to is all that was there.
        let unknown = markers.flatMap { backend, epochs in
            epochs.filter { !known.contains($0) }.map { (backend: backend, number: $0.number) }
        }
        if let newest = unknown.max(by: { ($0.number, $1.backend) < ($1.number, $0.backend) }) {
            return .marker(backend: newest.backend, epoch: newest.number)
        }
        guard let recorded, let current else { return nil }
        let isOther =
            recorded.systemIdentifier != current.systemIdentifier
            || recorded.timeline != nil && current.timeline != nil && recorded.timeline != current.timeline
        return isOther ? .database(was: recorded, is: current) : nil
    }
}

/// The guard against a catalog that went back in time; each call is one transaction.
package protocol SafeguardLedger: Sendable {
    /// - Parameter markers: epochs that backends have markers of
    func safeguard(markers: [Epoch]) async throws(CatalogError) -> Safeguard
    /// Remembers the database's identity if none is remembered.
    func recordIdentity(_ identity: DatabaseIdentity) async throws(CatalogError)
    /// The catalog is alive now. Another time begins when Postgres was restarted or its tables were made anew.
    func noteAlive() async throws(CatalogError)
    /// The times that the catalog lived through, in order.
    func lifetimes() async throws(CatalogError) -> [CatalogLifetime]
    /// The epoch, raised if it was last raised at least `minAge` ago, and durable; nil while the reconciler is held back.
    func raiseEpoch(minAge: Duration) async throws(CatalogError) -> Epoch?
    /// From now on nothing is doomed by the reconciler and nothing is deleted. A halt that stands stays, with its token. With a new
    /// one all `writing` rows end without a deletion, so that writes under way fail, and all open uploads end: what was being
    /// written at the catalog's moment cannot be told from them. What clients delete is remembered until the confirmation.
    func halt(_ evidence: String, newestEpoch: Int64) async throws(CatalogError)
    /// Ends the halt that has this token: the epoch goes behind every marker that was seen, the database is the
    /// recorded one, and the times before now count as known. False if no halt has it.
    func confirmCatalog(token: String, identity: DatabaseIdentity?) async throws(CatalogError) -> Bool
}

extension SafeguardLedger {
    package func safeguard() async throws(CatalogError) -> Safeguard { try await safeguard(markers: []) }
}
