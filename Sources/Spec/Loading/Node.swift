/// A YAML node with its place.
struct Node: Sendable {
    enum Content: Sendable {
        /// `isPlain`: without quotes, so that it may be a number, a boolean or null.
        case scalar(String, isPlain: Bool)
        case list([Node])
        case mapping([Entry])
    }
    struct Entry: Sendable {
        var key: String
        var keyMark: SourceMark
        var value: Node
    }
    var content: Content
    var mark: SourceMark
    /// What a scalar takes of its file, with its anchor: Unicode scalars, counted from behind a byte order mark.
    /// Nil for lists and mappings. Through an alias it is the extent of what the alias stands for.
    var extent: Range<Int>?

    var typeName: String {
        switch content {
        case .scalar: "a scalar"
        case .list: "a list"
        case .mapping: "a mapping"
        }
    }

    /// How many characters to underline.
    var width: Int {
        if case .scalar(let text, _) = content { return max(1, text.count) }
        return 1
    }
}
