package import HTTP
package import S3

/// Maps a request to its operation. Total: what is not recognised is NotImplemented, and never falls through to the PUT or
/// DELETE of an object.
package struct Router: Sendable {
    private let domain: String?

    package init(domain: String? = nil) { self.domain = domain }

    /// - Parameter fields: with the headers that were hoisted into a presigned query
    package func route(_ head: RequestHead, _ query: Query, _ fields: Fields) throws(S3Error) -> Operation {
        let (bucket, key) = try resource(head)
        guard let bucket else {
            guard head.method == .get else { throw Router.notImplemented("\(head.method) of the service") }
            try accept(query, ["max-buckets", "prefix", "continuation-token", "bucket-region"], head.method)
            return .listBuckets
        }
        guard let key else {
            return .bucket(bucket, try bucketOperation(head.method, query, isForm: PostForm.isForm(head)))
        }
        return .object(
            ObjectAddress(bucket: bucket, key: key), try objectOperation(head.method, query, fields))
    }

    static func notImplemented(_ what: String) -> S3Error {
        S3Error(.notImplemented, "A request implies functionality that is not implemented: \(what).")
    }

    // MARK: Resource

    /// The one parse of bucket and key; nothing is normalised, every escape is decoded once.
    func resource(_ head: RequestHead) throws(S3Error) -> (bucket: String?, key: String?) {
        let path = head.rawPath
        guard path.utf8.first == 0x2F else {
            throw S3Error(.invalidURI, "The target of a request must begin with a slash.")
        }
        let rest = path.dropFirst()
        if let bucket = virtualBucket(head.fields["host"]) {
            return (bucket, rest.isEmpty ? nil : try Router.key(rest))
        }
        guard !rest.isEmpty else { return (nil, nil) }
        let halves = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let bucket = PercentCoding.decode(halves[0]), !bucket.utf8.contains(0) else {
            throw S3Error(.invalidURI, "The bucket's name has a malformed escape, or is not UTF-8.")
        }
        guard !bucket.isEmpty else { throw S3Error(.invalidBucketName, "The specified bucket is not valid.") }
        return (bucket, halves.count < 2 || halves[1].isEmpty ? nil : try Router.key(halves[1]))
    }

    private func virtualBucket(_ host: String?) -> String? {
        guard let domain, let host else { return nil }
        let name = host.split(separator: ":", maxSplits: 1)[safe: 0].map { $0.lowercased() } ?? ""
        guard name.hasSuffix("." + domain), name.utf8.count > domain.utf8.count + 1 else { return nil }
        return String(name.dropLast(domain.count + 1))
    }

    private static func key(_ raw: Substring) throws(S3Error) -> String {
        guard let key = PercentCoding.decode(raw) else {
            throw S3Error(.invalidURI, "The key has a malformed escape, or is not UTF-8.")
        }
        return try checked(key)
    }

    /// The limits that hold for keys wherever they come from: targets, XML, copy sources.
    static func checked(_ key: String) throws(S3Error) -> String {
        guard !key.utf8.contains(0) else { throw S3Error(.invalidArgument, "A key must not contain a NUL character.") }
        guard key.utf8.count <= GatewayLimits.keyBytesMax else {
            throw S3Error(
                .keyTooLong, "Your key is too long.",
                details: ["Size": "\(key.utf8.count)", "MaxSizeAllowed": "\(GatewayLimits.keyBytesMax)"])
        }
        return key
    }

    // MARK: Operations

    private func bucketOperation(_ method: Method, _ query: Query, isForm: Bool) throws(S3Error) -> BucketOperation {
        let operation: BucketOperation
        var consumed: [String] = []
        switch method {
        case .get: (operation, consumed) = Router.bucketGet(query)
        case .head: operation = .head
        case .put, .delete:
            let settings: [(String, BucketOperation)] =
                method == .put
                ? [
                    ("acl", .putACL), ("cors", .putCORS), ("publicAccessBlock", .putPublicAccessBlock),
                    ("tagging", .putTagging),
                ]
                : [("cors", .deleteCORS), ("publicAccessBlock", .deletePublicAccessBlock), ("tagging", .deleteTagging)]
            let setting = settings.first { query.has($0.0) }
            operation = setting?.1 ?? (method == .put ? .create : .delete)
            consumed = setting.map { [$0.0] } ?? []
        case .post where query.has("delete"): (operation, consumed) = (.deleteObjects, ["delete"])
        case .post where isForm: operation = .postObject
        default: throw Router.notImplemented("\(method) of a bucket")
        }
        try accept(query, consumed, method)
        return operation
    }

    private static let subResources: [(String, BucketOperation)] = [
        ("accelerate", .getAccelerate), ("acl", .getACL), ("cors", .getCORS), ("encryption", .getEncryption),
        ("lifecycle", .getLifecycle), ("location", .location), ("logging", .getLogging),
        ("notification", .getNotification),
        ("object-lock", .getObjectLock), ("ownershipControls", .getOwnershipControls), ("policy", .getPolicy),
        ("policyStatus", .getPolicyStatus), ("publicAccessBlock", .getPublicAccessBlock),
        ("replication", .getReplication),
        ("requestPayment", .getRequestPayment), ("tagging", .getTagging), ("versioning", .versioning),
        ("website", .getWebsite),
    ]

    private static func bucketGet(_ query: Query) -> (BucketOperation, [String]) {
        let listing = ["prefix", "delimiter", "max-keys", "encoding-type"]
        if let (name, operation) = subResources.first(where: { query.has($0.0) }) { return (operation, [name]) }
        if query.has("versions") {
            return (
                .listVersions,
                ["versions", "prefix", "delimiter", "key-marker", "version-id-marker", "max-keys", "encoding-type"]
            )
        }
        if query.has("uploads") {
            return (
                .listUploads,
                ["uploads", "prefix", "delimiter", "key-marker", "upload-id-marker", "max-uploads", "encoding-type"]
            )
        }
        if query["list-type"] == "2" {
            return (.listV2, listing + ["list-type", "continuation-token", "start-after", "fetch-owner"])
        }
        return (.listV1, listing + ["list-type", "marker"])
    }

    private func objectOperation(_ method: Method, _ query: Query, _ fields: Fields) throws(S3Error) -> ObjectOperation
    {
        let overrides = SubResource.responseOverrides.map(\.parameter)
        switch method {
        case .get where query.has("uploadId"):
            try accept(query, ["uploadId", "max-parts", "part-number-marker", "encoding-type"], method)
            return .listParts(upload: query["uploadId"] ?? "")
        case .get where query.has("attributes"), .get where query.has("tagging"), .get where query.has("acl"),
            .delete where query.has("tagging"):
            return try annotationOperation(method, query)
        case .get, .head:
            try accept(query, overrides + ["partNumber", "versionId"], method)
            try checkVersion(query)
            let part = try query["partNumber"].map { text throws(S3Error) in try Router.partNumber(text) }
            return method == .get ? .get(part: part) : .head(part: part)
        case .put: return try putOperation(query, fields)
        case .post where query.has("uploads"):
            try accept(query, ["uploads"], method)
            return .createUpload
        case .post where query.has("uploadId"):
            try accept(query, ["uploadId"], method)
            return .completeUpload(upload: query["uploadId"] ?? "")
        case .delete where query.has("uploadId"):
            try accept(query, ["uploadId"], method)
            return .abortUpload(upload: query["uploadId"] ?? "")
        case .delete:
            try accept(query, ["versionId"], method)
            try checkVersion(query)
            return .delete
        default: throw Router.notImplemented("\(method) of an object")
        }
    }

    private func annotationOperation(_ method: Method, _ query: Query) throws(S3Error) -> ObjectOperation {
        try checkVersion(query)
        switch method {
        case .delete:
            try accept(query, ["tagging", "versionId"], method)
            return .deleteTagging
        case .get where query.has("attributes"):
            try accept(query, ["attributes", "versionId"], method)
            return .attributes
        case .get where query.has("tagging"):
            try accept(query, ["tagging", "versionId"], method)
            return .getTagging
        default:
            try accept(query, ["acl", "versionId"], method)
            return .getACL
        }
    }

    private func putOperation(_ query: Query, _ fields: Fields) throws(S3Error) -> ObjectOperation {
        let isCopy = fields["x-amz-copy-source"] != nil
        if query.has("tagging") || query.has("acl") {
            try checkVersion(query)
            try accept(query, [query.has("tagging") ? "tagging" : "acl", "versionId"], .put)
            return query.has("tagging") ? .putTagging : .putACL
        }
        guard query.has("uploadId") || query.has("partNumber") else {
            try accept(query, [], .put)
            return isCopy ? .copy : .put
        }
        try accept(query, ["uploadId", "partNumber"], .put)
        guard let upload = query["uploadId"], let text = query["partNumber"] else {
            throw S3Error(.invalidArgument, "uploadId and partNumber must come together.")
        }
        let number = try Router.partNumber(text)
        return isCopy ? .uploadPartCopy(upload: upload, number: number) : .uploadPart(upload: upload, number: number)
    }

    private static func partNumber(_ text: String) throws(S3Error) -> Int {
        guard text.utf8.count <= 5, let number = Int(text), (1...GatewayLimits.partNumberMax).contains(number) else {
            throw S3Error(
                .invalidArgument, "Part number must be an integer between 1 and 10000, inclusive",
                details: ["ArgumentName": "partNumber", "ArgumentValue": text])
        }
        return number
    }

    /// Objects have one version so far; it is called `null`, as in a bucket without versioning.
    private func checkVersion(_ query: Query) throws(S3Error) {
        guard let version = query["versionId"], version != "null" else { return }
        throw S3Error(.invalidArgument, "Invalid version id specified", details: ["ArgumentName": "versionId"])
    }

    /// Refuses repeated parameters, sub-resources that were not consumed, and on methods that change something any unknown name.
    private func accept(_ query: Query, _ consumed: [String], _ method: Method) throws(S3Error) {
        var seen: Set<String> = []
        for pair in query.pairs where !SubResource.isNeutral(pair.name) {
            guard !SubResource.names.contains(pair.name) || consumed.contains(pair.name) else {
                throw Router.notImplemented("the sub-resource '\(pair.name)' with \(method)")
            }
            if consumed.contains(pair.name) {
                guard seen.insert(pair.name).inserted else {
                    throw S3Error(.invalidArgument, "A parameter is repeated.", details: ["ArgumentName": pair.name])
                }
                continue
            }
            // A name without a value looks like a sub-resource; with one, a reading request may carry it.
            guard method == .get || method == .head, !pair.value.isEmpty else {
                throw Router.notImplemented("the parameter '\(pair.name)' with \(method)")
            }
        }
    }
}

extension Collection {
    fileprivate subscript(safe index: Index) -> Element? { indices.contains(index) ? self[index] : nil }
}
