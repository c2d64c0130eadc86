import Crypto
package import HTTP

/// What a verified signature yields: the key to go on with for chunks.
package struct VerifiedSignature: Sendable {
    package let claim: SignatureClaim
    package let signingKey: [UInt8]
    /// In hex; the seed of the chain of chunk signatures.
    package var seed: String { claim.signature }
}

/// Verifies Signature Version 4 in header and query (DESIGN §9).
package final class SignatureVerifier: Sendable {
    package static let skewMax: Int64 = 15 * 60
    private static let keysMax = 256

    private let region: String
    private let service: String
    private let keys = SigningKeyCache(keysMax: SignatureVerifier.keysMax)

    package init(region: String, service: String = "s3") {
        self.region = region
        self.service = service
    }

    /// - Parameters:
    ///   - secret: of the access key; nil if it is unknown, which costs the same work
    ///   - now: the wall clock
    package func verify(
        _ claim: SignatureClaim, _ head: RequestHead, secret: String?, now: WallTime
    ) throws(S3Error) -> VerifiedSignature {
        try checkScope(claim)
        try checkTime(claim, now: now)
        try checkSignedHeaders(claim, head)
        let presigned = if case .presigned = claim.form { true } else { false }
        let canonical = CanonicalRequest.text(
            head, signedHeaders: claim.signedHeaders, payloadHash: claim.payload.canonicalText,
            omittingSignature: presigned)
        // All unknown ids share one place in the cache, so that made-up ones cannot push the real ones out.
        let key = keys.key(
            accessKeyID: secret == nil ? "" : claim.accessKeyID, secret: secret ?? "unknown", claim.scope)
        let expected = SignatureV4.signature(
            SignatureV4.stringToSign(canonicalRequest: canonical, time: claim.time, claim.scope), key: key)
        let matches = constantTimeEquals(expected, Hex.decode(claim.signature) ?? [])
        guard secret != nil else {
            throw S3Error(.invalidAccessKeyID, "The access key id that was given does not exist in our records.")
        }
        guard matches else {
            throw S3Error(
                .signatureDoesNotMatch,
                "The request signature we calculated does not match the one provided. Check the key and the signing method."
            )
        }
        return VerifiedSignature(claim: claim, signingKey: key)
    }

    private func checkScope(_ claim: SignatureClaim) throws(S3Error) {
        let code: S3ErrorCode =
            claim.form == .header ? .authorizationHeaderMalformed : .authorizationQueryParametersError
        guard claim.scope.service == service else {
            throw S3Error(code, "The credential's service is '\(claim.scope.service)'; expecting '\(service)'.")
        }
        guard claim.scope.region == region else {
            throw S3Error(
                code, "The credential's region is '\(claim.scope.region)'; expecting '\(region)'.",
                details: ["Region": region])
        }
        guard claim.time.hasPrefix(claim.scope.date), claim.scope.date.utf8.count == 8 else {
            throw S3Error(code, "The credential's date does not match x-amz-date.")
        }
    }

    private func checkTime(_ claim: SignatureClaim, now: WallTime) throws(S3Error) {
        guard let time = WallTime(basicISO8601: claim.time) else {
            throw S3Error(.accessDenied, "AWS authentication requires a valid date in ISO 8601 basic format.")
        }
        let age = now.seconds - time.seconds
        switch claim.form {
        case .header:
            guard abs(age) <= SignatureVerifier.skewMax else { throw skewed(claim, now) }
        case .presigned(let expires):
            guard age >= -SignatureVerifier.skewMax else {
                throw S3Error(.accessDenied, "The request is not valid yet: its X-Amz-Date is in the future.")
            }
            guard age <= expires else {
                throw S3Error(.accessDenied, "Request has expired", details: ["X-Amz-Expires": "\(expires)"])
            }
        }
    }

    private func skewed(_ claim: SignatureClaim, _ now: WallTime) -> S3Error {
        S3Error(
            .requestTimeTooSkewed, "The difference between the request time and the server's time is too large.",
            details: [
                "RequestTime": claim.time, "ServerTime": now.rfc3339,
                "MaxAllowedSkewMilliseconds": "\(SignatureVerifier.skewMax * 1000)",
            ])
    }

    /// Every x-amz-* header that arrived must be signed: an unsigned x-amz-copy-source would be a read of any object.
    private func checkSignedHeaders(_ claim: SignatureClaim, _ head: RequestHead) throws(S3Error) {
        guard claim.signedHeaders.contains("host") else {
            throw S3Error(.accessDenied, "The host header must be signed.")
        }
        for name in claim.signedHeaders where head.fields[name] == nil {
            throw S3Error(.accessDenied, "A signed header did not arrive: \(name)")
        }
        for field in head.fields.all {
            let name = field.name.lowercased()
            guard name.hasPrefix("x-amz-"), !claim.signedHeaders.contains(name) else { continue }
            if !SignatureVerifier.isBoundAnyway(name, field.value, claim) {
                throw S3Error(
                    .accessDenied, "There were headers present in the request which were not signed",
                    details: ["HeadersNotSigned": name])
            }
        }
    }

    /// The date is part of what is signed, and so is the payload's form; a presigned URL carries both in its query, where a header
    /// that says something else is bound by nothing.
    private static func isBoundAnyway(_ name: String, _ value: String, _ claim: SignatureClaim) -> Bool {
        switch name {
        case "x-amz-content-sha256": value == claim.payload.canonicalText
        case "x-amz-date": value == claim.time
        default: false
        }
    }
}
