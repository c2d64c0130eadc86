/// Buckets, and the replication that they share with the fleet.
extension SpecDecoder {
    func bucket(_ name: String, _ spec: MappingDecoder) -> BucketSpec {
        var bucket = BucketSpec(name: name)
        bucket.replication = replication(spec, .bucket, default: fleetReplication)
        if let encryption = spec.mapping("encryption") {
            bucket.encryptionKeyring = encryption.required("keyring")
            encryption.finish()
        }
        for node in spec.list("credentials") {
            guard let mapping = MappingDecoder(node, path: "Bucket.spec.credentials", collector) else { continue }
            let key = mapping.required("accessKeyId")
            let secret = mapping.secret("secretAccessKey")
            if secret == nil, mapping.isAbsent("secretAccessKey") { mapping.missing("secretAccessKey") }
            let access = mapping.choice("access", Access.self) ?? .readWrite
            let prefixes = mapping.strings("prefixes")
            mapping.finish()
            guard let key, let secret else { continue }
            bucket.credentials.append(
                CredentialSpec(accessKeyID: key, secretAccessKey: secret, access: access, prefixes: prefixes))
        }
        for node in spec.list("lifecycle") {
            guard let mapping = MappingDecoder(node, path: "Bucket.spec.lifecycle", collector) else { continue }
            let id = mapping.required("id") ?? ""
            bucket.lifecycle.append(
                LifecycleRule(
                    id: id, prefix: mapping.string("prefix") ?? "", expireAfter: mapping.duration("expireAfter"),
                    abortIncompleteUploadsAfter: mapping.duration("abortIncompleteUploadsAfter")))
            mapping.finish()
        }
        for node in spec.list("cors") {
            guard let mapping = MappingDecoder(node, path: "Bucket.spec.cors", collector) else { continue }
            bucket.cors.append(corsRule(mapping))
            mapping.finish()
        }
        if let mapping = spec.mapping("anonymousRead") {
            bucket.anonymousRead = AnonymousReadSpec(
                prefixes: mapping.strings("prefixes"), allowsListing: mapping.bool("list") ?? false)
            mapping.finish()
        }
        return bucket
    }

    /// What is left out comes from `base`, as far as it fits what is given: `ack` within the factor, `minAck` within `ack`.
    func replication(_ spec: MappingDecoder, _ kind: Kind, default base: ReplicationSpec) -> ReplicationSpec? {
        guard let mapping = spec.mapping("replication") else { return nil }
        defer { mapping.finish() }
        let factor = mapping.integer("factor", 1...16).map { Int($0) } ?? base.factor
        let ack = mapping.integer("ack", 1...16).map { Int($0) } ?? min(base.ack, factor)
        let minAck = mapping.integer("minAck", 1...16).map { Int($0) } ?? min(base.minAck, ack)
        if ack > factor {
            collector.report(
                Diagnostic(
                    .badValue, mapping.keyMark("ack"), "replication.ack \(ack) is more than the factor \(factor)",
                    hint: "ack is at most factor"))
        }
        if minAck > ack {
            collector.report(
                Diagnostic(
                    .badValue, mapping.keyMark("minAck"), "replication.minAck \(minAck) is more than ack \(ack)",
                    hint: "minAck is at most ack"))
        }
        var replication = ReplicationSpec(factor: factor, ack: ack, minAck: minAck, repairDelay: base.repairDelay)
        if kind == .fleet {
            replication.repairDelay = mapping.duration("repairDelay") ?? base.repairDelay
        } else {
            // Whether a backend is away is decided once, for the copies of all buckets.
            mapping.refuse(
                "repairDelay", "repairDelay holds for a backend, and so for all buckets alike",
                hint: "it belongs to the Fleet: spec.replication.repairDelay")
        }
        return replication
    }

    private static let corsMethods = ["GET", "PUT", "HEAD", "POST", "DELETE"]

    private func corsRule(_ mapping: MappingDecoder) -> CORSRule {
        let rule = CORSRule(
            id: mapping.string("id"), allowedOrigins: mapping.strings("allowedOrigins"),
            allowedMethods: mapping.strings("allowedMethods"), allowedHeaders: mapping.strings("allowedHeaders"),
            exposeHeaders: mapping.strings("exposeHeaders"), maxAge: mapping.duration("maxAge"))
        for (field, values) in [("allowedOrigins", rule.allowedOrigins), ("allowedMethods", rule.allowedMethods)]
        where values.isEmpty {
            if mapping.has(field) {
                collector.report(
                    Diagnostic(.badValue, mapping.keyMark(field), "cors.\(field) is empty: the rule would never hold"))
            } else {
                mapping.missing(field)
            }
        }
        for method in rule.allowedMethods where !SpecDecoder.corsMethods.contains(method) {
            collector.report(
                Diagnostic(
                    .badValue, mapping.keyMark("allowedMethods"), "cors.allowedMethods \"\(method)\" is not known",
                    hint: "one of \(SpecDecoder.corsMethods.joined(separator: ", "))"))
        }
        for text in rule.allowedOrigins + rule.allowedHeaders where text.count(where: { $0 == "*" }) > 1 {
            collector.report(Diagnostic(.badValue, mapping.mark, "cors: \"\(text)\" has more than one *"))
        }
        return rule
    }
}
