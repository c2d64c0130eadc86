package import HTTP
package import S3
import Spec

/// A request whose signature was verified. It cannot be made anywhere else: what reaches an operation is authentic.
package struct AuthenticatedRequest: Sendable {
    package let request: Request
    package let query: Query
    /// The request's header fields and, with a presigned URL, the `x-amz-*` parameters that its signer moved into the query.
    package let fields: Fields
    package let signature: VerifiedSignature
    package let credential: GatewayCredential
    package let snapshot: GatewaySnapshot
    package let id: String

    fileprivate init(
        request: Request, query: Query, fields: Fields, signature: VerifiedSignature, credential: GatewayCredential,
        snapshot: GatewaySnapshot, id: String
    ) {
        self.request = request
        self.query = query
        self.fields = fields
        self.signature = signature
        self.credential = credential
        self.snapshot = snapshot
        self.id = id
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
            throw S3Error(.accessDenied, "Access Denied: the request is not signed, and anonymous access is not granted.")
        }
        let known = snapshot.credentials[claim.accessKeyID]
        let signature = try verifier.verify(claim, request.head, secret: known?.secret.revealed, now: now)
        guard let credential = known else {
            throw S3Error(.invalidAccessKeyID, "The access key id that was given does not exist in our records.")
        }
        return AuthenticatedRequest(
            request: request, query: query, fields: try Authenticator.fields(request.head.fields, query, claim),
            signature: signature, credential: credential, snapshot: snapshot, id: id)
    }

    /// Presigning SDKs hoist `x-amz-*` headers into the query, which is signed as a whole. A header that came wins.
    private static func fields(_ fields: Fields, _ query: Query, _ claim: SignatureClaim) throws(S3Error) -> Fields {
        guard case .presigned = claim.form else { return fields }
        var all = fields
        for pair in query.pairs where pair.name.hasPrefix("x-amz-") && fields[pair.name] == nil {
            guard HeaderText.isValue(pair.value), HeaderText.isName(pair.name) else {
                throw S3Error(.invalidArgument, "A parameter that stands for a header has characters that no header may have.")
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
