package import Catalog
package import S3
package import Spec
import Synchronization

/// What a credential may do in one bucket.
package struct Grant: Sendable, Equatable {
    package var access: Access
    /// Empty: the whole bucket.
    package var prefixes: [String]
    package init(access: Access, prefixes: [String] = []) {
        self.access = access
        self.prefixes = prefixes
    }

    /// Whether everything that begins with `text` lies inside the grant.
    package func covers(_ text: String) -> Bool {
        prefixes.isEmpty || prefixes.contains { text.utf8.starts(with: $0.utf8) }
    }
}

/// A key pair that clients sign with, and all it was granted.
package struct GatewayCredential: Sendable, Equatable {
    package let accessKeyID: String
    package let secret: Secret
    /// By bucket name.
    package var grants: [String: [Grant]]
    package init(accessKeyID: String, secret: Secret, grants: [String: [Grant]]) {
        self.accessKeyID = accessKeyID
        self.secret = secret
        self.grants = grants
    }
}

/// A bucket that has its row, with what requests need to know of it: declared in the spec, or made by a client.
package struct ServedBucket: Sendable, Equatable {
    package let id: BucketID
    package let name: String
    /// Microseconds since 1970.
    package let createdAt: Int64
    package let replication: ReplicationSpec
    /// The access key id that made it; nil for a declared one.
    package var owner: String?
    /// Private for a declared one, whose grants stand in the spec.
    package var acl: CannedACL = .isPrivate
    /// nil: none was set.
    package var publicAccessBlock: PublicAccessBlock?
    package var cors: [CORSRule] = []
    /// As `a=b&c=d`.
    package var tagging: String?
    package var anonymousRead: AnonymousReadSpec?

    /// What an ACL of the bucket or of an object in it comes to.
    func effective(_ acl: CannedACL) -> CannedACL {
        publicAccessBlock?.contains(.ignorePublicACLs) == true ? .isPrivate : acl
    }

    package init(id: BucketID, name: String, createdAt: Int64, replication: ReplicationSpec) {
        self.id = id
        self.name = name
        self.createdAt = createdAt
        self.replication = replication
    }

    /// - Parameter spec: nil for a bucket that a client made
    package init(_ record: BucketRecord, _ spec: BucketSpec?, replication: ReplicationSpec) {
        self.init(id: record.id, name: record.name, createdAt: record.createdAt, replication: replication)
        guard let spec else {
            owner = record.owner
            acl = record.settings[.acl].flatMap { CannedACL(rawValue: $0) } ?? .isPrivate
            cors = record.settings[.cors].flatMap { CORSDocument.rules(stored: $0) } ?? []
            tagging = record.settings[.tagging]
            publicAccessBlock = record.settings[.publicAccess].flatMap { PublicAccessBlock(stored: $0) }
            return
        }
        cors = spec.cors
        anonymousRead = spec.anonymousRead
    }
}

/// A backend with what reads and writes need of it.
package struct ServedBackend: Sendable {
    package var standing: BackendStanding
    package var keyPrefix: String
    package var store: any ObjectStore
    package init(standing: BackendStanding, keyPrefix: String, store: any ObjectStore) {
        self.standing = standing
        self.keyPrefix = keyPrefix
        self.store = store
    }
}

/// Everything a request decides with, immutable: a request keeps to its end what it started with.
package struct GatewaySnapshot: Sendable {
    package let revision: Int64
    package let fleet: FleetSpec
    /// By name.
    package private(set) var buckets: [String: ServedBucket]
    /// By access key id.
    package let credentials: [String: GatewayCredential]
    package let backends: [BackendID: ServedBackend]

    package init(
        revision: Int64, fleet: FleetSpec, buckets: [ServedBucket], credentials: [GatewayCredential],
        backends: [ServedBackend]
    ) {
        self.revision = revision
        self.fleet = fleet
        self.buckets = Dictionary(buckets.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        self.credentials = Dictionary(credentials.map { ($0.accessKeyID, $0) }, uniquingKeysWith: { first, _ in first })
        self.backends = Dictionary(backends.map { ($0.standing.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Joins what was declared with the rows it has.
    ///
    /// An access key that several buckets grant is one credential. If they name different secrets, the first bucket's (by name)
    /// holds and the others' grants are dropped: a key must never open a bucket with a secret that the bucket did not name.
    /// - Parameter secret: resolves a reference; nil leaves the grant out
    package init(
        desired: DesiredState, fleet rows: FleetSnapshot, backends: [ServedBackend],
        secret: (SecretReference) -> Secret?
    ) {
        var credentials: [String: GatewayCredential] = [:]
        for bucket in desired.buckets {
            for declared in bucket.credentials {
                guard let value = secret(declared.secretAccessKey) else { continue }
                let key = declared.accessKeyID
                var credential = credentials[key] ?? GatewayCredential(accessKeyID: key, secret: value, grants: [:])
                guard credential.secret == value else { continue }
                credential.grants[bucket.name, default: []].append(
                    Grant(access: declared.access, prefixes: declared.prefixes))
                credentials[key] = credential
            }
        }
        let specs = Dictionary(desired.buckets.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let served = rows.buckets.compactMap { record -> ServedBucket? in
            // What a client made is served while the fleet allows it to be there; the rest only while the spec declares it.
            guard specs[record.name] != nil || record.owner != nil else { return nil }
            return ServedBucket(record, specs[record.name], replication: desired.replication(of: record.name))
        }
        self.init(
            revision: rows.revision, fleet: desired.fleet, buckets: served, credentials: Array(credentials.values),
            backends: backends)
    }
}

extension GatewaySnapshot {
    /// The backend's monthly limits are used up.
    func forbidsReads(of backend: BackendID) -> Bool {
        backends[backend].map { $0.standing.limits.forbidReads(after: $0.standing.monthly) } ?? false
    }

    package mutating func add(_ bucket: ServedBucket) { buckets[bucket.name] = bucket }
    package mutating func remove(bucket name: String) { buckets[name] = nil }
}

/// Holds the snapshot that new requests take; nil until the first spec was accepted.
package final class SnapshotCell: Sendable {
    private struct State {
        var snapshot: GatewaySnapshot?
        var changes = 0
    }
    private let state: Mutex<State>
    package init(_ snapshot: GatewaySnapshot? = nil) { state = Mutex(State(snapshot: snapshot)) }
    package var value: GatewaySnapshot? { state.withLock { $0.snapshot } }
    /// How often requests of this instance changed the snapshot.
    package var changes: Int { state.withLock { $0.changes } }

    /// Replaces the snapshot by one that was read anew, unless a request changed it since the reading began.
    /// - Parameter changes: as it was before the reading
    package func swap(_ snapshot: GatewaySnapshot, readAfter changes: Int) -> Bool {
        state.withLock { state in
            guard state.changes == changes else { return false }
            state.snapshot = snapshot
            return true
        }
    }

    /// A request's own change is seen by the next one at once.
    package func change(_ body: (inout GatewaySnapshot) -> Void) {
        state.withLock { state in
            guard var snapshot = state.snapshot else { return }
            body(&snapshot)
            state.snapshot = snapshot
            state.changes += 1
        }
    }
}
