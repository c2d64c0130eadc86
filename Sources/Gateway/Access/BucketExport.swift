package import Catalog
package import Spec
import Telemetry

/// A bucket that a client made, as the spec document that would declare it: same name, same key, same CORS rules.
package struct BucketExport: Sendable, Equatable {
    package let bucket: BucketSpec
    /// What a spec cannot say about it, in words.
    package let remarks: [String]

    /// - Parameter credential: what the spec in force knows of the owner's key; nil if it is not there any more
    package init(_ record: BucketRecord, credential: CredentialSpec?) {
        var bucket = BucketSpec(name: record.name)
        var remarks: [String] = []
        if let credential {
            bucket.credentials = [
                CredentialSpec(accessKeyID: credential.accessKeyID, secretAccessKey: credential.secretAccessKey)
            ]
        } else {
            remarks.append(
                "the spec no longer has the access key \(record.owner ?? "") that made it; add who may use it")
        }
        let acl = record.settings[.acl].flatMap { CannedACL(rawValue: $0) } ?? .isPrivate
        switch acl {
        case .publicRead:
            // The ACL of a bucket opens its list, not its objects: those have their own.
            remarks.append("its ACL lets anybody list it; see anonymousRead, which opens the objects too")
        case .publicReadWrite, .authenticatedRead:
            remarks.append("its ACL \(acl.rawValue) has no counterpart in a spec")
        case .isPrivate, .bucketOwnerRead, .bucketOwnerFullControl: break
        }
        bucket.cors = record.settings[.cors].flatMap { CORSDocument.rules(stored: $0) } ?? []
        if record.settings[.tagging] != nil { remarks.append("its tags have no counterpart in a spec") }
        if record.settings[.publicAccess] != nil {
            remarks.append("its public access block is not needed: a declared bucket has no ACLs")
        }
        self.bucket = bucket
        self.remarks = remarks
    }

    /// A YAML document that begins with its separator.
    package var text: String {
        var lines = ["---"] + remarks.map { "# \(bucket.name): \($0)" }
        lines += ["apiVersion: sluice/v1", "kind: Bucket", "metadata: { name: \(BucketExport.quoted(bucket.name)) }"]
        guard !bucket.credentials.isEmpty || !bucket.cors.isEmpty else {
            return (lines + ["spec: {}"]).joined(separator: "\n") + "\n"
        }
        lines.append("spec:")
        if !bucket.credentials.isEmpty {
            lines.append("  credentials:")
            for credential in bucket.credentials {
                let key = BucketExport.quoted(credential.accessKeyID)
                lines.append(
                    "    - { accessKeyId: \(key), secretAccessKey: \(BucketExport.reference(credential.secretAccessKey)) }"
                )
            }
        }
        if !bucket.cors.isEmpty {
            lines.append("  cors:")
            for rule in bucket.cors { lines += BucketExport.lines(rule) }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func lines(_ rule: CORSRule) -> [String] {
        var members: [String] = []
        if let id = rule.id { members.append("id: \(quoted(id))") }
        for (name, values) in [
            ("allowedOrigins", rule.allowedOrigins), ("allowedMethods", rule.allowedMethods),
            ("allowedHeaders", rule.allowedHeaders),
            ("exposeHeaders", rule.exposeHeaders),
        ] where !values.isEmpty {
            members.append("\(name): [\(values.map(quoted).joined(separator: ", "))]")
        }
        if let age = rule.maxAge { members.append("maxAge: \(age.components.seconds)s") }
        return members.enumerated().map { ($0 == 0 ? "    - " : "      ") + $1 }
    }

    private static func reference(_ secret: SecretReference) -> String {
        switch secret {
        case .environment(let name): "{ fromEnv: \(quoted(name)) }"
        case .file(let path): "{ fromFile: \(quoted(path)) }"
        // What stands in the spec may stand in it twice.
        case .literal(let secret): quoted(secret.revealed)
        }
    }

    /// A string of JSON is a double-quoted scalar of YAML (YAML 1.2.2, section 1.3).
    private static func quoted(_ text: String) -> String { JSONValue.string(text).description }
}
