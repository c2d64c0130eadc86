package import HTTP

/// What the gateway takes from the world, handed in so that tests decide it.
package struct GatewayEnvironment: Sendable {
    package var now: @Sendable () -> WallTime
    /// A monotonic clock; only differences mean anything.
    package var elapsed: @Sendable () -> Duration
    /// Unique for each request; 16 upper-case hexadecimal digits look like AWS's.
    package var makeRequestID: @Sendable () -> String
    /// Returns early when the task is cancelled.
    package var sleep: @Sendable (Duration) async -> Void
    /// Runs what must outlive the request that began it: a Complete goes on when its client hangs up.
    package var spawn: @Sendable (@escaping @Sendable () async -> Void) -> Void

    package init(
        now: @escaping @Sendable () -> WallTime, elapsed: @escaping @Sendable () -> Duration,
        makeRequestID: @escaping @Sendable () -> String, sleep: @escaping @Sendable (Duration) async -> Void,
        spawn: @escaping @Sendable (@escaping @Sendable () async -> Void) -> Void
    ) {
        self.now = now
        self.elapsed = elapsed
        self.makeRequestID = makeRequestID
        self.sleep = sleep
        self.spawn = spawn
    }
}

/// How one gateway presents itself.
package struct GatewaySettings: Sendable {
    /// What signatures must be scoped to, and what GetBucketLocation says.
    package var region: String
    /// With it, `BUCKET.DOMAIN` is understood as well as paths; lower case, without a port.
    package var domain: String?
    /// Authenticates continuation tokens; the same in every instance, so that a listing may go on at another one.
    package var tokenKey: [UInt8]

    package init(region: String = "us-east-1", domain: String? = nil, tokenKey: [UInt8]) {
        self.region = region
        self.domain = domain?.lowercased()
        self.tokenKey = tokenKey
    }
}
