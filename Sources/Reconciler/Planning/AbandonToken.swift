package import Catalog

/// What an operator repeats in `removal.abandon` to give up a backend with the only copies that it has: `lose-41-9f3a`.
///
/// It names how many versions are lost, so that consent to a loss is not consent to a greater one; the digits behind it are made
/// from the backend's identity, so that it is not guessed and not another backend's.
package struct AbandonToken: Sendable, Equatable, CustomStringConvertible {
    package let soleCopies: Int64
    private let check: String

    package init(soleCopies: Int64, of uid: ID128) {
        self.soleCopies = soleCopies
        // FNV-1a (Fowler, Noll, Vo), folded to 16 bits.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in "\(uid) \(soleCopies)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        let folded = UInt16(truncatingIfNeeded: hash ^ hash >> 16 ^ hash >> 32 ^ hash >> 48)
        let digits = String(folded, radix: 16)
        check = String(repeating: "0", count: 4 - digits.count) + digits
    }

    /// nil unless the text is a token of this backend.
    package init?(_ text: String, of uid: ID128) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "lose", let number = Int64(parts[1]), number >= 0 else { return nil }
        self.init(soleCopies: number, of: uid)
        guard text == description else { return nil }
    }

    package var description: String { "lose-\(soleCopies)-\(check)" }
}
