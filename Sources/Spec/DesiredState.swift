/// What the operators declared: validated, immutable, with defaults filled in. Everything else reads this.
package struct DesiredState: Sendable, Equatable {
    package var fleet: FleetSpec
    /// Sorted by name.
    package var backends: [BackendSpec]
    /// Sorted by name.
    package var buckets: [BucketSpec]
    /// Sorted by name.
    package var keyrings: [KeyringSpec]

    package init(fleet: FleetSpec, backends: [BackendSpec], buckets: [BucketSpec], keyrings: [KeyringSpec] = []) {
        self.fleet = fleet
        self.backends = backends.sorted { $0.name < $1.name }
        self.buckets = buckets.sorted { $0.name < $1.name }
        self.keyrings = keyrings.sorted { $0.name < $1.name }
    }

    package func backend(_ name: String) -> BackendSpec? { backends.first { $0.name == name } }
    package func bucket(_ name: String) -> BucketSpec? { buckets.first { $0.name == name } }

    /// The replication that holds for a bucket: its own, else the fleet's.
    package func replication(of bucket: String) -> ReplicationSpec {
        self.bucket(bucket)?.replication ?? fleet.replication
    }
}

/// How many copies there are to be, and how many of them before a write is acknowledged.
package struct ReplicationSpec: Sendable, Equatable {
    package var factor: Int
    /// Copies made durable before 200.
    package var ack: Int
    /// Enough when fewer backends are eligible.
    package var minAck: Int
    /// In a bucket it is the fleet's: a backend is away for all buckets alike.
    package var repairDelay: Duration

    package init(factor: Int, ack: Int? = nil, minAck: Int = 1, repairDelay: Duration = .seconds(600)) {
        self.factor = factor
        self.ack = ack ?? min(2, factor)
        self.minAck = minAck
        self.repairDelay = repairDelay
    }
}

package struct SafetySpec: Sendable, Equatable {
    package var maxConcurrentDrains = 1
    package var trimDelay: Duration = .seconds(24 * 3600)
    /// How long a doomed copy stays, so that readers finish.
    package var readGrace: Duration = .seconds(600)
    package var orphanQuarantine: Duration = .seconds(7 * 24 * 3600)
    /// How long open uploads on a draining backend accept parts.
    package var drainUploadGrace: Duration = .seconds(3600)
    /// Copies that the reconciler may drop in any hour; nil: no ceiling.
    package var deletionsPerHourMax: Int64?
    package init() {}
}

package enum Routing: String, Sendable, CaseIterable { case pack, spread }
package enum BucketCreation: String, Sendable, CaseIterable { case declaredOnly, allowed }

package struct FleetSpec: Sendable, Equatable {
    package var name: String
    package var replication: ReplicationSpec
    package var routing: Routing
    package var reconcileInterval: Duration
    package var isSuspended: Bool
    package var bucketCreation: BucketCreation
    package var safety: SafetySpec
    /// How often every copy is read and verified; nil: only when `sluice scrub` asks.
    package var scrubInterval: Duration?
    /// Copies move when the most and the least utilised backend are so far apart, as a share of 1; nil: only when
    /// `sluice rebalance` asks.
    package var rebalanceThreshold: Double?

    package init(
        name: String, replication: ReplicationSpec, routing: Routing = .spread,
        reconcileInterval: Duration = .seconds(30),
        isSuspended: Bool = false, bucketCreation: BucketCreation = .declaredOnly, safety: SafetySpec = SafetySpec()
    ) {
        self.name = name
        self.replication = replication
        self.routing = routing
        self.reconcileInterval = reconcileInterval
        self.isSuspended = isSuspended
        self.bucketCreation = bucketCreation
        self.safety = safety
    }
}

package enum DesiredBackendState: String, Sendable, CaseIterable { case active, draining, removed }

/// Where a backend's bytes are.
package enum BackendLocation: Sendable, Equatable, Hashable {
    /// An absolute directory.
    case directory(path: String)
    /// An S3 service. `endpoint` is scheme, host and port without a path.
    case s3(endpoint: String, region: String, bucket: String, usesPathStyle: Bool)
}

package enum RemovalPolicy: Sendable, Equatable {
    /// Removed only when empty of itself; nothing is deleted on the backend.
    case whenEmpty
    case purge
    /// The backend is lost; the token names the number of sole copies that go with it.
    case abandon(token: String)
}

package struct UsageLimits: Sendable, Equatable {
    /// nil: unlimited. Per calendar month, UTC.
    package var apiRequests: Int64?
    package var egress: ByteCount?
    package var ingress: ByteCount?
    package init(apiRequests: Int64? = nil, egress: ByteCount? = nil, ingress: ByteCount? = nil) {
        self.apiRequests = apiRequests
        self.egress = egress
        self.ingress = ingress
    }
}

package struct BackendCredentials: Sendable, Equatable {
    package var accessKeyID: SecretReference
    package var secretAccessKey: SecretReference
    package init(accessKeyID: SecretReference, secretAccessKey: SecretReference) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
    }
}

package struct BackendSpec: Sendable, Equatable {
    package var name: String
    package var labels: [String: String]
    package var state: DesiredBackendState
    package var location: BackendLocation
    /// Empty or ending in `/`; nothing outside it is ever touched.
    package var keyPrefix: String
    /// nil for directories.
    package var credentials: BackendCredentials?
    /// nil: unlimited.
    package var quota: ByteCount?
    package var usageLimits: UsageLimits
    package var drain: DrainPolicy
    package var removal: RemovalPolicy
    package var isDeletionProtected: Bool

    package init(
        name: String, labels: [String: String] = [:], state: DesiredBackendState = .active, location: BackendLocation,
        keyPrefix: String = "sluice/", credentials: BackendCredentials? = nil, quota: ByteCount? = nil,
        usageLimits: UsageLimits = UsageLimits(), drain: DrainPolicy = DrainPolicy(),
        removal: RemovalPolicy = .whenEmpty, isDeletionProtected: Bool = false
    ) {
        self.name = name
        self.labels = labels
        self.state = state
        self.location = location
        self.keyPrefix = keyPrefix
        self.credentials = credentials
        self.quota = quota
        self.usageLimits = usageLimits
        self.drain = drain
        self.removal = removal
        self.isDeletionProtected = isDeletionProtected
    }
}

package enum Access: String, Sendable, CaseIterable { case readOnly, readWrite }

/// A key pair that S3 clients sign with, as granted on one bucket.
package struct CredentialSpec: Sendable, Equatable {
    package var accessKeyID: String
    package var secretAccessKey: SecretReference
    package var access: Access
    /// Empty: the whole bucket.
    package var prefixes: [String]

    package init(
        accessKeyID: String, secretAccessKey: SecretReference, access: Access = .readWrite, prefixes: [String] = []
    ) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.access = access
        self.prefixes = prefixes
    }
}

package struct LifecycleRule: Sendable, Equatable {
    package var id: String
    package var prefix: String
    package var expireAfter: Duration?
    package var abortIncompleteUploadsAfter: Duration?
    package init(id: String, prefix: String, expireAfter: Duration? = nil, abortIncompleteUploadsAfter: Duration? = nil)
    {
        self.id = id
        self.prefix = prefix
        self.expireAfter = expireAfter
        self.abortIncompleteUploadsAfter = abortIncompleteUploadsAfter
    }
}

/// One rule of a bucket's CORS configuration (AWS, "CORS configuration"; WHATWG Fetch, "CORS protocol").
package struct CORSRule: Sendable, Equatable {
    package var id: String?
    /// At most one `*` in each.
    package var allowedOrigins: [String]
    /// GET, PUT, HEAD, POST, DELETE.
    package var allowedMethods: [String]
    /// At most one `*` in each.
    package var allowedHeaders: [String]
    package var exposeHeaders: [String]
    /// How long a browser may keep the answer to a preflight; whole seconds.
    package var maxAge: Duration?
    package init(
        id: String? = nil, allowedOrigins: [String], allowedMethods: [String], allowedHeaders: [String] = [],
        exposeHeaders: [String] = [], maxAge: Duration? = nil
    ) {
        self.id = id
        self.allowedOrigins = allowedOrigins
        self.allowedMethods = allowedMethods
        self.allowedHeaders = allowedHeaders
        self.exposeHeaders = exposeHeaders
        self.maxAge = maxAge
    }
}

/// What anybody may read without signing.
package struct AnonymousReadSpec: Sendable, Equatable {
    /// Keys that begin with one of these; empty: all.
    package var prefixes: [String]
    /// Whether the keys may be listed as well.
    package var allowsListing: Bool
    package init(prefixes: [String] = [], allowsListing: Bool = false) {
        self.prefixes = prefixes
        self.allowsListing = allowsListing
    }
    /// Whether everything that begins with `text` is covered.
    package func covers(_ text: String) -> Bool {
        prefixes.isEmpty || prefixes.contains { text.utf8.starts(with: $0.utf8) }
    }
}

package struct BucketSpec: Sendable, Equatable {
    package var name: String
    /// nil: the fleet's.
    package var replication: ReplicationSpec?
    /// The keyring's name; nil: stored as it comes.
    package var encryptionKeyring: String?
    package var credentials: [CredentialSpec]
    package var lifecycle: [LifecycleRule]
    package var cors: [CORSRule]
    /// nil: every request must be signed.
    package var anonymousRead: AnonymousReadSpec?

    package init(
        name: String, replication: ReplicationSpec? = nil, encryptionKeyring: String? = nil,
        credentials: [CredentialSpec] = [], lifecycle: [LifecycleRule] = [], cors: [CORSRule] = [],
        anonymousRead: AnonymousReadSpec? = nil
    ) {
        self.name = name
        self.replication = replication
        self.encryptionKeyring = encryptionKeyring
        self.credentials = credentials
        self.lifecycle = lifecycle
        self.cors = cors
        self.anonymousRead = anonymousRead
    }
}

package struct KeyringSpec: Sendable, Equatable {
    package struct Key: Sendable, Equatable {
        package var id: String
        package var secret: SecretReference
        package init(id: String, secret: SecretReference) {
            self.id = id
            self.secret = secret
        }
    }
    package var name: String
    package var primary: String
    package var keys: [Key]
    package init(name: String, primary: String, keys: [Key]) {
        self.name = name
        self.primary = primary
        self.keys = keys
    }
}
