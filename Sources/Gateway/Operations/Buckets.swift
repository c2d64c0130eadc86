import Catalog
import HTTP
import S3
import Spec

extension GatewayOperations {
    /// The buckets that the credential has a grant on or made, by name.
    func listBuckets(_ request: AuthenticatedRequest) throws(OperationFailure) -> Response {
        guard let credential = request.principal.credential else { throw AuthenticatedRequest.denied }
        let query = request.query
        let prefix = query["prefix"] ?? ""
        let limit = try ListingRequest.count(
            query, "max-buckets", default: GatewayLimits.bucketsPerPageMax, max: GatewayLimits.bucketsPerPageMax)
        let tokens = ContinuationToken(key: settings.tokenKey, bucket: "", prefix: prefix, delimiter: nil)
        var after = ""
        if let token = query["continuation-token"] {
            guard case .after(let name) = tokens.open(token) else {
                throw .refused(
                    .invalidArgument, "The continuation token provided is incorrect",
                    ["ArgumentName": "continuation-token"])
            }
            after = name
        }
        let visible = request.snapshot.buckets.values
            .filter { bucket in
                let isMine =
                    bucket.owner.map { $0 == credential.accessKeyID } ?? (credential.grants[bucket.name] != nil)
                return isMine && bucket.name.hasPrefix(prefix) && bucket.name > after
            }
            .sorted { $0.name < $1.name }
        let page = visible.prefix(limit)
        var writer = XMLWriter()
        writer.element("ListAllMyBucketsResult", namespaced: true) { writer in
            Owner.write(&writer)
            writer.element("Buckets") { writer in
                for bucket in page {
                    writer.element("Bucket") { writer in
                        writer.text("Name", bucket.name)
                        writer.text("CreationDate", WallTime(microseconds: bucket.createdAt).rfc3339)
                    }
                }
            }
            if !prefix.isEmpty { writer.text("Prefix", prefix) }
            if visible.count > page.count, let last = page.last {
                writer.text("ContinuationToken", tokens.seal(.after(last.name)))
            }
        }
        return .document(writer.document)
    }

    func headBucket(_ name: String, _ request: AuthenticatedRequest) throws(OperationFailure) -> Response {
        _ = try request.bucket(name, .presence, covering: nil)
        return .empty(.ok, Fields([("x-amz-bucket-region", settings.region)]))
    }

    /// With `bucketCreation: declaredOnly`, clients that create before they write learn that a declared bucket is theirs already.
    /// With `allowed`, they make buckets, which are rows that belong to the access key.
    func createBucket(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        let acl = try createACL(request)
        try await checkLocation(request)
        let created = Response.empty(.ok, Fields([("Location", "/\(name)")]))
        // Of a client's bucket only the catalog knows whether it is still there: another instance may have deleted it.
        let mayBeMade = request.snapshot.fleet.bucketCreation == .allowed
        if let known = request.snapshot.buckets[name], known.owner == nil || !mayBeMade {
            guard request.allows(known, known.owner == nil ? .presence : .own, covering: nil) else {
                throw mayBeMade ? GatewayOperations.taken(name) : AuthenticatedRequest.denied
            }
            // Success would say that the bucket has this ACL now.
            if known.owner == nil, !acl.isOwnersOnly { throw ACLHeaders.unsupported }
            guard known.owner == nil || known.acl == acl else { throw GatewayOperations.taken(name) }
            return created
        }
        guard let owner = request.principal.credential else { throw AuthenticatedRequest.denied }
        guard request.mayCreateBuckets else {
            throw .refused(
                .accessDenied,
                request.snapshot.fleet.bucketCreation == .allowed
                    ? "Access Denied: only access keys that may write somewhere may create buckets."
                    : "Buckets are declared in Sluice's spec files; S3 clients cannot create them unless the fleet says bucketCreation: allowed.",
                ["BucketName": name])
        }
        guard BucketName.isAllowed(name) else {
            throw .refused(.invalidBucketName, "The specified bucket is not valid.", ["BucketName": name])
        }
        let settings: [BucketSetting: String] = acl == .isPrivate ? [:] : [.acl: acl.rawValue]
        let outcome = try await catalogCall { () async throws(CatalogError) in
            try await services.buckets.createBucket(
                name, owner: owner.accessKeyID, settings: settings, limit: GatewayLimits.bucketsPerOwnerMax)
        }
        switch outcome {
        case .created(let record):
            remember(record, request)
            return created
        case .exists(let record) where record.owner == owner.accessKeyID:
            remember(record, request)
            guard (record.settings[.acl] ?? CannedACL.isPrivate.rawValue) == acl.rawValue else {
                throw GatewayOperations.taken(name)
            }
            return created
        case .exists: throw GatewayOperations.taken(name)
        case .tooMany(let limit):
            throw .refused(
                .tooManyBuckets, "You have attempted to create more buckets than allowed.", ["MaxBuckets": "\(limit)"])
        }
    }

    private static func taken(_ name: String) -> OperationFailure {
        .refused(
            .bucketAlreadyExists,
            "The requested bucket name is not available. Please select a different name and try again.",
            ["BucketName": name])
    }

    private func createACL(_ request: AuthenticatedRequest) throws(OperationFailure) -> CannedACL {
        for name in ["x-amz-bucket-object-lock-enabled"] where request.fields[name]?.lowercased() == "true" {
            throw .s3(Router.notImplemented("the header '\(name)' with this value"))
        }
        guard let acl = try ACLHeaders.canned(request.fields) else { return .isPrivate }
        guard acl.isOwnersOnly || request.snapshot.fleet.bucketCreation == .allowed else {
            throw ACLHeaders.unsupported
        }
        return acl
    }

    /// A CreateBucketConfiguration may name a region: ours.
    private func checkLocation(_ request: AuthenticatedRequest) async throws(OperationFailure) {
        let xml = try await IncomingBody.document(request, mayBeAbsent: true)
        guard !xml.isEmpty else { return }
        let root = try refusing { () throws(S3Error) in try RequestDocument.root(xml, "CreateBucketConfiguration") }
        guard let region = root["LocationConstraint"]?.text, !region.isEmpty else { return }
        guard region == settings.region else {
            throw .refused(
                .illegalLocationConstraint,
                "The \(region) location constraint is incompatible for the region specific endpoint this request was sent to."
            )
        }
    }

    func deleteBucket(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        let bucket = try request.bucket(name, .own, covering: nil)
        let outcome = try await catalogCall { () async throws(CatalogError) in
            try await services.buckets.deleteBucket(bucket.id)
        }
        switch outcome {
        case .deleted:
            snapshots.change { $0.remove(bucket: name) }
            return .empty(.noContent)
        case .noSuchBucket:
            snapshots.change { $0.remove(bucket: name) }
            throw .refused(.noSuchBucket, "The specified bucket does not exist.", ["BucketName": name])
        case .notEmpty:
            throw .refused(.bucketNotEmpty, "The bucket you tried to delete is not empty.", ["BucketName": name])
        case .declared:
            let page = try await catalogCall { () async throws(CatalogError) in
                try await services.index.list(ListingQuery(bucket: bucket.id, limit: 1))
            }
            guard page.items.isEmpty else {
                throw .refused(.bucketNotEmpty, "The bucket you tried to delete is not empty.", ["BucketName": name])
            }
            // The counterpart of creating a declared bucket: tools that make and remove their bucket work, and find it again,
            // empty, since only an edit of the spec ends it.
            return .empty(.noContent)
        }
    }

    /// What this request did is seen by the next one.
    func remember(_ record: BucketRecord, _ request: AuthenticatedRequest) {
        let bucket = ServedBucket(record, nil, replication: request.snapshot.fleet.replication)
        snapshots.change { $0.add(bucket) }
    }

    /// Changes a setting of a bucket that a client made.
    func set(_ setting: BucketSetting, _ value: String?, of bucket: ServedBucket) async throws(OperationFailure) {
        guard bucket.owner != nil else {
            throw .refused(
                .accessDenied, "The bucket is declared in Sluice's spec files; this is changed there.",
                ["BucketName": bucket.name])
        }
        let isSet = try await catalogCall { () async throws(CatalogError) in
            try await services.buckets.set(setting, value, of: bucket.id)
        }
        guard isSet else {
            throw .refused(.noSuchBucket, "The specified bucket does not exist.", ["BucketName": bucket.name])
        }
        let record = try await catalogCall { () async throws(CatalogError) in
            try await services.buckets.bucket(bucket.name)
        }
        snapshots.change { snapshot in
            if let record, record.id == bucket.id {
                snapshot.add(ServedBucket(record, nil, replication: snapshot.fleet.replication))
            }
        }
    }
}

/// Sluice has no accounts: one owner stands for the fleet.
enum Owner {
    static let id = "sluice"

    static func write(_ writer: inout XMLWriter, as name: String = "Owner") {
        writer.element(name) { writer in
            writer.text("ID", id)
            writer.text("DisplayName", id)
        }
    }
}
