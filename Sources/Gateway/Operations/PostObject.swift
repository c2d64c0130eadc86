import Catalog
import HTTP
import S3

extension GatewayOperations {
    /// A browser's form: its policy is what is signed, and what the policy covers is what is done.
    func postObject(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        guard let contentLength = request.request.contentLength else {
            throw .refused(.missingContentLength, "You must provide the Content-Length HTTP header.")
        }
        guard request.signature == nil else {
            throw .refused(.invalidArgument, "A form is signed by its policy, not by its request.")
        }
        _ = try request.knownBucket(name)
        let form = try await PostForm(request.request.head, contentLength: contentLength, body: request.request.body)
        let key = try GatewayOperations.key(form)
        var signed = request
        if let (credential, policy) = try PostSignature.signer(form, request.snapshot, region: settings.region) {
            try policy.check(form, bucket: name, key: key, now: environment.now())
            signed = request.signedByForm(credential)
        }
        let target = try signed.target(name, key, .write)
        guard form.length <= GatewayLimits.objectBytesMax else {
            throw .refused(
                .entityTooLarge, "Your proposed upload exceeds the maximum allowed size.",
                ["ProposedSize": "\(form.length)"])
        }
        let fields = try GatewayOperations.headerFields(form)
        try WriteHeaders.refuseUnsupported(fields)
        let promised = try PromisedChecksums(fields, isChunked: false, readsHeaders: true)
        var expectation = BodyExpectation(length: form.length)
        expectation.checksums = promised.values
        let body = IncomingBody(reader: VerifyingReader(form.file, expectation), length: form.length)
        let order = WriteOrder(
            bucket: target.bucket, key: target.key, headers: try WriteHeaders.headers(fields, for: target.bucket),
            precondition: WriteHeaders.precondition(fields))
        let written = try await transferCall { () async throws(TransferFailure) in
            try await services.transfer.write(order, body: body, in: request.snapshot)
        }
        return answer(to: form, target, written)
    }

    /// `${filename}` in the key stands for what the browser calls the file.
    private static func key(_ form: PostForm) throws(OperationFailure) -> String {
        guard let template = form["key"], !template.isEmpty else {
            throw .refused(
                .invalidArgument,
                "Bucket POST must contain a field named 'key'. If it is specified, please check the order of the fields.",
                ["ArgumentName": "key", "ArgumentValue": ""])
        }
        // Some browsers send the whole path.
        let name = form.fileName.split(whereSeparator: { $0 == "/" || $0 == "\\" }).last.map(String.init) ?? ""
        let key = template.replacing("${filename}", with: name)
        guard !key.isEmpty else { throw .refused(.invalidArgument, "The key is empty.", ["ArgumentName": "key"]) }
        return try refusing { () throws(S3Error) in try Router.checked(key) }
    }

    /// The form's fields as the headers that a PUT would have.
    private static func headerFields(_ form: PostForm) throws(OperationFailure) -> Fields {
        var fields = Fields()
        for field in form.fields {
            let name =
                switch field.name {
                case "acl": "x-amz-acl"
                case "content-type", "cache-control", "content-disposition", "content-encoding", "content-language",
                    "expires",
                    "if-match", "if-none-match":
                    field.name
                default: field.name.hasPrefix("x-amz-") ? field.name : ""
                }
            guard !name.isEmpty,
                !["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"].contains(name)
            else { continue }
            guard HeaderText.isName(name), HeaderText.isValue(field.value) else {
                throw .refused(
                    .invalidArgument, "A field that stands for a header has characters that no header may have.",
                    ["ArgumentName": name])
            }
            fields.append(name, field.value)
        }
        if let tagging = form["tagging"] {
            let tags = try refusing { () throws(S3Error) in
                try TagSet(xml: Array(tagging.utf8), limit: TagSet.objectTagsMax)
            }
            fields.set("x-amz-tagging", tags.stored)
        }
        return fields
    }

    private func answer(to form: PostForm, _ target: ObjectTarget, _ written: Written) -> Response {
        let etag = ETag.quoted(written.digests.etag)
        let location = "/\(target.bucket.name)/\(PercentCoding.encode(target.key, keepingSlash: true))"
        var fields = Fields([("ETag", etag), ("Location", location)])
        if let redirect = form["success_action_redirect"] ?? form["redirect"], HeaderText.isValue(redirect),
            redirect.hasPrefix("http://") || redirect.hasPrefix("https://")
        {
            let query =
                "bucket=\(target.bucket.name)&key=\(PercentCoding.encode(target.key))&etag=\(PercentCoding.encode(etag))"
            fields.set("Location", redirect + (redirect.contains("?") ? "&" : "?") + query)
            return .empty(Status(303), fields)
        }
        switch form["success_action_status"] {
        case "200": return .empty(.ok, fields)
        case "201":
            var writer = XMLWriter()
            writer.element("PostResponse") { writer in
                writer.text("Location", location)
                writer.text("Bucket", target.bucket.name)
                writer.text("Key", target.key)
                writer.text("ETag", etag)
            }
            return .document(writer.document, fields, status: Status(201))
        default: return .empty(.noContent, fields)
        }
    }
}
