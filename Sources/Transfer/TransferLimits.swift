package import Catalog
package import S3

/// Bounds of transfers.
package struct TransferLimits: Sendable {
    /// How long a writer's rows are its own without a sign of life.
    package var writeLease: Duration = .seconds(120)
    /// Resolving a lost COMMIT: attempts, and the pause between two.
    package var resolveAttemptsMax = 10
    package var resolvePause: Duration = .milliseconds(500)
    /// First and longest pause before a failed deletion is tried again.
    package var deleteBackoff: Duration = .seconds(5)
    package var deleteBackoffMax: Duration = .seconds(3600)
    /// Copies of a version that one read tries.
    package var readAttemptsMax = 8
    /// Larger versions are moved in parts of this size, and go on where they were interrupted.
    package var movePartSize: Int64 = 64 << 20
    package var movePartAttemptsMax = 3
    package init() {}
}

/// What transfers need from outside: backends, ids, time.
package struct TransferContext: Sendable {
    package var stores: [BackendID: any ObjectStore]
    package var keyPrefixes: [BackendID: String]
    package var identifiers: any IdentifierSource
    package var limits: TransferLimits
    package var crashPlan: CrashPlan
    package var sleep: @Sendable (Duration) async throws(CancellationError) -> Void
    package init(
        stores: [BackendID: any ObjectStore], keyPrefixes: [BackendID: String], identifiers: any IdentifierSource,
        limits: TransferLimits = TransferLimits(), crashPlan: CrashPlan = .none,
        sleep: @escaping @Sendable (Duration) async throws(CancellationError) -> Void
    ) {
        self.stores = stores
        self.keyPrefixes = keyPrefixes
        self.identifiers = identifiers
        self.limits = limits
        self.crashPlan = crashPlan
        self.sleep = sleep
    }

    /// A new candidate with a name that was never used.
    package func candidate(_ backend: BackendID, bucketName: String, key: String, version: VersionID) -> CopyCandidate {
        let name = PhysicalName(
            keyPrefix: keyPrefixes[backend] ?? "", bucket: bucketName, key: key, version: version,
            suffix: identifiers.makeNameSuffix())
        return CopyCandidate(id: identifiers.makeCopyID(), backend: backend, physicalKey: name.text)
    }
}
