package import HTTP
package import S3
import Spec

/// A request whose signature was verified. It cannot be made anywhere else: what reaches an operation is authentic.
package struct AuthenticatedRequest: Sendable {
    package private(set) var request: Request
    package let query: Query
    /// The request's header fields and, with a presigned URL, the `x-amz-*` parameters that its signer moved into the query.
    package let fields: Fields
    /// nil for an anonymous request, and for a form whose policy was signed instead.
    package let signature: VerifiedSignature?
    package private(set) var principal: Principal
    /// How the body comes.
    package let payload: PayloadMode
    package private(set) var snapshot: GatewaySnapshot
    package let id: String

    fileprivate init(
        request: Request, query: Query, fields: Fields, signature: VerifiedSignature?, principal: Principal,
        payload: PayloadMode,
        snapshot: GatewaySnapshot, id: String
    ) {
        self.request = request
        self.query = query
        self.fields = fields
        self.signature = signature
        self.principal = principal
        self.payload = payload
        self.snapshot = snapshot
        self.id = id
    }
}

extension AuthenticatedRequest {
    /// With a bucket that was looked up for this request alone.
    func knowing(_ bucket: ServedBucket) -> AuthenticatedRequest {
        var copy = self
        copy.snapshot.add(bucket)
        return copy
    }

    /// With a body whose length is known: one that came in chunked coding is read into memory first.
    /// - Throws: MissingContentLength beyond `GatewayLimits.unannouncedBytesMax`
    func measured() async throws(OperationFailure) -> AuthenticatedRequest {
        guard request.contentLength == nil, !payload.isChunked else { return self }
        var copy = self
        do throws(BodyError) {
            let content = try await request.body.collect(limit: GatewayLimits.unannouncedBytesMax)
            copy.request.contentLength = Int64(content.count)
            copy.request.body = BytesReader(content)
        } catch .tooLong {
            throw .refused(
                .missingContentLength, "You must provide the Content-Length HTTP header with a body of this size.",
                ["MaxSizeAllowed": "\(GatewayLimits.unannouncedBytesMax)"])
        } catch {
            throw .body(error)
        }
        return copy
    }

    /// An anonymous request that carries a form, whose policy this credential signed.
    func signedByForm(_ credential: GatewayCredential) -> AuthenticatedRequest {
        var copy = self
        copy.principal = .credential(credential)
        return copy
    }
}

/// Who asks.
package enum Principal: Sendable, Equatable {
    case anonymous
    case credential(GatewayCredential)

    package var credential: GatewayCredential? {
        switch self {
        case .anonymous: nil
        case .credential(let credential): credential
        }
    }
}

/// Turns requests into authenticated ones, before anything else is said about them.
package struct Authenticator: Sendable {
    private let verifier: SignatureVerifier

    package init(region: String) { verifier = SignatureVerifier(region: region) }

    package func authenticate(
        _ request: Request, snapshot: GatewaySnapshot, id: String, now: WallTime
    ) throws(S3Error) -> AuthenticatedRequest {
        guard let query = Query(raw: request.head.rawQuery) else {
            throw S3Error(.invalidURI, "The query has a malformed escape, or is not UTF-8.")
        }
        guard let claim = try SignatureClaim.parse(request.head, query) else {
            return AuthenticatedRequest(
                request: request, query: query, fields: request.head.fields, signature: nil, principal: .anonymous,
                payload: try Authenticator.unsignedPayload(request.head.fields), snapshot: snapshot, id: id)
        }
        let known = snapshot.credentials[claim.accessKeyID]
        let signature = try verifier.verify(claim, request.head, secret: known?.secret.revealed, now: now)
        guard let credential = known else {
            throw S3Error(.invalidAccessKeyID, "The access key id that was given does not exist in our records.")
        }
        return AuthenticatedRequest(
            request: request, query: query, fields: try Authenticator.fields(request.head.fields, query, claim),
            signature: signature, principal: .credential(credential), payload: claim.payload, snapshot: snapshot, id: id
        )
    }

    /// Without a signature there is no key that chunks could be signed with.
    private static func unsignedPayload(_ fields: Fields) throws(S3Error) -> PayloadMode {
        guard let header = fields["x-amz-content-sha256"] else { return .unsigned }
        switch PayloadMode(header: header) {
        case .some(.streamingSigned), nil:
            throw S3Error(
                .accessDenied, "A request without a signature cannot announce a signed payload: it came unsigned.")
        case .some(let mode): return mode
        }
    }

    /// Presigning SDKs hoist `x-amz-*` headers into the query, which is signed as a whole. A header that came wins.
    private static func fields(_ fields: Fields, _ query: Query, _ claim: SignatureClaim) throws(S3Error) -> Fields {
        guard case .presigned = claim.form else { return fields }
        var all = fields
        for pair in query.pairs where pair.name.hasPrefix("x-amz-") && fields[pair.name] == nil {
            guard HeaderText.isValue(pair.value), HeaderText.isName(pair.name) else {
                throw S3Error(
                    .invalidArgument, "A parameter that stands for a header has characters that no header may have.")
            }
            all.append(pair.name, pair.value)
        }
        return all
    }
}

/// What may stand in a header (RFC 9110 §5); text that was percent-decoded can hold anything.
enum HeaderText {
    static func isValue(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }

    static func isName(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }
}
