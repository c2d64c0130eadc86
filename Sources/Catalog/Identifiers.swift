/// 128 random bits, or 48 bits of time and 74 random ones (UUIDv7, RFC 9562 §5.7) where order helps.
package struct ID128: Hashable, Comparable, Sendable {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package static func < (a: ID128, b: ID128) -> Bool { (a.high, a.low) < (b.high, b.low) }

    /// Of UUIDv7: when it was made, in milliseconds since 1970.
    package var milliseconds: Int64 { Int64(high >> 16) }

    /// Lower-case base32 in the order of values (Crockford's alphabet): always 26 characters.
    package var base32: String {
        var text: [UInt8] = []
        text.reserveCapacity(26)
        for index in 0..<26 {
            let shift = 125 - 5 * index
            var digit: UInt64 = 0
            for bit in 0..<5 where shift + bit < 128 {
                let position = shift + bit
                let word = position >= 64 ? high >> UInt64(position - 64) : low >> UInt64(position)
                digit |= (word & 1) << UInt64(bit)
            }
            text.append(ID128.alphabet[Int(digit)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil unless `base32` is what `base32` of some value prints.
    package init?(base32 text: some StringProtocol) {
        var high: UInt64 = 0
        var low: UInt64 = 0
        guard text.utf8.count == 26 else { return nil }
        for (index, byte) in text.utf8.enumerated() {
            guard let digit = ID128.alphabet.firstIndex(of: byte), index > 0 || digit < 8 else { return nil }
            high = high << 5 | low >> 59
            low = low << 5 | UInt64(digit)
        }
        self.init(high: high, low: low)
    }

    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
}

extension ID128: CustomStringConvertible {
    /// As UUID text, 8-4-4-4-12.
    package var description: String {
        func hex(_ word: UInt64) -> String {
            let text = String(word, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        let digits = Array(hex(high) + hex(low))
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }.joined(separator: "-")
    }
}

package struct VersionID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let raw: ID128
    package init(_ raw: ID128) { self.raw = raw }
    package static func < (a: VersionID, b: VersionID) -> Bool { a.raw < b.raw }
    package var description: String { raw.base32 }
}

package struct CopyID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let raw: ID128
    package init(_ raw: ID128) { self.raw = raw }
    package static func < (a: CopyID, b: CopyID) -> Bool { a.raw < b.raw }
    package var description: String { raw.base32 }
}

/// Proves that who commits is who began; random, never guessed.
package struct LeaseToken: Hashable, Sendable {
    package let raw: ID128
    package init(_ raw: ID128) { self.raw = raw }
}

/// The upload id that clients see is its base32 form.
package struct UploadID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let raw: ID128
    package init(_ raw: ID128) { self.raw = raw }
    package static func < (a: UploadID, b: UploadID) -> Bool { a.raw < b.raw }
    package var description: String { raw.base32 }
}

/// Small, so that it fits an advisory lock; never used again, since retired backends stay as tombstones.
package struct BackendID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let raw: Int32
    package init(_ raw: Int32) { self.raw = raw }
    package static func < (a: BackendID, b: BackendID) -> Bool { a.raw < b.raw }
    package var description: String { "backend #\(raw)" }
}

package struct BucketID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let raw: Int32
    package init(_ raw: Int32) { self.raw = raw }
    package static func < (a: BucketID, b: BucketID) -> Bool { a.raw < b.raw }
    package var description: String { "bucket #\(raw)" }
}

/// Where ids and random choices come from. The core draws none of its own: tests and the simulator inject a seed.
package protocol IdentifierSource: Sendable {
    /// Time-ordered (UUIDv7).
    func makeVersionID() -> VersionID
    /// Time-ordered (UUIDv7).
    func makeCopyID() -> CopyID
    func makeLeaseToken() -> LeaseToken
    func makeUploadID() -> UploadID
    /// 30 random bits, for the last part of a physical name.
    func makeNameSuffix() -> UInt32
}
