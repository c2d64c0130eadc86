/// What `x-amz-content-sha256` says about the body.
package enum PayloadMode: Sendable, Equatable {
    /// The body's SHA-256, in lower-case hex.
    case signed(String)
    case unsigned
    /// aws-chunked, each chunk signed; with or without a signed trailer.
    case streamingSigned(hasTrailer: Bool)
    /// aws-chunked without chunk signatures, with a trailer.
    case streamingUnsigned

    package static let emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    /// Nil for a value that S3 does not define.
    package init?(header: String) {
        switch header {
        case "UNSIGNED-PAYLOAD": self = .unsigned
        case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": self = .streamingSigned(hasTrailer: false)
        case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": self = .streamingSigned(hasTrailer: true)
        case "STREAMING-UNSIGNED-PAYLOAD-TRAILER": self = .streamingUnsigned
        default:
            guard header.utf8.count == 64,
                header.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
            else { return nil }
            self = .signed(header)
        }
    }

    /// The last line of the canonical request.
    package var canonicalText: String {
        switch self {
        case .signed(let hash): hash
        case .unsigned: "UNSIGNED-PAYLOAD"
        case .streamingSigned(false): "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
        case .streamingSigned(true): "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
        case .streamingUnsigned: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
        }
    }

    package var isChunked: Bool {
        switch self {
        case .streamingSigned, .streamingUnsigned: true
        case .signed, .unsigned: false
        }
    }
}
