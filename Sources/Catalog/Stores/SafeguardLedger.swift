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

/// Why the reconciler destroys nothing.
package enum RewindEvidence: Sendable, Equatable {
    /// A backend has the marker of an epoch that the catalog has not reached.
    case marker(backend: String, epoch: Int64)
    /// Postgres was restored, or another server took over.
    case database(was: DatabaseIdentity, is: DatabaseIdentity)
}

/// Whether the catalog may have gone back in time (DESIGN §6, Rewound catalog).
package struct Safeguard: Sendable, Equatable {
    /// Raised whenever copies are deleted that were doomed since it was raised last.
    package var epoch: Int64
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
        epoch: Int64, recorded: DatabaseIdentity? = nil, current: DatabaseIdentity? = nil, halt: Halt? = nil
    ) {
        self.epoch = epoch
        self.recorded = recorded
        self.current = current
        self.halt = halt
    }

    /// What a look at the database and at the backends' markers says. A part of an identity that is not known says nothing.
    package func evidence(markers: [String: Int64]) -> RewindEvidence? {
        if let newest = markers.filter({ $0.value > epoch }).max(by: { ($0.value, $1.key) < ($1.value, $0.key) }) {
            return .marker(backend: newest.key, epoch: newest.value)
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
    func safeguard() async throws(CatalogError) -> Safeguard
    /// Remembers the database's identity if none is remembered.
    func recordIdentity(_ identity: DatabaseIdentity) async throws(CatalogError)
    /// The epoch, raised if it was last raised at least `minAge` ago, and durable; nil while the reconciler is held back.
    func raiseEpoch(minAge: Duration) async throws(CatalogError) -> Int64?
    /// From now on nothing is doomed by the reconciler and nothing is deleted. A halt that stands stays, with its token.
    func halt(_ evidence: String, newestEpoch: Int64) async throws(CatalogError)
    /// Ends the halt that has this token: the epoch goes behind every marker that was seen, and the database is the recorded
    /// one. False if no halt has it.
    func confirmCatalog(token: String, identity: DatabaseIdentity?) async throws(CatalogError) -> Bool
}
