/// What must hold between documents.
struct SpecRules {
    private let collector: DiagnosticCollector
    private let fleets: [(FleetSpec, SourceMark)]
    private let backends: [(BackendSpec, SourceMark)]
    private let buckets: [(BucketSpec, SourceMark)]
    private let keyrings: [(KeyringSpec, SourceMark)]

    init(
        _ collector: DiagnosticCollector, _ fleets: [(FleetSpec, SourceMark)], _ backends: [(BackendSpec, SourceMark)],
        _ buckets: [(BucketSpec, SourceMark)], _ keyrings: [(KeyringSpec, SourceMark)]
    ) {
        self.collector = collector
        self.fleets = fleets
        self.backends = backends
        self.buckets = buckets
        self.keyrings = keyrings
    }

    func desiredState() -> DesiredState? {
        checkFleet()
        unique(backends.map { ($0.0.name, $0.1) }, "Backend")
        unique(buckets.map { ($0.0.name, $0.1) }, "Bucket")
        unique(keyrings.map { ($0.0.name, $0.1) }, "Keyring")
        if backends.isEmpty, !hasErrors {
            collector.report(
                Diagnostic(
                    .noBackends, nil, "the spec declares no backend",
                    hint: "nothing is destroyed by omission; to empty one, set state: removed"))
        }
        checkLocations()
        checkReferences()
        checkSecrets()
        checkFactors()
        guard !hasErrors, let fleet = fleets.first?.0 else { return nil }
        return DesiredState(
            fleet: fleet, backends: backends.map(\.0), buckets: buckets.map(\.0), keyrings: keyrings.map(\.0))
    }

    private var hasErrors: Bool { collector.diagnostics.contains { $0.severity == .error } }

    private func checkFleet() {
        if fleets.isEmpty, !hasErrors {
            collector.report(
                Diagnostic(
                    .fleetCount, nil, "the spec has no Fleet", hint: "exactly one document of kind Fleet is needed"))
        }
        for (fleet, mark) in fleets.dropFirst() {
            collector.report(
                Diagnostic(.fleetCount, mark, "a second Fleet, \"\(fleet.name)\"", hint: "there must be exactly one"))
        }
    }

    private func unique(_ names: [(String, SourceMark)], _ kind: String) {
        var seen: [String: SourceMark] = [:]
        for (name, mark) in names {
            if let first = seen[name] {
                collector.report(
                    Diagnostic(
                        .duplicateName, mark, "a second \(kind) \"\(name)\"",
                        hint: "the first is in \(first.file):\(first.line)"))
            } else {
                seen[name] = mark
            }
        }
    }

    /// Two backends in one place would delete each other's bytes.
    private func checkLocations() {
        for (index, (one, _)) in backends.enumerated() {
            for (other, mark) in backends.dropFirst(index + 1) where SpecRules.overlap(one, other) {
                collector.report(
                    Diagnostic(
                        .overlappingLocations, mark, "the backends \"\(one.name)\" and \"\(other.name)\" overlap",
                        hint: "give each a directory, bucket or keyPrefix of its own"))
            }
        }
    }

    private static func overlap(_ a: BackendSpec, _ b: BackendSpec) -> Bool {
        func nested(_ x: String, _ y: String) -> Bool { x.hasPrefix(y) || y.hasPrefix(x) }
        switch (a.location, b.location) {
        case (.directory(let x), .directory(let y)):
            return x == y ? nested(a.keyPrefix, b.keyPrefix) : nested(x + "/", y + "/")
        case (.s3(let e1, _, let b1, _), .s3(let e2, _, let b2, _)):
            return e1 == e2 && b1 == b2 && nested(a.keyPrefix, b.keyPrefix)
        case (.directory, .s3), (.s3, .directory): return false
        }
    }

    private func checkReferences() {
        for (bucket, mark) in buckets {
            if let keyring = bucket.encryptionKeyring {
                if !keyrings.contains(where: { $0.0.name == keyring }) {
                    let hint = Spelling.nearest(keyring, keyrings.map(\.0.name)).map { "did you mean \"\($0)\"?" }
                    collector.report(
                        Diagnostic(
                            .danglingReference, mark,
                            "bucket \"\(bucket.name)\" refers to the keyring \"\(keyring)\", which is not declared",
                            hint: hint))
                } else {
                    collector.report(
                        Diagnostic(
                            .notSupported, mark,
                            "bucket \"\(bucket.name)\" asks for encryption, which this release does not have yet",
                            hint: "remove encryption: objects would be stored as they come"))
                }
            }
            if !bucket.lifecycle.isEmpty {
                collector.report(
                    Diagnostic(
                        .notSupported, mark,
                        "bucket \"\(bucket.name)\" has lifecycle rules, which this release does not carry out yet",
                        hint: "remove lifecycle: nothing would expire"))
            }
            if bucket.credentials.isEmpty {
                collector.report(
                    Diagnostic(
                        .noCredentials, mark, "bucket \"\(bucket.name)\" has no credentials: no client can use it"))
            }
        }
    }

    /// One access key has one secret, on whatever buckets it is granted.
    private func checkSecrets() {
        var secrets: [String: SecretReference] = [:]
        for (bucket, mark) in buckets {
            for credential in bucket.credentials {
                if let first = secrets[credential.accessKeyID], first != credential.secretAccessKey {
                    collector.report(
                        Diagnostic(
                            .conflictingSecret, mark,
                            "the access key \"\(credential.accessKeyID)\" has another secret in another bucket"))
                }
                secrets[credential.accessKeyID] = credential.secretAccessKey
            }
        }
    }

    private func checkFactors() {
        guard let fleet = fleets.first else { return }
        let active = backends.filter { $0.0.state == .active }.count
        func check(_ factor: Int, _ what: String, _ mark: SourceMark) {
            guard factor > active, active > 0 else { return }
            collector.report(
                Diagnostic(
                    .factorTooHigh, mark,
                    "\(what) wants \(factor) copies, but \(active) backend\(active == 1 ? " is" : "s are") active",
                    hint: "objects stay under-replicated until there are more"))
        }
        check(fleet.0.replication.factor, "the fleet", fleet.1)
        for (bucket, mark) in buckets {
            if let own = bucket.replication { check(own.factor, "bucket \"\(bucket.name)\"", mark) }
        }
    }
}
