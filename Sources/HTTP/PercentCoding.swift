/// Percent-encoding (RFC 3986 §2.1) in the flavours that S3 uses.
package enum PercentCoding {
    /// Encodes all but the unreserved characters; `/` is kept where it divides a path.
    package static func encode(_ text: String, keepingSlash: Bool = false) -> String {
        if text.utf8.allSatisfy({ isUnreserved($0) || keepingSlash && $0 == 0x2F }) { return text }
        var output: [UInt8] = []
        output.reserveCapacity(text.utf8.count * 2)
        for byte in text.utf8 {
            if isUnreserved(byte) || keepingSlash && byte == 0x2F {
                output.append(byte)
            } else {
                output += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// Decodes once. Nil with a malformed escape, or if the result is not UTF-8.
    package static func decode(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String? {
        let input = text.utf8
        if !input.contains(where: { $0 == 0x25 || plusIsSpace && $0 == 0x2B }) { return String(text) }
        var output: [UInt8] = []
        output.reserveCapacity(input.count)
        var index = input.startIndex
        while index < input.endIndex {
            let byte = input[index]
            index = input.index(after: index)
            if byte == 0x25 {
                guard index < input.endIndex, let high = value(input[index]) else { return nil }
                index = input.index(after: index)
                guard index < input.endIndex, let low = value(input[index]) else { return nil }
                index = input.index(after: index)
                output.append(high << 4 | low)
            } else {
                output.append(plusIsSpace && byte == 0x2B ? 0x20 : byte)
            }
        }
        return String(validating: output, as: UTF8.self)
    }

    /// RFC 3986 §2.3.
    package static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: true
        default: false
        }
    }

    private static let digits = Array("0123456789ABCDEF".utf8)

    private static func value(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}

/// A query as ordered pairs, decoded once. A name without `=` has an empty value.
package struct Query: Sendable, Equatable {
    package struct Pair: Sendable, Equatable {
        package let name: String
        package let value: String
    }
    package let pairs: [Pair]

    package static let empty = Query(pairs: [])

    private init(pairs: [Pair]) { self.pairs = pairs }

    /// Nil with a malformed escape. `+` is a plus, as S3 signs it.
    package init?(raw: Substring?) {
        var pairs: [Pair] = []
        for part in (raw ?? "").split(separator: "&") {
            let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentCoding.decode(halves[0]),
                let value = PercentCoding.decode(halves.count == 2 ? halves[1] : "")
            else { return nil }
            pairs.append(Pair(name: name, value: value))
        }
        self.pairs = pairs
    }

    package subscript(name: String) -> String? { pairs.first { $0.name == name }?.value }
    package func has(_ name: String) -> Bool { pairs.contains { $0.name == name } }
}
