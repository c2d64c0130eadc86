import HTTP
import S3
import Testing

@Suite struct SignatureVerifierTests {
    static let now = WallTime(seconds: 1_800_000_000)
    static let secret = "photossecret"
    static let signer = RequestSigner(accessKeyID: "photos+key/1", secret: secret, region: "eu-test-1")

    enum Form: Sendable, CaseIterable { case header, presigned }

    /// A signed request; `spoil` changes it before, `tamper` after signing.
    static func head(
        _ form: Form, target: String = "/photos/a%2Fb/../c//d+e%20f?x=1&list-type=2&a=%2F&b",
        headers: [(String, String)] = [],
        at time: WallTime = now, expires: Int64 = 600, signer: RequestSigner = signer
    ) -> RequestHead {
        var head = RequestHead(method: .get, target: target, fields: Fields([("Host", "s3.example.net")] + headers))
        switch form {
        case .header: signer.sign(&head, payload: .unsigned, now: time)
        case .presigned: signer.presign(&head, expires: expires, now: time)
        }
        return head
    }

    /// Nil if it verifies.
    static func refusal(_ head: RequestHead, secret: String? = secret, at now: WallTime = now) -> S3Error? {
        do throws(S3Error) {
            guard let query = Query(raw: head.rawQuery) else { return S3Error(.invalidURI, "") }
            guard let claim = try SignatureClaim.parse(head, query) else { return S3Error(.accessDenied, "anonymous") }
            _ = try SignatureVerifier(region: "eu-test-1").verify(claim, head, secret: secret, now: now)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: Form.allCases)
    func `what was signed verifies, with an access key that holds a plus and a slash`(form: Form) {
        #expect(SignatureVerifierTests.refusal(SignatureVerifierTests.head(form)) == nil)
    }

    @Test(
        arguments: Form.allCases,
        [
            "/photos/a/b/../c//d+e%20f?", "/photos/a%2Fb/c//d+e%20f?", "/photos/a%2Fb/../c/d+e%20f?",
            "/photos/a%2Fb/../c//d%20e%20f?",
        ])
    func `another path does not verify: nothing is normalised, a slash in a key is not a divider, a plus is no space`(
        form: Form, path: String
    ) {
        var head = SignatureVerifierTests.head(form)
        head.target = path + (head.rawQuery ?? "")
        #expect(SignatureVerifierTests.refusal(head)?.code == .signatureDoesNotMatch)
    }

    @Test(arguments: Form.allCases)
    func `the path may be escaped in any way that means the same`(form: Form) {
        var head = SignatureVerifierTests.head(form)
        head.target = "/%70hotos/a%2fb/../c//d%2Be%20%66?" + (head.rawQuery ?? "")
        #expect(SignatureVerifierTests.refusal(head) == nil)
    }

    @Test(arguments: Form.allCases)
    func `method, host and every query parameter are bound`(form: Form) {
        var other = SignatureVerifierTests.head(form)
        other.method = .delete
        #expect(SignatureVerifierTests.refusal(other)?.code == .signatureDoesNotMatch)
        other = SignatureVerifierTests.head(form)
        other.fields.set("Host", "evil.example.net")
        #expect(SignatureVerifierTests.refusal(other)?.code == .signatureDoesNotMatch)
        other = SignatureVerifierTests.head(form)
        other.target += "&versionId=1"
        #expect(SignatureVerifierTests.refusal(other)?.code == .signatureDoesNotMatch)
        other = SignatureVerifierTests.head(form)
        other.target = other.target.replacing("x=1", with: "x=2")
        #expect(SignatureVerifierTests.refusal(other)?.code == .signatureDoesNotMatch)
        other = SignatureVerifierTests.head(form)
        other.target = other.target.replacing("&b&", with: "&").replacing(/&b$/, with: "")
        #expect(SignatureVerifierTests.refusal(other)?.code == .signatureDoesNotMatch)
    }

    @Test(arguments: Form.allCases)
    func `every x-amz header that arrives must be signed`(form: Form) {
        for name in [
            "x-amz-copy-source", "X-Amz-Meta-A", "x-amz-acl", "x-amz-decoded-content-length", "x-amz-security-token",
        ] {
            var head = SignatureVerifierTests.head(form)
            head.fields.append(name, "/secret/object")
            let refusal = SignatureVerifierTests.refusal(head)
            #expect(refusal?.code == .accessDenied && refusal?.details["HeadersNotSigned"] == name.lowercased())
        }
        var head = SignatureVerifierTests.head(form)
        head.fields.append("Content-Type", "text/plain")
        #expect(SignatureVerifierTests.refusal(head) == nil, "other headers need not be")
    }

    @Test func `a presigned link's payload form cannot be changed by a header`() {
        var head = SignatureVerifierTests.head(.presigned)
        head.fields.append("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        #expect(SignatureVerifierTests.refusal(head) == nil)
        head.fields.set("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        #expect(SignatureVerifierTests.refusal(head)?.code == .accessDenied)
        head = SignatureVerifierTests.head(.presigned, target: "/k?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD")
        #expect(SignatureVerifierTests.refusal(head) == nil)
        head = SignatureVerifierTests.head(.presigned, target: "/k?X-Amz-Content-Sha256=nonsense")
        #expect(SignatureVerifierTests.refusal(head)?.code == .invalidArgument)
    }

    @Test func `a signed header's value and its absence count`() {
        let headers = [("x-amz-meta-a", "one  two"), ("x-amz-meta-b", "")]
        var head = SignatureVerifierTests.head(.header, headers: headers)
        #expect(SignatureVerifierTests.refusal(head) == nil)
        head.fields.set("x-amz-meta-a", "one two")
        #expect(SignatureVerifierTests.refusal(head) == nil, "runs of spaces are signed as one")
        head.fields.set("x-amz-meta-a", "onetwo")
        #expect(SignatureVerifierTests.refusal(head)?.code == .signatureDoesNotMatch)
        head.fields.remove("x-amz-meta-a")
        #expect(SignatureVerifierTests.refusal(head)?.code == .accessDenied)
    }

    @Test func `an unknown key and a wrong secret are told apart, with exact codes`() {
        let other = RequestSigner(accessKeyID: "photos+key/1", secret: "wrong", region: "eu-test-1")
        for form in Form.allCases {
            let head = SignatureVerifierTests.head(form, signer: other)
            #expect(SignatureVerifierTests.refusal(head)?.code == .signatureDoesNotMatch)
            #expect(SignatureVerifierTests.refusal(head, secret: nil)?.code == .invalidAccessKeyID)
        }
        // Even a signature that fits the stand-in for an unknown key's secret is refused.
        let standIn = RequestSigner(accessKeyID: "nobody", secret: "unknown", region: "eu-test-1")
        #expect(
            SignatureVerifierTests.refusal(SignatureVerifierTests.head(.header, signer: standIn), secret: nil)?.code
                == .invalidAccessKeyID)
    }

    @Test func `another region is told the right one, another service is refused`() {
        let codes: [(Form, S3ErrorCode)] = [
            (.header, .authorizationHeaderMalformed), (.presigned, .authorizationQueryParametersError),
        ]
        for (form, code) in codes {
            for region in ["us-east-1", ""] {
                let signer = RequestSigner(accessKeyID: "k", secret: SignatureVerifierTests.secret, region: region)
                let refusal = SignatureVerifierTests.refusal(SignatureVerifierTests.head(form, signer: signer))
                #expect(refusal?.code == code && refusal?.details["Region"] == "eu-test-1")
            }
            let signer = RequestSigner(
                accessKeyID: "k", secret: SignatureVerifierTests.secret, region: "eu-test-1", service: "ec2")
            #expect(SignatureVerifierTests.refusal(SignatureVerifierTests.head(form, signer: signer))?.code == code)
        }
    }

    @Test func `a clock may be fifteen minutes off, not more`() {
        let now = SignatureVerifierTests.now
        for (offset, isGood) in [(Int64(900), true), (-900, true), (901, false), (-901, false)] {
            let time = WallTime(seconds: now.seconds + offset)
            let refusal = SignatureVerifierTests.refusal(SignatureVerifierTests.head(.header, at: time))
            #expect(isGood ? refusal == nil : refusal?.code == .requestTimeTooSkewed, "\(offset)")
        }
    }

    @Test func `a presigned link lives for 1 to 604,800 seconds from its date`() {
        let now = SignatureVerifierTests.now
        func code(_ expires: Int64, after seconds: Int64) -> S3Error? {
            SignatureVerifierTests.refusal(
                SignatureVerifierTests.head(.presigned, expires: expires), at: WallTime(seconds: now.seconds + seconds))
        }
        #expect(code(1, after: 1) == nil && code(604_800, after: 604_800) == nil)
        #expect(code(1, after: 2)?.code == .accessDenied && code(1, after: 2)?.message == "Request has expired")
        #expect(code(604_800, after: 604_801)?.code == .accessDenied)
        #expect(code(600, after: -901)?.code == .accessDenied, "not before its date")
        for expires in [Int64(0), -1, 604_801, .max] {
            #expect(code(expires, after: 0)?.code == .accessDenied, "\(expires)")
        }
    }

    @Test func `header and query together are refused, and so is a repeated header or parameter`() {
        var head = SignatureVerifierTests.head(.presigned)
        SignatureVerifierTests.signer.sign(&head, payload: .unsigned, now: SignatureVerifierTests.now)
        let both = SignatureVerifierTests.refusal(head)
        #expect(both?.code == .invalidArgument && both?.code.status == 400)
        head = SignatureVerifierTests.head(.header)
        head.fields.append("Authorization", head.fields["authorization"] ?? "")
        #expect(SignatureVerifierTests.refusal(head)?.code == .invalidArgument)
        for name in ["X-Amz-Signature=00", "X-Amz-Date=20130524T000000Z", "X-Amz-Expires=1", "X-Amz-Credential=x"] {
            head = SignatureVerifierTests.head(.presigned)
            head.target += "&" + name
            #expect(SignatureVerifierTests.refusal(head)?.code == .authorizationQueryParametersError, "\(name)")
        }
    }

    @Test(
        arguments: [
            ("AWS4-HMAC-SHA256 nonsense", S3ErrorCode.authorizationHeaderMalformed),
            ("AWS4-HMAC-SHA256 Credential=a/20270115/eu-test-1/s3/aws4_request", .authorizationHeaderMalformed),
            ("AWS4-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=00", .authorizationHeaderMalformed),
            (
                "AWS4-HMAC-SHA256 Credential=a/b/c/d/e/aws4_request,SignedHeaders=HOST,Signature=00",
                .authorizationHeaderMalformed
            ),
            (
                "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,SignedHeaders=b;a,Signature=00",
                .authorizationHeaderMalformed
            ),
            (
                "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,SignedHeaders=a;a,Signature=00",
                .authorizationHeaderMalformed
            ),
            ("AWS4-HMAC-SHA256 Signature=1,Signature=2,Credential=x,SignedHeaders=host", .authorizationHeaderMalformed),
            ("AWS AKIA:signature", .invalidRequest), ("Bearer token", .authorizationHeaderMalformed),
            ("", .authorizationHeaderMalformed),
        ])
    func `a malformed Authorization header has its own code`(header: String, code: S3ErrorCode) {
        var head = SignatureVerifierTests.head(.header)
        head.fields.set("Authorization", header)
        #expect(SignatureVerifierTests.refusal(head)?.code == code)
    }

    @Test func `the payload's form must be given, and known`() {
        var head = SignatureVerifierTests.head(.header)
        head.fields.remove("x-amz-content-sha256")
        #expect(SignatureVerifierTests.refusal(head)?.code == .invalidRequest)
        for text in ["", "STREAMING-NONSENSE", "unsigned-payload", PayloadMode.emptyHash.uppercased(), "abc"] {
            head.fields.set("x-amz-content-sha256", text)
            #expect(SignatureVerifierTests.refusal(head)?.code == .invalidArgument, "\(text)")
        }
        for mode in [
            PayloadMode.signed(PayloadMode.emptyHash), .unsigned, .streamingSigned(hasTrailer: false),
            .streamingSigned(hasTrailer: true), .streamingUnsigned,
        ] {
            #expect(PayloadMode(header: mode.canonicalText) == mode)
        }
    }

    @Test func `host must be signed`() throws {
        var head = SignatureVerifierTests.head(.header)
        let header = try #require(head.fields["authorization"])
        head.fields.set("Authorization", header.replacing("SignedHeaders=host;", with: "SignedHeaders="))
        #expect(SignatureVerifierTests.refusal(head)?.code == .accessDenied)
    }

    @Test func `made-up requests are refused without a crash`() {
        for seed in UInt64(1)...200 {
            var random = SeededRandom(seed: seed)
            var head = SignatureVerifierTests.head(random.chance(50) ? .header : .presigned)
            head.target = random.mutate(head.target)
            if let header = head.fields["authorization"] { head.fields.set("Authorization", random.mutate(header)) }
            let original = SignatureVerifierTests.head(head.fields["authorization"] == nil ? .presigned : .header)
            if head != original, SignatureVerifierTests.refusal(head) == nil {
                // Some changes mean the same: another escape, a space, the case of a hex digit.
                #expect(
                    CanonicalRequest.text(head, signedHeaders: [], payloadHash: "", omittingSignature: true)
                        == CanonicalRequest.text(original, signedHeaders: [], payloadHash: "", omittingSignature: true),
                    "seed \(seed): \(head.target)")
            }
        }
    }
}
