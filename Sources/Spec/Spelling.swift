/// Suggestions for misspelt words.
package enum Spelling {
    /// The candidate within a third of the word's length in edits, at most three.
    package static func nearest(_ word: String, _ candidates: [String]) -> String? {
        let limit = min(3, max(1, word.count / 3))
        return candidates.map { ($0, distance(Array(word.lowercased().utf8), Array($0.lowercased().utf8))) }
            .filter { $0.1 <= limit }.min { ($0.1, $0.0) < ($1.1, $1.0) }?.0
    }

    /// Levenshtein's edit distance.
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let above = row[j + 1]
                row[j + 1] = min(above + 1, row[j] + 1, diagonal + (x == y ? 0 : 1))
                diagonal = above
            }
        }
        return row[b.count]
    }
}
