import Crypto
package import HTTP

/// Signs requests to backends, and in tests to ourselves.
package struct RequestSigner: Sendable {
    private let accessKeyID: String
    private let secret: String
    private let region: String
    private let service: String
    /// Today's key, and yesterday's around midnight.
    private let keys = SigningKeyCache(keysMax: 4)

    package init(accessKeyID: String, secret: String, region: String, service: String = "s3") {
        self.accessKeyID = accessKeyID
        self.secret = secret
        self.region = region
        self.service = service
    }

    /// Adds x-amz-date, x-amz-content-sha256 and Authorization; signs host and every x-amz-* header.
    package func sign(_ head: inout RequestHead, payload: PayloadMode, now: WallTime) {
        let time = now.basicISO8601
        head.fields.set("x-amz-date", time)
        head.fields.set("x-amz-content-sha256", payload.canonicalText)
        let names = head.fields.all.map { $0.name.lowercased() }
        let signed = Set(names.filter { $0 == "host" || $0 == "content-md5" || $0.hasPrefix("x-amz-") }).sorted()
        let scope = SigningScope(date: String(time.prefix(8)), region: region, service: service)
        let canonical = CanonicalRequest.text(
            head, signedHeaders: signed, payloadHash: payload.canonicalText, omittingSignature: false)
        let signature = SignatureV4.signature(
            SignatureV4.stringToSign(canonicalRequest: canonical, time: time, scope),
            key: keys.key(accessKeyID: accessKeyID, secret: secret, scope))
        head.fields.set(
            "Authorization",
            "\(SignatureV4.algorithm) Credential=\(accessKeyID)/\(scope.text), SignedHeaders=\(signed.joined(separator: ";")), "
                + "Signature=\(Hex.encode(signature))")
    }

    /// Makes `head.target` a presigned URL's path and query.
    package func presign(_ head: inout RequestHead, expires: Int64, now: WallTime) {
        let time = now.basicISO8601
        let scope = SigningScope(date: String(time.prefix(8)), region: region, service: service)
        let parameters = [
            ("X-Amz-Algorithm", SignatureV4.algorithm), ("X-Amz-Credential", "\(accessKeyID)/\(scope.text)"),
            ("X-Amz-Date", time), ("X-Amz-Expires", "\(expires)"), ("X-Amz-SignedHeaders", "host"),
        ]
        let query = parameters.map { "\($0.0)=\(PercentCoding.encode($0.1))" }.joined(separator: "&")
        head.target += (head.rawQuery == nil ? "?" : "&") + query
        let canonical = CanonicalRequest.text(
            head, signedHeaders: ["host"], payloadHash: PayloadMode.unsigned.canonicalText, omittingSignature: true)
        let signature = SignatureV4.signature(
            SignatureV4.stringToSign(canonicalRequest: canonical, time: time, scope),
            key: keys.key(accessKeyID: accessKeyID, secret: secret, scope))
        head.target += "&X-Amz-Signature=\(Hex.encode(signature))"
    }
}
