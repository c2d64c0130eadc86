/// Documents → `DesiredState`, with every mistake reported.
struct SpecDecoder {
    let collector: DiagnosticCollector
    /// Relative `file://./…` endpoints are resolved against the spec's folder.
    private let baseFolder: String
    private var fleets: [(FleetSpec, SourceMark)] = []
    private var backends: [(BackendSpec, SourceMark)] = []
    private var buckets: [(BucketSpec, SourceMark)] = []
    private var keyrings: [(KeyringSpec, SourceMark)] = []
    /// What buckets take from the fleet.
    private(set) var fleetReplication = ReplicationSpec(factor: 2)

    init(_ collector: DiagnosticCollector, baseFolder: String) {
        self.collector = collector
        self.baseFolder = baseFolder
    }

    /// Nil if anything is wrong; warnings alone do not prevent a result.
    mutating func decode(_ documents: [Node]) -> DesiredState? {
        fleetReplication = replicationAhead(documents) ?? fleetReplication
        for document in documents { take(document) }
        return SpecRules(collector, fleets, backends, buckets, keyrings).desiredState()
    }

    /// The fleet may be in a later file than the buckets that take from it. What is wrong with it is reported in its turn.
    private func replicationAhead(_ documents: [Node]) -> ReplicationSpec? {
        let unheard = DiagnosticCollector()
        var ahead = SpecDecoder(unheard, baseFolder: baseFolder)
        for document in documents
        where MappingDecoder(document, path: "document", unheard)?.string("kind") == Kind.fleet.rawValue {
            ahead.take(document)
        }
        return ahead.fleets.first?.0.replication
    }

    enum Kind: String, CaseIterable {
        case fleet = "Fleet"
        case backend = "Backend"
        case bucket = "Bucket"
        case keyring = "Keyring"
    }

    private mutating func take(_ document: Node) {
        guard let root = MappingDecoder(document, path: "document", collector) else { return }
        defer { root.finish() }
        if let version = root.required("apiVersion"), version != "sluice/v1" {
            collector.report(
                Diagnostic(
                    .wrongVersion, root.keyMark("apiVersion"), "apiVersion \"\(version)\" is not known",
                    hint: "use sluice/v1"))
        }
        let metadata = root.mapping("metadata")
        let name = metadata?.required("name")
        let labels = labels(metadata)
        metadata?.finish()
        if metadata == nil, root.isAbsent("metadata") { root.missing("metadata") }
        guard let kindName = root.required("kind") else { return }
        guard let kind = Kind(rawValue: kindName) else {
            let hint = Spelling.nearest(kindName, Kind.allCases.map(\.rawValue)).map { "did you mean \($0)?" }
            collector.report(
                Diagnostic(
                    .unknownKind, root.keyMark("kind"), "kind \"\(kindName)\" is not known",
                    hint: hint ?? "one of \(Kind.allCases.map(\.rawValue).joined(separator: ", "))"))
            _ = root.node("spec")
            return
        }
        guard let spec = root.mapping("spec")?.renamed("\(kind.rawValue).spec") else {
            if root.isAbsent("spec") { root.missing("spec") }
            return
        }
        defer { spec.finish() }
        guard let name, checkName(name, kind, metadata) else {
            // The fields are still checked, so that all mistakes come at once.
            decodeFields(kind, "unnamed", labels, spec, document.mark, keep: false)
            return
        }
        decodeFields(kind, name, labels, spec, document.mark, keep: true)
    }

    private func labels(_ metadata: MappingDecoder?) -> [String: String] {
        guard let node = metadata?.node("labels"), case .mapping(let entries) = node.content else { return [:] }
        var labels: [String: String] = [:]
        for entry in entries { if case .scalar(let text, _) = entry.value.content { labels[entry.key] = text } }
        return labels
    }

    /// Backends, fleets and keyrings: DNS labels. Buckets: S3's rules (AWS, "Bucket naming rules").
    private func checkName(_ name: String, _ kind: Kind, _ metadata: MappingDecoder?) -> Bool {
        let bytes = Array(name.utf8)
        let allowsDots = kind == .bucket
        let isFine =
            bytes.count >= (kind == .bucket ? 3 : 1) && bytes.count <= 63
            && bytes.allSatisfy {
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D || allowsDots && $0 == 0x2E
            }
            && bytes.first != 0x2D && bytes.last != 0x2D && bytes.first != 0x2E && bytes.last != 0x2E
            && !name.contains("..")
        if !isFine {
            collector.report(
                Diagnostic(
                    .badValue, metadata?.keyMark("name"), "the name \"\(name)\" is not allowed for a \(kind.rawValue)",
                    hint:
                        "\(kind == .bucket ? "3" : "1") to 63 of a-z, 0-9 and -\(allowsDots ? " and ." : ""), beginning and ending with a letter or digit"
                ))
        }
        return isFine
    }

    private mutating func decodeFields(
        _ kind: Kind, _ name: String, _ labels: [String: String], _ spec: MappingDecoder, _ mark: SourceMark, keep: Bool
    ) {
        switch kind {
        case .fleet:
            let fleet = fleet(name, spec)
            if keep { fleets.append((fleet, mark)) }
        case .backend:
            if let backend = backend(name, labels, spec), keep { backends.append((backend, mark)) }
        case .bucket:
            let bucket = bucket(name, spec)
            if keep { buckets.append((bucket, mark)) }
        case .keyring:
            if let keyring = keyring(name, spec), keep { keyrings.append((keyring, mark)) }
        }
    }

    // MARK: Kinds

    private func fleet(_ name: String, _ spec: MappingDecoder) -> FleetSpec {
        var fleet = FleetSpec(name: name, replication: ReplicationSpec(factor: 2))
        if let replication = replication(spec, .fleet, default: fleet.replication) { fleet.replication = replication }
        fleet.routing = spec.choice("routing", Routing.self) ?? fleet.routing
        if let reconcile = spec.mapping("reconcile") {
            fleet.reconcileInterval = reconcile.duration("interval") ?? fleet.reconcileInterval
            reconcile.finish()
        }
        if let scrub = spec.mapping("scrub") {
            fleet.scrubInterval = scrub.duration("interval")
            scrub.finish()
        }
        fleet.isSuspended = spec.bool("suspend") ?? false
        fleet.bucketCreation = spec.choice("bucketCreation", BucketCreation.self) ?? fleet.bucketCreation
        if let safety = spec.mapping("safety") {
            var value = SafetySpec()
            value.maxConcurrentDrains =
                safety.integer("maxConcurrentDrains", 1...1000).map { Int($0) } ?? value.maxConcurrentDrains
            value.trimDelay = safety.duration("trimDelay") ?? value.trimDelay
            value.readGrace = safety.duration("readGrace") ?? value.readGrace
            value.orphanQuarantine = safety.duration("orphanQuarantine") ?? value.orphanQuarantine
            value.drainUploadGrace = safety.duration("drainUploadGrace") ?? value.drainUploadGrace
            value.deletionsPerHourMax = safety.integer("maxDeletionsPerHour", 1...Int64.max)
            safety.finish()
            fleet.safety = value
        }
        if let rebalance = spec.mapping("rebalance") {
            fleet.rebalanceThreshold = rebalance.percent("threshold").map { Double($0) / 100 }
            if fleet.routing == .pack {
                collector.report(
                    Diagnostic(
                        .misplacedField, spec.keyMark("rebalance"), "routing: pack fills one backend after the other",
                        hint: "take rebalance away, or use routing: spread", width: "rebalance".count))
            }
            rebalance.finish()
        }
        return fleet
    }

    private func backend(_ name: String, _ labels: [String: String], _ spec: MappingDecoder) -> BackendSpec? {
        let state = spec.choice("state", DesiredBackendState.self) ?? .active
        let location = location(spec)
        let credentials = credentials(spec)
        var backend = BackendSpec(name: name, labels: labels, state: state, location: location ?? .directory(path: "/"))
        backend.credentials = credentials
        backend.keyPrefix = keyPrefix(spec)
        backend.quota = spec.bytes("quota")
        if let limits = spec.mapping("usageLimits") {
            let requests =
                limits.string("apiRequests") == "unlimited" ? nil : limits.integer("apiRequests", 0...Int64.max)
            backend.usageLimits = UsageLimits(
                apiRequests: requests, egress: limits.bytes("egress"), ingress: limits.bytes("ingress"))
            limits.finish()
        }
        if let drain = spec.mapping("drain") {
            backend.drain = DrainPolicy(bandwidth: drain.rate("bandwidth"), window: window(drain))
            drain.finish()
        }
        backend.isDeletionProtected = spec.bool("deletionProtection") ?? false
        if let removal = spec.mapping("removal") {
            let purge = removal.bool("purge") ?? false
            let token = removal.string("abandon")
            removal.finish()
            if purge, token != nil {
                collector.report(
                    Diagnostic(
                        .misplacedField, removal.mark, "purge and abandon exclude each other",
                        hint: "abandon is for a backend that is lost"))
            }
            if state != .removed {
                collector.report(
                    Diagnostic(
                        .misplacedField, spec.keyMark("removal"), "removal is read only with state: removed",
                        hint: "set state: removed, or take removal away", width: 7))
            }
            backend.removal = token.map { .abandon(token: $0) } ?? (purge ? .purge : .whenEmpty)
        }
        return location == nil ? nil : backend
    }

    private func window(_ drain: MappingDecoder) -> DailyWindow? {
        guard let window = drain.mapping("window") else { return nil }
        defer { window.finish() }
        let start = window.timeOfDay("start")
        let end = window.timeOfDay("end")
        for field in ["start", "end"] where !window.has(field) { window.missing(field, hint: "such as 22:00, in UTC") }
        guard let start, let end else { return nil }
        if start == end {
            collector.report(
                Diagnostic(
                    .badValue, window.keyMark("end"), "the window begins and ends at \(DailyWindow.text(start))",
                    hint: "without a window copies leave at any time"))
        }
        return DailyWindow(start: start, end: end)
    }

    private func location(_ spec: MappingDecoder) -> BackendLocation? {
        let region = spec.string("region")
        let bucket = spec.string("bucket")
        let addressing = spec.choice("addressing", Addressing.self) ?? .path
        guard let endpoint = spec.required("endpoint") else { return nil }
        let mark = spec.keyMark("endpoint")
        if endpoint.hasPrefix("file://") {
            for field in ["region", "bucket", "addressing", "credentials"] where spec.has(field) {
                collector.report(
                    Diagnostic(
                        .misplacedField, spec.keyMark(field), "\(field) has no meaning for a directory",
                        hint: "remove it", width: field.count))
            }
            let path = String(endpoint.dropFirst("file://".count))
            if path.hasPrefix("./") { return .directory(path: PathText.normalised(baseFolder + "/" + path)) }
            guard path.hasPrefix("/"), path.count > 1 else {
                collector.report(
                    Diagnostic(
                        .badValue, mark, "the endpoint \"\(endpoint)\" names no directory",
                        hint: "file:///absolute/path, or file://./path from the spec's folder", width: 8))
                return nil
            }
            return .directory(path: PathText.normalised(path))
        }
        guard let origin = PathText.origin(endpoint) else {
            collector.report(
                Diagnostic(
                    .badValue, mark, "the endpoint \"\(endpoint)\" is neither http(s)://HOST[:PORT] nor file:///PATH",
                    hint: "without a path; the bucket has a field of its own", width: 8))
            return nil
        }
        guard let bucket else {
            spec.missing("bucket", hint: "the bucket on \(origin) that holds the data")
            return nil
        }
        return .s3(endpoint: origin, region: region ?? "us-east-1", bucket: bucket, usesPathStyle: addressing == .path)
    }

    private enum Addressing: String, CaseIterable { case path, virtual }

    private func credentials(_ spec: MappingDecoder) -> BackendCredentials? {
        guard let mapping = spec.mapping("credentials") else {
            let isDirectory = spec.string("endpoint")?.hasPrefix("file://") ?? true
            if !isDirectory { spec.missing("credentials", hint: "accessKeyId and secretAccessKey of the backend") }
            return nil
        }
        defer { mapping.finish() }
        let key = mapping.secret("accessKeyId")
        let secret = mapping.secret("secretAccessKey")
        if key == nil, mapping.isAbsent("accessKeyId") { mapping.missing("accessKeyId") }
        if secret == nil, mapping.isAbsent("secretAccessKey") { mapping.missing("secretAccessKey") }
        guard let key, let secret else { return nil }
        return BackendCredentials(accessKeyID: key, secretAccessKey: secret)
    }

    private func keyPrefix(_ spec: MappingDecoder) -> String {
        guard var prefix = spec.string("keyPrefix") else { return "sluice/" }
        while prefix.hasPrefix("/") { prefix.removeFirst() }
        if !prefix.isEmpty, !prefix.hasSuffix("/") { prefix += "/" }
        let segments = prefix.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        if prefix.utf8.count > 200 || segments.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) {
            collector.report(
                Diagnostic(
                    .badValue, spec.keyMark("keyPrefix"),
                    "keyPrefix \"\(prefix)\" is not a plain path of at most 200 bytes", width: 9))
        }
        return prefix
    }

    private func keyring(_ name: String, _ spec: MappingDecoder) -> KeyringSpec? {
        let primary = spec.required("primary")
        var keys: [KeyringSpec.Key] = []
        for node in spec.list("keys") {
            guard let mapping = MappingDecoder(node, path: "Keyring.spec.keys", collector) else { continue }
            let id = mapping.required("id")
            let file = mapping.string("fromFile")
            let variable = mapping.string("fromEnv")
            mapping.finish()
            guard let id else { continue }
            switch (file, variable) {
            case (.some(let path), nil): keys.append(.init(id: id, secret: .file(path: path)))
            case (nil, .some(let variable)): keys.append(.init(id: id, secret: .environment(name: variable)))
            case (nil, nil), (.some, .some):
                collector.report(
                    Diagnostic(.badValue, mapping.mark, "a key must have exactly one of fromFile and fromEnv"))
            }
        }
        guard let primary else { return nil }
        if !keys.contains(where: { $0.id == primary }) {
            collector.report(
                Diagnostic(
                    .danglingReference, spec.keyMark("primary"), "the primary key \"\(primary)\" is not among the keys",
                    width: 7))
        }
        return KeyringSpec(name: name, primary: primary, keys: keys)
    }
}
