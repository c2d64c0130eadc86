import HTTP
import S3

extension GatewayOperations {
    /// The buckets that the credential has a grant on, by name.
    func listBuckets(_ request: AuthenticatedRequest) -> Response {
        let names = request.credential.grants.keys.sorted()
        var writer = XMLWriter()
        writer.element("ListAllMyBucketsResult", namespaced: true) { writer in
            writer.element("Owner") { $0.text("ID", Owner.id) }
            writer.element("Buckets") { writer in
                for bucket in names.compactMap({ request.snapshot.buckets[$0] }) {
                    writer.element("Bucket") { writer in
                        writer.text("Name", bucket.name)
                        writer.text("CreationDate", WallTime(microseconds: bucket.createdAt).rfc3339)
                    }
                }
            }
        }
        return .document(writer.document)
    }

    func headBucket(_ name: String, _ request: AuthenticatedRequest) throws(OperationFailure) -> Response {
        _ = try request.bucket(name, .presence, covering: nil)
        return .empty(.ok, Fields([("x-amz-bucket-region", settings.region)]))
    }

    /// us-east-1 is the empty location, as AWS has it.
    func bucketLocation(_ name: String, _ request: AuthenticatedRequest) throws(OperationFailure) -> Response {
        _ = try request.bucket(name, .presence, covering: nil)
        let region = settings.region == "us-east-1" ? "" : settings.region
        return .document(
            XMLWriter().document + "<LocationConstraint xmlns=\"\(XMLWriter.namespace)\">\(region)</LocationConstraint>")
    }

    /// Versioning was never enabled: an empty configuration says so.
    func bucketVersioning(_ name: String, _ request: AuthenticatedRequest) throws(OperationFailure) -> Response {
        _ = try request.bucket(name, .presence, covering: nil)
        var writer = XMLWriter()
        writer.element("VersioningConfiguration", namespaced: true) { _ in }
        return .document(writer.document)
    }

    /// Buckets are declared in files. Clients that create before they write are told that it is theirs already.
    func createBucket(_ name: String, _ request: AuthenticatedRequest) throws(OperationFailure) -> Response {
        guard request.snapshot.buckets[name] != nil else {
            throw .refused(
                .accessDenied, "Buckets are declared in Sluice's spec files and cannot be created by S3 clients.",
                ["BucketName": name])
        }
        _ = try request.bucket(name, .presence, covering: nil)
        throw .refused(
            .bucketAlreadyOwnedByYou,
            "Your previous request to create the named bucket succeeded and you already own it.", ["BucketName": name])
    }

    func deleteBucket(_ name: String, _ request: AuthenticatedRequest) throws(OperationFailure) -> Response {
        _ = try request.bucket(name, .write, covering: nil)
        throw .refused(
            .methodNotAllowed, "Buckets are declared in Sluice's spec files and cannot be deleted by S3 clients.",
            ["BucketName": name])
    }
}

/// Sluice has no accounts: one owner stands for the fleet.
enum Owner {
    static let id = "sluice"
}
