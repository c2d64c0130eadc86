/// A field of a spec document, as people and editors see it.
package struct SpecField: Sendable, Equatable {
    package enum Form: Sendable, Equatable {
        case text, bool, size, duration, secret, texts
        case integer(ClosedRange<Int64>)
        /// A number, or `unlimited`.
        case count
        /// A size, or `unlimited`.
        case limit
        /// Bytes in a second, or `unlimited`.
        case rate
        /// `22:00`, UTC.
        case timeOfDay
        case percent
        case choice([String])
    }
    /// Fleet, Backend, Bucket or Keyring.
    package let kind: String
    /// Below `spec`: `replication.factor`; `credentials[].access` is in the items of a list.
    package let path: String
    package let form: Form
    /// As the reference says it; `required` if there is none.
    package let absent: String
    package let meaning: String

    package var isRequired: Bool { absent == "required" }

    fileprivate init(_ kind: String, _ path: String, _ form: Form, _ absent: String, _ meaning: String) {
        self.kind = kind
        self.path = path
        self.form = form
        self.absent = absent
        self.meaning = meaning
    }

    package var formText: String {
        switch form {
        case .text: "text"
        case .bool: "true or false"
        case .size: "size"
        case .duration: "duration"
        case .secret: "secret"
        case .texts: "list of texts"
        case .integer(let range): range.upperBound == .max ? "number" : "\(range.lowerBound) to \(range.upperBound)"
        case .count: "number or unlimited"
        case .limit: "size or unlimited"
        case .rate: "size/s or unlimited"
        case .timeOfDay: "HH:MM"
        case .percent: "1% to 100%"
        case .choice(let names): names.joined(separator: ", ")
        }
    }
}

/// Every field that the loader knows: the one source of `sluice explain`, `sluice schema` and docs/reference/spec.md.
package enum SpecReference {
    package static let kinds = ["Fleet", "Backend", "Bucket", "Keyring"]

    package static let fields: [SpecField] =
        fleet + backend
        + replication(
            "Bucket", factor: "the fleet's", ack: "the fleet's, at most factor", minAck: "the fleet's, at most ack")
        + bucket + keyring

    private static func replication(_ kind: String, factor: String, ack: String, minAck: String) -> [SpecField] {
        [
            SpecField(kind, "replication.factor", .integer(1...16), factor, "copies of every object"),
            SpecField(
                kind, "replication.ack", .integer(1...16), ack, "copies made durable before a write is acknowledged"),
            SpecField(kind, "replication.minAck", .integer(1...16), minAck, "enough when fewer backends are eligible"),
        ]
    }

    private static let fleet: [SpecField] =
        replication("Fleet", factor: "2", ack: "min(2, factor)", minAck: "1") + [
            SpecField(
                "Fleet", "replication.repairDelay", .duration, "10m",
                "how long a backend may be out of use, for whatever reason, before its copies are made anew, those of all buckets"
            ),
            SpecField(
                "Fleet", "routing", .choice(["spread", "pack"]), "spread",
                "`spread`: the least utilised backend first; `pack`: the first by name that has room"),
            SpecField("Fleet", "reconcile.interval", .duration, "30s", "pause between two passes when nothing moves"),
            SpecField(
                "Fleet", "scrub.interval", .duration, "–",
                "how often every copy is read in full and verified; without it only `sluice scrub` does"),
            SpecField("Fleet", "suspend", .bool, "false", "plan and status only"),
            SpecField(
                "Fleet", "bucketCreation", .choice(["declaredOnly", "allowed"]), "declaredOnly",
                "`allowed`: S3 clients may make buckets; they belong to the access key that made them"),
            SpecField("Fleet", "safety.maxConcurrentDrains", .integer(1...1000), "1", "further drains wait"),
            SpecField(
                "Fleet", "safety.readGrace", .duration, "10m",
                "how long the bytes of replaced and deleted objects stay for readers"),
            SpecField(
                "Fleet", "safety.drainUploadGrace", .duration, "1h",
                "how long open uploads on a draining backend accept parts"),
            SpecField(
                "Fleet", "safety.trimDelay", .duration, "24h",
                "copies beyond the factor are dropped when they have been surplus for so long, on the most utilised backend first"
            ),
            SpecField(
                "Fleet", "safety.orphanQuarantine", .duration, "7d",
                "how long objects that no row names are kept after they were first seen"),
            SpecField(
                "Fleet", "safety.maxDeletionsPerHour", .integer(1...Int64.max), "no ceiling",
                "copies that the reconciler may drop in any hour, of drains, surplus, damage and orphans together; more wait"
            ),
            SpecField(
                "Fleet", "rebalance.threshold", .percent, "–",
                "copies move when the most and the least utilised backend are so far apart; without it only `sluice rebalance` moves them"
            ),
        ]

    private static let backend: [SpecField] = [
        SpecField(
            "Backend", "state", .choice(["active", "draining", "removed"]), "active",
            "`draining`: its copies leave, and it is kept, drained; `removed`: the same, but with `removal.purge` it is then verified to be empty and retired"
        ),
        SpecField(
            "Backend", "endpoint", .text, "required",
            "`https://HOST[:PORT]`, `http://…`, `file:///absolute/path`, or `file://./path` from the spec's folder"),
        SpecField("Backend", "region", .text, "us-east-1", "S3 services only"),
        SpecField("Backend", "bucket", .text, "required for S3", "the bucket on the service that holds the data"),
        SpecField(
            "Backend", "addressing", .choice(["path", "virtual"]), "path", "how the service wants its bucket named"),
        SpecField("Backend", "credentials.accessKeyId", .secret, "required for S3", "of the service"),
        SpecField("Backend", "credentials.secretAccessKey", .secret, "required for S3", "of the service"),
        SpecField("Backend", "keyPrefix", .text, "sluice/", "nothing outside it is touched"),
        SpecField("Backend", "quota", .size, "unlimited", "writing, live and doomed bytes together"),
        SpecField(
            "Backend", "usageLimits.apiRequests", .count, "unlimited",
            "calls in a calendar month, UTC; then reads go to other copies and writes to other backends"),
        SpecField(
            "Backend", "usageLimits.egress", .limit, "unlimited",
            "bytes read in a calendar month, UTC; then reads go to other copies, if there are any"),
        SpecField(
            "Backend", "usageLimits.ingress", .limit, "unlimited",
            "bytes written in a calendar month, UTC; then writes go to other backends"),
        SpecField(
            "Backend", "drain.bandwidth", .rate, "unlimited",
            "how fast its drain may move copies, all instances together"),
        SpecField(
            "Backend", "drain.window.start", .timeOfDay, "at any time", "its drain moves copies only from then, UTC"),
        SpecField("Backend", "drain.window.end", .timeOfDay, "–", "until then; may be on the next day"),
        SpecField(
            "Backend", "deletionProtection", .bool, "false",
            "with `state: removed`: no drain begins while it has live copies, one that began as `draining` goes on; `removal.abandon` is refused"
        ),
        SpecField("Backend", "removal.purge", .bool, "false", "with `state: removed`: verify by listing and retire"),
        SpecField(
            "Backend", "removal.abandon", .text, "–",
            "with `state: removed`: gives up a backend that is lost; the plan prints the token, which names what is lost"
        ),
    ]

    private static let bucket: [SpecField] = [
        SpecField("Bucket", "credentials[].accessKeyId", .text, "required", "what S3 clients sign with"),
        SpecField("Bucket", "credentials[].secretAccessKey", .secret, "required", "what S3 clients sign with"),
        SpecField(
            "Bucket", "credentials[].access", .choice(["readWrite", "readOnly"]), "readWrite", "what the key may do"),
        SpecField(
            "Bucket", "credentials[].prefixes", .texts, "the whole bucket", "only keys that begin with one of these"),
        SpecField("Bucket", "cors[].id", .text, "–", "a name for the rule"),
        SpecField("Bucket", "cors[].allowedOrigins", .texts, "required", "origins of pages; at most one `*` in each"),
        SpecField(
            "Bucket", "cors[].allowedMethods", .texts, "required",
            "GET, PUT, HEAD, POST, DELETE; the first rule that matches answers"),
        SpecField(
            "Bucket", "cors[].allowedHeaders", .texts, "none", "headers that pages may send; at most one `*` in each"),
        SpecField("Bucket", "cors[].exposeHeaders", .texts, "none", "headers of answers that pages may read"),
        SpecField("Bucket", "cors[].maxAge", .duration, "–", "how long browsers may keep the answer"),
        SpecField(
            "Bucket", "anonymousRead.prefixes", .texts, "the whole bucket",
            "objects that may be read without a signature"),
        SpecField("Bucket", "anonymousRead.list", .bool, "false", "whether their keys may be listed, too"),
        SpecField("Bucket", "encryption.keyring", .text, "–", "understood, and refused: not built yet"),
        SpecField(
            "Bucket", "lifecycle[].id", .text, "required", "lifecycle rules are understood, and refused: not built yet"),
        SpecField("Bucket", "lifecycle[].prefix", .text, "–", "keys that the rule is for"),
        SpecField("Bucket", "lifecycle[].expireAfter", .duration, "–", "when objects end"),
        SpecField("Bucket", "lifecycle[].abortIncompleteUploadsAfter", .duration, "–", "when uploads end"),
    ]

    private static let keyring: [SpecField] = [
        SpecField(
            "Keyring", "primary", .text, "required",
            "the key that new data is encrypted with; checked, not used in this release"),
        SpecField("Keyring", "keys[].id", .text, "required", "its name"),
        SpecField("Keyring", "keys[].fromFile", .text, "–", "the file that holds it; either this or fromEnv"),
        SpecField("Keyring", "keys[].fromEnv", .text, "–", "the environment variable that holds it"),
    ]

    /// The fields that a word names: `Backend.quota`, `backend.quota`, `quota`, `replication.factor`.
    package static func fields(named word: String) -> [SpecField] {
        let wanted = word.lowercased()
        return fields.filter { field in
            let path = field.path.replacing("[]", with: "").lowercased()
            return [path, "\(field.kind.lowercased()).\(path)", "\(field.kind.lowercased()).spec.\(path)"].contains(
                wanted)
                || path.hasSuffix("." + wanted)
        }
    }

    /// The table of a kind in docs/reference/spec.md.
    package static func table(_ kind: String) -> String {
        let rows = fields.filter { $0.kind == kind }.map {
            "| `\($0.path)` | \($0.formText) | \($0.absent) | \($0.meaning) |"
        }
        return (["| field | form | default | meaning |", "|---|---|---|---|"] + rows).joined(separator: "\n")
    }
}
