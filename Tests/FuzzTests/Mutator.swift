import TestSupport

/// Changes inputs the way that finds mistakes in parsers: bits, runs, words of the formats, pieces of other inputs.
struct Mutator {
    private static let words = [
        "\r\n", "\n", "\0", "%00", "%2F", "..", "<", ">", "</", "/>", "&#x0;", "&#xFFFFFFFF;", "]]>", "<!--",
        "<!DOCTYPE", "\"", "'", "=",
        ";", ",", ":", "-1", "0", "9223372036854775808", "18446744073709551616", "é", "\u{FEFF}", "\u{202E}", "{", "}",
        "[", "]", "\\u",
        "\\", "e999", "&", "?", "*", "--", "AWS4-HMAC-SHA256",
    ].map { Array($0.utf8) }
    private static let bytesMax = 1 << 16

    private var random: SimulatedRandom
    private let corpus: [[UInt8]]

    init(_ corpus: [[UInt8]], seed: UInt64) {
        self.corpus = corpus
        random = SimulatedRandom(seed: seed)
    }

    mutating func next() -> [UInt8] {
        var input = random.pick(corpus) ?? []
        for _ in 0...random.below(6) { change(&input) }
        return Array(input.prefix(Mutator.bytesMax))
    }

    private mutating func change(_ input: inout [UInt8]) {
        let place = random.below(input.count + 1)
        switch random.below(8) {
        case 0 where place < input.count: input[place] ^= 1 << UInt8(random.below(8))
        case 1 where place < input.count: input[place] = UInt8(random.below(256))
        case 2: input.insert(contentsOf: random.pick(Mutator.words) ?? [], at: place)
        case 3: input.removeSubrange(place..<min(input.count, place + random.below(16)))
        case 4:
            let other = random.pick(corpus) ?? []
            let start = random.below(other.count + 1)
            input.insert(contentsOf: other[start..<min(other.count, start + random.below(64))], at: place)
        case 5: input.insert(contentsOf: input[place..<min(input.count, place + random.below(32))], at: place)
        case 6: input.removeLast(input.count - place)
        default:
            input.insert(
                contentsOf: [UInt8](repeating: UInt8(random.below(256)), count: 1 << random.below(12)), at: place)
        }
    }
}
