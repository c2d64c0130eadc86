import HTTP

/// What a Range header asks for, resolved against a size (RFC 9110 §14).
package enum RangeRequest: Sendable, Equatable {
    /// No range, or one that is to be ignored: malformed, another unit, several.
    case whole
    case part(ByteRange)
    /// 416 InvalidRange.
    case unsatisfiable

    package init(header: String?, size: Int64) {
        self = .whole
        guard let header, Fields.same(String(header.prefix(6)), "bytes=") else { return }
        let halves = header.dropFirst(6).trimmingSpaces().split(
            separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2 else { return }
        let first = RangeRequest.number(halves[0])
        let last = RangeRequest.number(halves[1])
        switch (halves[0].isEmpty, first, halves[1].isEmpty, last) {
        case (true, _, false, .some(let suffix)):
            self = suffix == 0 || size == 0 ? .unsatisfiable : .part(ByteRange(max(0, size - suffix), size))
        case (false, .some(let start), true, _):
            self = start >= size ? .unsatisfiable : .part(ByteRange(start, size))
        case (false, .some(let start), false, .some(let end)) where start <= end:
            self = start >= size ? .unsatisfiable : .part(ByteRange(start, min(end, size - 1) + 1))
        default: return
        }
    }

    /// Digits only; beyond 18 of them it is as good as endless.
    private static func number(_ text: Substring) -> Int64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
        return text.utf8.count > 18 ? Int64(999_999_999_999_999_999) : Int64(text)
    }
}
