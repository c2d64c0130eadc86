import Catalog
import HTTP
import S3

/// ACLs, as far as they are canned (AWS, "Access control list (ACL) overview"). Buckets that the spec declares have none.
extension GatewayOperations {
    func bucketACL(_ name: String, _ request: AuthenticatedRequest) throws(OperationFailure) -> Response {
        .document(ACLDocument.xml(try request.bucket(name, .inspect, covering: nil).acl))
    }

    func putBucketACL(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        let bucket = try request.bucket(name, .own, covering: nil)
        let acl = try await requestedACL(request)
        guard bucket.owner != nil else {
            guard acl.isOwnersOnly else { throw ACLHeaders.unsupported }
            return .empty(.ok)
        }
        try ACLHeaders.check(acl, in: bucket)
        try await set(.acl, acl == .isPrivate ? nil : acl.rawValue, of: bucket)
        return .empty(.ok)
    }

    func objectACL(_ target: ObjectTarget, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        let placed = try await current(target, request)
        return .document(ACLDocument.xml(placed.version.headers.acl.flatMap { CannedACL(rawValue: $0) } ?? .isPrivate))
    }

    func putObjectACL(_ target: ObjectTarget, _ request: AuthenticatedRequest) async throws(OperationFailure)
        -> Response
    {
        let acl = try await requestedACL(request)
        try ACLHeaders.check(acl, in: target.bucket)
        try await annotate(target, .acl(acl == .isPrivate ? nil : acl.rawValue))
        return .empty(.ok)
    }

    func annotate(_ target: ObjectTarget, _ annotation: ObjectAnnotation) async throws(OperationFailure) {
        let version = try await catalogCall { () async throws(CatalogError) in
            try await services.index.annotate(target.object, annotation)
        }
        guard version != nil else {
            throw .refused(.noSuchKey, "The specified key does not exist.", ["Key": target.key])
        }
    }

    /// From x-amz-acl, or from a document that says the same as a canned one.
    private func requestedACL(_ request: AuthenticatedRequest) async throws(OperationFailure) -> CannedACL {
        let canned = try ACLHeaders.canned(request.fields)
        let xml = try await IncomingBody.document(request, mayBeAbsent: true)
        switch (canned, xml.isEmpty) {
        case (.some(let acl), true): return acl
        case (.some, false): throw .refused(.unexpectedContent, "This request does not support content")
        case (nil, true):
            throw .refused(
                .missingSecurityHeader, "Your request was missing a required header", ["MissingHeaderName": "x-amz-acl"]
            )
        case (nil, false): return try refusing { () throws(S3Error) in try ACLDocument.canned(xml) }
        }
    }
}

enum ACLHeaders {
    static let unsupported = OperationFailure.refused(.accessControlListNotSupported, "The bucket does not allow ACLs")

    static func canned(_ fields: Fields) throws(OperationFailure) -> CannedACL? {
        for field in fields.all where field.name.lowercased().hasPrefix("x-amz-grant-") {
            throw .s3(Router.notImplemented("the header '\(field.name.lowercased())'"))
        }
        guard let text = fields["x-amz-acl"] else { return nil }
        guard let acl = CannedACL(rawValue: text) else {
            throw .refused(
                .invalidArgument, "The canned ACL is not known.", ["ArgumentName": "x-amz-acl", "ArgumentValue": text])
        }
        return acl
    }

    /// What a new object is to have; nil for private.
    static func forObject(_ fields: Fields, in bucket: ServedBucket) throws(OperationFailure) -> String? {
        guard let acl = try canned(fields), !acl.isOwnersOnly else { return nil }
        try check(acl, in: bucket)
        return acl.rawValue
    }

    /// Whether the bucket lets something have this ACL.
    static func check(_ acl: CannedACL, in bucket: ServedBucket) throws(OperationFailure) {
        guard !acl.isOwnersOnly else { return }
        guard bucket.owner != nil else { throw unsupported }
        guard bucket.publicAccessBlock?.contains(.blockPublicACLs) != true else {
            throw .refused(.accessDenied, "Access Denied: the bucket's public access block refuses public ACLs.")
        }
    }
}

/// `AccessControlPolicy`.
enum ACLDocument {
    static func xml(_ acl: CannedACL) -> String {
        var writer = XMLWriter()
        writer.element("AccessControlPolicy", namespaced: true) { writer in
            Owner.write(&writer)
            writer.element("AccessControlList") { writer in
                for (group, permission) in acl.grants {
                    grant(&writer, "Group", permission) { $0.text("URI", group) }
                }
                grant(&writer, "CanonicalUser", "FULL_CONTROL") { writer in
                    writer.text("ID", Owner.id)
                    writer.text("DisplayName", Owner.id)
                }
            }
        }
        return writer.document
    }

    private static func grant(
        _ writer: inout XMLWriter, _ type: String, _ permission: String, _ grantee: (inout XMLWriter) -> Void
    ) {
        writer.element("Grant") { writer in
            writer.element(
                "Grantee",
                attributes: [("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"), ("xsi:type", type)], grantee)
            writer.text("Permission", permission)
        }
    }

    /// Throws NotImplemented for grants that no canned ACL makes.
    static func canned(_ xml: [UInt8]) throws(S3Error) -> CannedACL {
        let root = try RequestDocument.root(xml, "AccessControlPolicy")
        guard let list = root["AccessControlList"] else { throw RequestDocument.malformed }
        var grants: [(group: String, permission: String)] = []
        for grant in list.all("Grant") {
            guard let permission = grant["Permission"]?.text, let grantee = grant["Grantee"] else {
                throw RequestDocument.malformed
            }
            if grantee["ID"]?.text == Owner.id, permission == "FULL_CONTROL" { continue }
            if let email = grantee["EmailAddress"]?.text {
                throw S3Error(
                    .unresolvableGrantByEmail, "The email address you provided does not match any account on record.",
                    details: ["EmailAddress": email])
            }
            if let id = grantee["ID"]?.text, id != Owner.id {
                throw S3Error(
                    .invalidArgument, "Invalid id", details: ["ArgumentName": "CanonicalUser/ID", "ArgumentValue": id])
            }
            guard let group = grantee["URI"]?.text else {
                throw Router.notImplemented("a grant to somebody other than the owner and the groups of canned ACLs")
            }
            grants.append((group, permission))
        }
        guard let acl = CannedACL(grants: grants) else {
            throw Router.notImplemented("a list of grants that no canned ACL makes")
        }
        return acl
    }
}
