import Crypto
package import HTTP

/// The canonical request of Signature Version 4 (AWS, "Signature Calculations for the Authorization Header"), made from the raw
/// target: what is signed is what is routed. No path is normalised.
package enum CanonicalRequest {
    /// S3 signs the path as it came; AWS's other services, and so the published vectors, resolve its dots and empty segments.
    package enum PathForm: Sendable {
        case asReceived, normalized
    }

    /// - Parameters:
    ///   - signedHeaders: lower case, sorted
    ///   - omittingSignature: presigned requests sign their query without `X-Amz-Signature`
    package static func text(
        _ head: RequestHead, signedHeaders: [String], payloadHash: String, omittingSignature: Bool,
        pathForm: PathForm = .asReceived
    ) -> String {
        var text = head.method.name + "\n" + path(head.rawPath, pathForm) + "\n"
        text += query(head.rawQuery, omittingSignature: omittingSignature) + "\n"
        for name in signedHeaders {
            text += name + ":" + head.fields.values(name).map(collapsed).joined(separator: ",") + "\n"
        }
        text += "\n" + signedHeaders.joined(separator: ";") + "\n" + payloadHash
        return text
    }

    /// Each byte decoded and encoded once, so that both `%7E` and `~` sign alike; `%2F` stays apart from `/`.
    private static func path(_ raw: Substring, _ form: PathForm) -> String {
        guard !raw.isEmpty else { return "/" }
        let segments = raw.split(separator: "/", omittingEmptySubsequences: false)
        return switch form {
        case .asReceived: segments.map(recoded).joined(separator: "/")
        case .normalized: normalized(segments)
        }
    }

    /// RFC 3986 §5.2.4, and no empty segments but a last one.
    private static func normalized(_ segments: [Substring]) -> String {
        var kept: [Substring] = []
        for segment in segments {
            switch segment {
            case "", ".": break
            case "..": if !kept.isEmpty { kept.removeLast() }
            default: kept.append(segment)
            }
        }
        let isFolder = !kept.isEmpty && ["", ".", ".."].contains(segments.last)
        return "/" + kept.map(recoded).joined(separator: "/") + (isFolder ? "/" : "")
    }

    private static func query(_ raw: Substring?, omittingSignature: Bool) -> String {
        var pairs: [(String, String)] = []
        for part in (raw ?? "").split(separator: "&") {
            let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = recoded(halves[0])
            if omittingSignature && name == "X-Amz-Signature" { continue }
            pairs.append((name, halves.count == 2 ? recoded(halves[1]) : ""))
        }
        return pairs.sorted { $0 < $1 }.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }

    private static func recoded(_ text: Substring) -> String {
        PercentCoding.decode(text).map { PercentCoding.encode($0) } ?? String(text)
    }

    /// Sequential spaces become one.
    private static func collapsed(_ value: String) -> String {
        guard value.contains("  ") else { return value }
        return value.split(separator: " ").joined(separator: " ")
    }
}

/// Date, region and service that a signature is bound to.
package struct SigningScope: Hashable, Sendable {
    /// `20130524`
    package let date: String
    package let region: String
    package let service: String
    package init(date: String, region: String, service: String) {
        self.date = date
        self.region = region
        self.service = service
    }
    package var text: String { "\(date)/\(region)/\(service)/aws4_request" }
}

/// Keys and signatures of Signature Version 4.
package enum SignatureV4 {
    package static let algorithm = "AWS4-HMAC-SHA256"

    package static func signingKey(secret: String, _ scope: SigningScope) -> [UInt8] {
        var key = Array("AWS4\(secret)".utf8)
        for part in [scope.date, scope.region, scope.service, "aws4_request"] {
            key = HMACSHA256.authenticate(part, key: key)
        }
        return key
    }

    package static func stringToSign(canonicalRequest: String, time: String, _ scope: SigningScope) -> String {
        "\(algorithm)\n\(time)\n\(scope.text)\n\(Hex.encode(Digest.hash(.sha256, canonicalRequest)))"
    }

    package static func signature(_ stringToSign: String, key: [UInt8]) -> [UInt8] {
        HMACSHA256.authenticate(stringToSign, key: key)
    }
}
