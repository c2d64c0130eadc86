/// HMAC-SHA-1 (RFC 2104), which only the policies of old upload forms use.
package enum HMACSHA1 {
    private static let blockBytes = 64

    package static func authenticate(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        var block = key.count > blockBytes ? Digest.hash(.sha1, key) : key
        block += Array(repeating: 0, count: blockBytes - block.count)
        let inner = Digest.hash(.sha1, block.map { $0 ^ 0x36 } + message)
        return Digest.hash(.sha1, block.map { $0 ^ 0x5C } + inner)
    }
}
