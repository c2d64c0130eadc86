import Catalog
import HTTP
import S3

/// The sub-resources of a bucket, answered truthfully: what was never configured is said to be so in S3's own words.
extension GatewayOperations {
    /// us-east-1 is the empty location, as AWS has it.
    func bucketLocation(_ name: String, _ request: AuthenticatedRequest) throws(OperationFailure) -> Response {
        _ = try request.bucket(name, .presence, covering: nil)
        let region = settings.region == "us-east-1" ? "" : settings.region
        return .document(
            XMLWriter().document + "<LocationConstraint xmlns=\"\(XMLWriter.namespace)\">\(region)</LocationConstraint>"
        )
    }

    /// Those that are the same for every bucket.
    func constantSetting(
        _ operation: BucketOperation, _ name: String, _ request: AuthenticatedRequest
    ) throws(OperationFailure) -> Response {
        let bucket = try request.bucket(name, .inspect, covering: nil)
        func absent(_ code: S3ErrorCode, _ message: String) -> OperationFailure {
            .refused(code, message, ["BucketName": name])
        }
        switch operation {
        case .versioning: return GatewayOperations.emptyDocument("VersioningConfiguration")
        case .getAccelerate: return GatewayOperations.emptyDocument("AccelerateConfiguration")
        case .getLogging: return GatewayOperations.emptyDocument("BucketLoggingStatus")
        case .getNotification: return GatewayOperations.emptyDocument("NotificationConfiguration")
        case .getRequestPayment:
            return GatewayOperations.document("RequestPaymentConfiguration") { $0.text("Payer", "BucketOwner") }
        case .getOwnershipControls:
            return GatewayOperations.document("OwnershipControls") { writer in
                writer.element("Rule") {
                    $0.text("ObjectOwnership", bucket.owner == nil ? "BucketOwnerEnforced" : "BucketOwnerPreferred")
                }
            }
        case .getPolicyStatus:
            let isPublic = !bucket.effective(bucket.acl).isOwnersOnly || bucket.anonymousRead != nil
            return GatewayOperations.document("PolicyStatus") { $0.text("IsPublic", isPublic) }
        case .getEncryption:
            throw absent(.noSuchEncryption, "The server side encryption configuration was not found")
        case .getLifecycle: throw absent(.noSuchLifecycleConfiguration, "The lifecycle configuration does not exist")
        case .getObjectLock:
            throw absent(.noSuchObjectLockConfiguration, "Object Lock configuration does not exist for this bucket")
        case .getPolicy: throw absent(.noSuchBucketPolicy, "The bucket policy does not exist")
        case .getPublicAccessBlock:
            guard let block = bucket.publicAccessBlock else {
                throw absent(.noSuchPublicAccessBlock, "The public access block configuration was not found")
            }
            return .document(block.document)
        case .getReplication:
            throw absent(.noSuchReplicationConfiguration, "The replication configuration was not found")
        case .getWebsite:
            throw absent(.noSuchWebsiteConfiguration, "The specified bucket does not have a website configuration")
        default: throw .s3(Router.notImplemented(operation.rawValue))
        }
    }

    static func emptyDocument(_ name: String) -> Response { document(name) { _ in } }

    static func document(_ name: String, _ body: (inout XMLWriter) -> Void) -> Response {
        var writer = XMLWriter()
        writer.element(name, namespaced: true, body)
        return .document(writer.document)
    }

    // MARK: CORS

    func bucketCORS(_ name: String, _ request: AuthenticatedRequest) throws(OperationFailure) -> Response {
        let bucket = try request.bucket(name, .inspect, covering: nil)
        guard !bucket.cors.isEmpty else {
            throw .refused(.noSuchCORSConfiguration, "The CORS configuration does not exist", ["BucketName": name])
        }
        return .document(CORSDocument.xml(bucket.cors))
    }

    func putBucketCORS(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        let bucket = try request.bucket(name, .own, covering: nil)
        let xml = try await IncomingBody.document(request)
        let rules = try refusing { () throws(S3Error) in try CORSDocument.rules(xml) }
        try await set(.cors, CORSDocument.xml(rules), of: bucket)
        return .empty(.ok)
    }

    func deleteBucketCORS(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        try await set(.cors, nil, of: try request.bucket(name, .own, covering: nil))
        return .empty(.noContent)
    }

    // MARK: Public access

    func putPublicAccessBlock(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure)
        -> Response
    {
        let bucket = try request.bucket(name, .own, covering: nil)
        let xml = try await IncomingBody.document(request)
        let block = try refusing { () throws(S3Error) in try PublicAccessBlock(xml: xml) }
        try await set(.publicAccess, block.stored, of: bucket)
        return .empty(.ok)
    }

    func deletePublicAccessBlock(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure)
        -> Response
    {
        try await set(.publicAccess, nil, of: try request.bucket(name, .own, covering: nil))
        return .empty(.noContent)
    }

    // MARK: Tags

    func bucketTagging(_ name: String, _ request: AuthenticatedRequest) throws(OperationFailure) -> Response {
        let bucket = try request.bucket(name, .inspect, covering: nil)
        guard let tagging = bucket.tagging, let tags = TagSet(stored: tagging), !tags.isEmpty else {
            throw .refused(.noSuchTagSet, "The TagSet does not exist", ["BucketName": name])
        }
        return .document(tags.document)
    }

    func putBucketTagging(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        let bucket = try request.bucket(name, .own, covering: nil)
        let xml = try await IncomingBody.document(request)
        let tags = try refusing { () throws(S3Error) in try TagSet(xml: xml, limit: TagSet.bucketTagsMax) }
        try await set(.tagging, tags.stored, of: bucket)
        return .empty(.noContent)
    }

    func deleteBucketTagging(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response
    {
        try await set(.tagging, nil, of: try request.bucket(name, .own, covering: nil))
        return .empty(.noContent)
    }
}
