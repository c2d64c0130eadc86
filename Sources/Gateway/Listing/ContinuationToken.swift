package import Catalog
import Crypto

/// Where a listing goes on, as text that only we can make: bound to the bucket, prefix and delimiter it was given for.
///
/// Form: hex of (16 bytes of HMAC-SHA256, one letter, the position's UTF-8 bytes).
package struct ContinuationToken: Sendable {
    private static let authenticatorBytes = 16
    private let key: [UInt8]
    private let binding: String

    package init(key: [UInt8], bucket: String, prefix: String, delimiter: String?) {
        self.key = key
        // Lengths keep (`a`, `bc`) apart from (`ab`, `c`).
        binding =
            "list:\(bucket.utf8.count):\(prefix.utf8.count):\(bucket):\(prefix):\(delimiter.map { "d" + $0 } ?? "")"
    }

    package func seal(_ position: ListingPosition) -> String {
        let payload: [UInt8] =
            switch position {
            case .after(let key): [0x6B] + Array(key.utf8)
            case .past(let prefix): [0x70] + Array(prefix.utf8)
            }
        return Hex.encode(authenticator(payload) + payload)
    }

    /// Nil for a token that was made up, or made for another listing.
    package func open(_ token: String) -> ListingPosition? {
        guard token.utf8.count <= 2 * (ContinuationToken.authenticatorBytes + 1 + GatewayLimits.keyBytesMax),
            let bytes = Hex.decode(token), bytes.count > ContinuationToken.authenticatorBytes
        else { return nil }
        let payload = Array(bytes.dropFirst(ContinuationToken.authenticatorBytes))
        guard constantTimeEquals(authenticator(payload), Array(bytes.prefix(ContinuationToken.authenticatorBytes))),
            let text = String(validating: payload.dropFirst(), as: UTF8.self)
        else { return nil }
        switch payload.first {
        case 0x6B: return .after(text)
        case 0x70: return .past(prefix: text)
        default: return nil
        }
    }

    private func authenticator(_ payload: [UInt8]) -> [UInt8] {
        let message = Array(binding.utf8) + [0] + payload
        return Array(HMACSHA256.authenticate(message, key: key).prefix(ContinuationToken.authenticatorBytes))
    }
}
