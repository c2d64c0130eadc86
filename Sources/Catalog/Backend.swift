package import Spec

/// What the reconciler has made of a backend so far. The desired state is the spec's; this is progress.
package enum BackendPhase: String, Sendable, CaseIterable {
    /// Takes new copies (if it is declared, reachable and identified).
    case active
    /// Takes no new intent; its copies move away.
    case draining
    /// Nothing is left but names that wait out the late-arrival horizon. May become active again.
    case drained
    /// Being emptied and verified for good; cannot be undone.
    case retiring
    /// A tombstone: its id and its name's history stay.
    case retired

    package func mayBecome(_ next: BackendPhase) -> Bool {
        switch (self, next) {
        case (.active, .draining), (.draining, .active), (.draining, .drained), (.drained, .active),
            (.drained, .draining), (.drained, .retiring), (.retiring, .retired):
            true
        case (.active, _), (.draining, _), (.drained, _), (.retiring, _), (.retired, _): false
        }
    }
}

/// A backend as Postgres knows it.
package struct BackendRecord: Sendable, Equatable {
    package let id: BackendID
    /// Written into the identity marker on the backend, so that a swapped bucket is noticed.
    package let uid: ID128
    package let name: String
    package var phase: BackendPhase
    /// False once it vanished from the files: still read, never written, never purged.
    package var isDeclared: Bool
    /// As last accepted; literal secrets are not kept.
    package var spec: BackendSpec
    /// Bumped whenever the accepted spec of this backend changes.
    package var generation: Int64
    /// Whether the marker was written once; from then on its absence is a mismatch.
    package var isMarked: Bool
    /// Given up by its operator for good: its copies count for nothing, and their rows are being ended.
    package var isAbandoned: Bool

    package init(
        id: BackendID, uid: ID128, name: String, phase: BackendPhase, isDeclared: Bool, spec: BackendSpec,
        generation: Int64, isMarked: Bool, isAbandoned: Bool = false
    ) {
        self.id = id
        self.uid = uid
        self.name = name
        self.phase = phase
        self.isDeclared = isDeclared
        self.spec = spec
        self.generation = generation
        self.isMarked = isMarked
        self.isAbandoned = isAbandoned
    }
}

/// Counters of one backend: equal to the sums over `copy` at all times.
package struct BackendUsage: Sendable, Equatable {
    package struct Tally: Sendable, Equatable {
        package var copies: Int64
        package var bytes: ByteCount
        package init(copies: Int64 = 0, bytes: ByteCount = .zero) {
            self.copies = copies
            self.bytes = bytes
        }
    }
    package var writing: Tally
    package var live: Tally
    package var doomed: Tally
    package init(writing: Tally = Tally(), live: Tally = Tally(), doomed: Tally = Tally()) {
        self.writing = writing
        self.live = live
        self.doomed = doomed
    }
    /// What counts against the quota.
    package var occupied: ByteCount { writing.bytes + live.bytes + doomed.bytes }
}

package struct BucketRecord: Sendable, Equatable {
    package let id: BucketID
    package let name: String
    package var isDeclared: Bool
    /// Microseconds since 1970.
    package var createdAt: Int64
    /// The access key id of the client that made it; nil once a spec declared it.
    package var owner: String?
    package var settings: [BucketSetting: String]
    /// Copies that its objects are to have; 0 where it was not read.
    package var factor: Int
    package init(
        id: BucketID, name: String, isDeclared: Bool, createdAt: Int64, owner: String? = nil,
        settings: [BucketSetting: String] = [:], factor: Int = 0
    ) {
        self.id = id
        self.name = name
        self.isDeclared = isDeclared
        self.createdAt = createdAt
        self.owner = owner
        self.settings = settings
        self.factor = factor
    }
    /// Whether clients may see it at all.
    package var isServed: Bool { isDeclared || owner != nil }
}

/// The fleet at one moment: what was accepted, and what became of it. One read-only transaction.
package struct FleetSnapshot: Sendable {
    /// 0 before the first accepted spec.
    package var revision: Int64
    /// The digest of the accepted spec; empty before the first.
    package var digest: String
    /// Microseconds since 1970.
    package var acceptedAt: Int64
    /// Sorted by name; retired ones are left out.
    package var backends: [BackendRecord]
    package var usage: [BackendID: BackendUsage]
    /// Of the current month.
    package var monthly: [BackendID: MonthlyUsage]
    /// Sorted by name.
    package var buckets: [BucketRecord]
    package init(
        revision: Int64, digest: String, acceptedAt: Int64, backends: [BackendRecord],
        usage: [BackendID: BackendUsage], buckets: [BucketRecord], monthly: [BackendID: MonthlyUsage] = [:]
    ) {
        self.revision = revision
        self.digest = digest
        self.acceptedAt = acceptedAt
        self.backends = backends
        self.usage = usage
        self.buckets = buckets
        self.monthly = monthly
    }
    package func backend(_ name: String) -> BackendRecord? { backends.first { $0.name == name } }
    package func backend(_ id: BackendID) -> BackendRecord? { backends.first { $0.id == id } }
    package func bucket(_ name: String) -> BucketRecord? { buckets.first { $0.name == name } }
}
