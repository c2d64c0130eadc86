/// A spec file's text without the secrets that are written in it: what Postgres stores and people are shown.
///
/// Each cut leaves the line breaks in place, so that lines keep their numbers.
struct SpecRedactor {
    private let text: [Unicode.Scalar]
    private let cuts: [Range<Int>]

    /// - Parameters:
    ///   - secrets: the extents of literal secrets
    ///   - scalars: the extents of all scalars, in order; what is outside of them and begins with `#` is a comment
    init(_ text: String, secrets: Set<Range<Int>>, scalars: [Range<Int>]) {
        let text = Array(text.unicodeScalars)
        // libyaml does not count the byte order mark that it took the encoding from.
        let first = text.first == "\u{FEFF}" ? 1 : 0
        func shifted(_ extent: Range<Int>) -> Range<Int> {
            (extent.lowerBound + first..<extent.upperBound + first).clamped(to: text.indices)
        }
        self.text = text
        cuts = secrets.map(shifted) + SpecRedactor.formerSecrets(text, scalars.map(shifted))
    }

    /// For a spec that was accepted: each of its secrets is known.
    var exactly: String { SpecRedactor.without(cuts, text) }

    /// For a spec that was rejected, perhaps before its secrets were seen: also what looks like one.
    var cautiously: String {
        let known = Array(exactly.unicodeScalars)
        return SpecRedactor.without(SpecRedactor.likelySecrets(known), known)
    }

    // MARK: Cuts

    private static let mark = Array("<redacted>".unicodeScalars)

    private static func without(_ cuts: [Range<Int>], _ text: [Unicode.Scalar]) -> String {
        var kept = String.UnicodeScalarView()
        var position = 0
        for cut in cuts.sorted(by: { $0.lowerBound < $1.lowerBound }) where cut.upperBound > position {
            let start = max(position, cut.lowerBound)
            kept += text[position..<start]
            kept += mark
            kept += text[start..<cut.upperBound].filter(isBreak)
            position = cut.upperBound
        }
        kept += text[position...]
        return String(kept)
    }

    /// Comments behind `secretAccessKey:` on its line: a secret that was commented out is often still in use.
    private static func formerSecrets(_ text: [Unicode.Scalar], _ scalars: [Range<Int>]) -> [Range<Int>] {
        var cuts: [Range<Int>] = []
        var extents = scalars[...]
        var index = 0
        while index < text.count {
            while let extent = extents.first, extent.upperBound <= index { extents.removeFirst() }
            if let extent = extents.first, extent.contains(index) {
                index = extent.upperBound
            } else if text[index] == "#" {
                let line = line(around: index, text)
                if let key = endOfKey(text, line) {
                    cuts += value(text, max(key, index + 1)..<line.upperBound)
                }
                index = line.upperBound
            } else {
                index += 1
            }
        }
        return cuts
    }

    /// What stands behind `secretAccessKey:` on its line and is not a reference.
    private static func likelySecrets(_ text: [Unicode.Scalar]) -> [Range<Int>] {
        var cuts: [Range<Int>] = []
        var line = line(around: 0, text)
        while true {
            var rest = line
            while let key = endOfKey(text, rest) {
                rest = key..<line.upperBound
                guard let value = value(text, rest).first else { break }
                if text[value.lowerBound] != "{", !text[value].starts(with: mark) {
                    cuts.append(value)
                    break
                }
            }
            guard line.upperBound < text.count else { return cuts }
            line = self.line(around: line.upperBound + 1, text)
        }
    }

    // MARK: Lines

    /// As in YAML 1.1, which libyaml reads.
    private static func isBreak(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "\n", "\r", "\u{85}", "\u{2028}", "\u{2029}": true
        default: false
        }
    }

    private static func line(around index: Int, _ text: [Unicode.Scalar]) -> Range<Int> {
        let start = text[..<index].lastIndex(where: isBreak).map { $0 + 1 } ?? 0
        return start..<(text[index...].firstIndex(where: isBreak) ?? text.count)
    }

    /// Where the value begins, if the key stands in the line, quoted or not.
    private static func endOfKey(_ text: [Unicode.Scalar], _ line: Range<Int>) -> Int? {
        var view = String.UnicodeScalarView()
        view += text[line]
        let line = (text: String(view), start: line.lowerBound)
        guard let match = line.text.firstMatch(of: /secretAccessKey["']?[ \t]*:/.matchingSemantics(.unicodeScalar))
        else { return nil }
        return line.start + line.text.unicodeScalars.distance(from: line.text.startIndex, to: match.range.upperBound)
    }

    /// Without the blanks before it; none if there is nothing else.
    private static func value(_ text: [Unicode.Scalar], _ range: Range<Int>) -> [Range<Int>] {
        text[range].firstIndex { $0 != " " && $0 != "\t" }.map { [$0..<range.upperBound] } ?? []
    }
}
