package import HTTP

/// What a request says about its own signature; nothing in it is proven yet.
package struct SignatureClaim: Sendable, Equatable {
    package enum Form: Sendable, Equatable {
        case header
        case presigned(expires: Int64)
    }
    package var form: Form
    package var accessKeyID: String
    package var scope: SigningScope
    package var signedHeaders: [String]
    /// In hex.
    package var signature: String
    /// `20130524T000000Z`, as it came.
    package var time: String
    package var payload: PayloadMode

    /// Nil without any signature: an anonymous request. Throws for one that is malformed, or that has two.
    package static func parse(_ head: RequestHead, _ query: Query) throws(S3Error) -> SignatureClaim? {
        let header = head.fields["authorization"]
        let isPresigned = query.has("X-Amz-Algorithm") || query.has("X-Amz-Signature")
        guard head.fields.values("authorization").count <= 1 else {
            throw S3Error(.invalidArgument, "There is more than one Authorization header.")
        }
        switch (header, isPresigned) {
        case (.some, true):
            throw S3Error(.invalidArgument, "Only one authentication mechanism is allowed: header or query.")
        case (.some(let header), false): return try fromHeader(header, head)
        case (nil, true): return try fromQuery(query, head)
        case (nil, false):
            guard !query.has("Signature"), !query.has("AWSAccessKeyId") else {
                throw S3Error(.invalidRequest, "Signature Version 2 is not supported. Use AWS4-HMAC-SHA256.")
            }
            return nil
        }
    }

    private static func fromHeader(_ header: String, _ head: RequestHead) throws(S3Error) -> SignatureClaim {
        func malformed(_ what: String) -> S3Error { S3Error(.authorizationHeaderMalformed, what) }
        guard header.hasPrefix(SignatureV4.algorithm + " ") else {
            throw header.hasPrefix("AWS ")
                ? S3Error(.invalidRequest, "Signature Version 2 is not supported. Use AWS4-HMAC-SHA256.")
                : malformed("The authorization mechanism is not AWS4-HMAC-SHA256.")
        }
        var parts: [String: String] = [:]
        for part in header.dropFirst(SignatureV4.algorithm.count + 1).split(separator: ",") {
            let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard halves.count == 2 else { throw malformed("A part of the Authorization header has no value.") }
            let name = String(halves[0].filter { $0 != " " })
            guard parts.updateValue(String(halves[1]), forKey: name) == nil else {
                throw malformed("A part of the Authorization header is repeated.")
            }
        }
        guard let credential = parts["Credential"], let signed = parts["SignedHeaders"],
            let signature = parts["Signature"]
        else { throw malformed("Credential, SignedHeaders and Signature are required.") }
        guard let mode = head.fields["x-amz-content-sha256"] else {
            throw S3Error(.invalidRequest, "Missing required header for this request: x-amz-content-sha256")
        }
        let payload = try payload(mode)
        let (key, scope) = try self.credential(credential, malformed)
        return SignatureClaim(
            form: .header, accessKeyID: key, scope: scope, signedHeaders: try headerNames(signed, malformed),
            signature: signature, time: try time(head), payload: payload)
    }

    /// X-Amz-Date, else Date in its HTTP form.
    private static func time(_ head: RequestHead) throws(S3Error) -> String {
        if let time = head.fields["x-amz-date"] { return time }
        if let date = head.fields["date"] {
            return WallTime(httpDate: date)?.basicISO8601 ?? date
        }
        throw S3Error(.accessDenied, "AWS authentication requires a valid Date or x-amz-date header.")
    }

    private static func fromQuery(_ query: Query, _ head: RequestHead) throws(S3Error) -> SignatureClaim {
        func malformed(_ what: String) -> S3Error { S3Error(.authorizationQueryParametersError, what) }
        let names = [
            "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders",
            "X-Amz-Expires",
        ]
        for name in names where query.pairs.filter({ $0.name == name }).count != 1 {
            throw malformed("Query-string authentication requires exactly one \(name).")
        }
        guard query["X-Amz-Algorithm"] == SignatureV4.algorithm else {
            throw malformed("X-Amz-Algorithm only supports AWS4-HMAC-SHA256.")
        }
        guard let text = query["X-Amz-Expires"], let expires = Int64(text),
            text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 || $0 == 0x2D })
        else { throw malformed("X-Amz-Expires should be a number.") }
        guard (1...604_800).contains(expires) else {
            throw S3Error(.accessDenied, "X-Amz-Expires must be at least 1 second and at most a week (604800 seconds).")
        }
        let (key, scope) = try credential(query["X-Amz-Credential"] ?? "", malformed)
        let signedHeaders = try headerNames(query["X-Amz-SignedHeaders"] ?? "", malformed)
        return SignatureClaim(
            form: .presigned(expires: expires), accessKeyID: key, scope: scope, signedHeaders: signedHeaders,
            signature: query["X-Amz-Signature"] ?? "", time: query["X-Amz-Date"] ?? "",
            payload: try presignedPayload(head, query, signedHeaders))
    }

    /// UNSIGNED-PAYLOAD unless the signer put another form into the query, or into a header that it signed.
    private static func presignedPayload(
        _ head: RequestHead, _ query: Query, _ signedHeaders: [String]
    ) throws(S3Error) -> PayloadMode {
        let name = "x-amz-content-sha256"
        let signedHeader = signedHeaders.contains(name) ? head.fields[name] : nil
        guard let text = query["X-Amz-Content-Sha256"] ?? signedHeader else { return .unsigned }
        return try payload(text)
    }

    private static func payload(_ text: String) throws(S3Error) -> PayloadMode {
        guard let payload = PayloadMode(header: text) else {
            throw S3Error(
                .invalidArgument,
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- form, or a valid sha256 value.")
        }
        return payload
    }

    /// `KEY/DATE/REGION/SERVICE/aws4_request`; the key itself may contain slashes.
    private static func credential(
        _ text: String, _ malformed: (String) -> S3Error
    ) throws(S3Error) -> (String, SigningScope) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 5, parts.last == "aws4_request" else {
            throw malformed("The Credential is not of the form KEY/DATE/REGION/SERVICE/aws4_request.")
        }
        let tail = parts.suffix(4)
        let key = parts.dropLast(4).joined(separator: "/")
        let scope = SigningScope(
            date: tail[tail.startIndex], region: tail[tail.startIndex + 1], service: tail[tail.startIndex + 2])
        return (key, scope)
    }

    private static func headerNames(_ text: String, _ malformed: (String) -> S3Error) throws(S3Error) -> [String] {
        let names = text.split(separator: ";", omittingEmptySubsequences: false).map(String.init)
        for name in names where name.isEmpty || name.utf8.contains(where: { $0 >= 0x41 && $0 <= 0x5A }) {
            throw malformed("SignedHeaders must be lower-case names divided by semicolons.")
        }
        for (one, next) in zip(names, names.dropFirst()) where one >= next {
            throw malformed("SignedHeaders must be sorted and unique.")
        }
        return names
    }
}
