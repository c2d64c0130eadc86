import CYAML

/// libyaml's events as nodes with places: the only file that touches the library (yaml_parser_parse).
///
/// Anchors and aliases work, with a bound on what they expand to; merge keys and tags of one's own are refused.
struct YAMLParser {
    static let depthMax = 32
    static let nodesMax = 50_000

    private let file: String
    private var nodes = 0
    private var anchors: [String: Node] = [:]
    private var pending: [Event] = []
    private var diagnostics: [Diagnostic] = []
    private var scalars: [Range<Int>] = []

    private enum Event {
        case scalar(String, isPlain: Bool, anchor: String?, SourceMark, Range<Int>)
        case alias(String, SourceMark)
        case listStart(anchor: String?, SourceMark)
        case mappingStart(anchor: String?, SourceMark)
        case end
        case documentStart
        case documentEnd
    }

    /// The documents of a file, what is wrong with it, and the extents of its scalars, keys among them, in order.
    /// Empty documents are left out.
    static func parse(
        _ text: String, file: String
    ) -> (documents: [Node], diagnostics: [Diagnostic], scalars: [Range<Int>]) {
        var parser = YAMLParser(file: file)
        parser.readEvents(text)
        guard parser.diagnostics.isEmpty else { return ([], parser.diagnostics, parser.scalars) }
        parser.pending.reverse()
        var documents: [Node] = []
        while let event = parser.pending.popLast() {
            if case .documentStart = event {
                parser.anchors = [:]
                if let node = parser.node(depth: 1), !parser.isNull(node) { documents.append(node) }
            }
        }
        return (documents, parser.diagnostics, parser.scalars)
    }

    private init(file: String) { self.file = file }

    private func isNull(_ node: Node) -> Bool {
        if case .scalar(let text, true) = node.content { return text.isEmpty || text == "~" || text == "null" }
        return false
    }

    // MARK: Events

    private mutating func readEvents(_ text: String) {
        var parser = yaml_parser_t()
        guard yaml_parser_initialize(&parser) == 1 else { return fail("out of memory", 0, 0) }
        defer { yaml_parser_delete(&parser) }
        var text = text
        text.withUTF8 { bytes in
            yaml_parser_set_input_string(&parser, bytes.baseAddress, bytes.count)
            var isDone = false
            while !isDone {
                var event = yaml_event_t()
                guard yaml_parser_parse(&parser, &event) == 1 else {
                    let problem = parser.problem.map { String(cString: $0) } ?? "malformed YAML"
                    return fail(problem, parser.problem_mark.line, parser.problem_mark.column)
                }
                isDone = take(event)
                yaml_event_delete(&event)
                if pending.count > 2 * YAMLParser.nodesMax {
                    return fail("the file has more than \(YAMLParser.nodesMax) nodes", 0, 0)
                }
            }
        }
    }

    private mutating func fail(_ problem: String, _ line: Int, _ column: Int) {
        let mark = SourceMark(file: file, line: line + 1, column: column + 1)
        let hint =
            problem.contains("tab") || problem.contains("cannot start any token")
            ? "YAML is indented with spaces, not tabs" : nil
        diagnostics.append(Diagnostic(.syntax, mark, "YAML: \(problem)", hint: hint))
    }

    /// True at the end of the stream.
    private mutating func take(_ event: yaml_event_t) -> Bool {
        let mark = SourceMark(file: file, line: event.start_mark.line + 1, column: event.start_mark.column + 1)
        func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
            pointer.map { String(cString: $0) }
        }
        switch event.type {
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            refuse(tag: text(scalar.tag), mark)
            let extent = event.start_mark.index..<event.end_mark.index
            scalars.append(extent)
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            pending.append(
                .scalar(
                    String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE,
                    anchor: text(scalar.anchor), mark, extent))
        case YAML_ALIAS_EVENT: pending.append(.alias(text(event.data.alias.anchor) ?? "", mark))
        case YAML_SEQUENCE_START_EVENT:
            refuse(tag: text(event.data.sequence_start.tag), mark)
            pending.append(.listStart(anchor: text(event.data.sequence_start.anchor), mark))
        case YAML_MAPPING_START_EVENT:
            refuse(tag: text(event.data.mapping_start.tag), mark)
            pending.append(.mappingStart(anchor: text(event.data.mapping_start.anchor), mark))
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: pending.append(.end)
        case YAML_DOCUMENT_START_EVENT: pending.append(.documentStart)
        case YAML_DOCUMENT_END_EVENT: pending.append(.documentEnd)
        case YAML_STREAM_END_EVENT: return true
        default: break
        }
        return false
    }

    private mutating func refuse(tag: String?, _ mark: SourceMark) {
        guard let tag, !tag.hasPrefix("tag:yaml.org,2002:") else { return }
        diagnostics.append(Diagnostic(.notSupported, mark, "the tag \(tag) is not supported", hint: "remove it"))
    }

    // MARK: Nodes

    private mutating func node(depth: Int) -> Node? {
        nodes += 1
        guard let event = pending.popLast() else { return nil }
        switch event {
        case .scalar(let text, let isPlain, let anchor, let mark, let extent):
            return remember(Node(content: .scalar(text, isPlain: isPlain), mark: mark, extent: extent), anchor)
        case .alias(let name, let mark):
            guard let target = anchors[name] else {
                diagnostics.append(Diagnostic(.syntax, mark, "there is no anchor &\(name) before this alias"))
                return Node(content: .scalar("", isPlain: true), mark: mark)
            }
            nodes += size(of: target)
            guard nodes <= YAMLParser.nodesMax else {
                diagnostics.append(
                    Diagnostic(.notSupported, mark, "aliases expand to more than \(YAMLParser.nodesMax) nodes"))
                return Node(content: .scalar("", isPlain: true), mark: mark)
            }
            return target
        case .listStart(let anchor, let mark):
            guard deepEnough(depth, mark) else { return nil }
            var items: [Node] = []
            while !atEnd, let item = node(depth: depth + 1) { items.append(item) }
            _ = pending.popLast()
            return remember(Node(content: .list(items), mark: mark), anchor)
        case .mappingStart(let anchor, let mark):
            guard deepEnough(depth, mark) else { return nil }
            let entries = mapping(depth)
            return remember(Node(content: .mapping(entries), mark: mark), anchor)
        case .end, .documentStart, .documentEnd: return nil
        }
    }

    private mutating func mapping(_ depth: Int) -> [Node.Entry] {
        var entries: [Node.Entry] = []
        var seen: [String: SourceMark] = [:]
        while !atEnd {
            guard let key = node(depth: depth + 1), let value = node(depth: depth + 1) else { break }
            guard case .scalar(let name, _) = key.content else {
                diagnostics.append(Diagnostic(.wrongType, key.mark, "a key must be a scalar, not \(key.typeName)"))
                continue
            }
            if name == "<<" {
                diagnostics.append(
                    Diagnostic(
                        .notSupported, key.mark, "merge keys (<<) are not supported", hint: "write the fields out",
                        width: 2))
                continue
            }
            if let first = seen[name] {
                diagnostics.append(
                    Diagnostic(
                        .duplicateKey, key.mark, "the key \"\(name)\" stands here twice",
                        hint: "it is first in line \(first.line)", width: name.count))
                continue
            }
            seen[name] = key.mark
            entries.append(Node.Entry(key: name, keyMark: key.mark, value: value))
        }
        _ = pending.popLast()
        return entries
    }

    private var atEnd: Bool {
        if case .end? = pending.last { return true }
        return pending.isEmpty
    }

    private mutating func deepEnough(_ depth: Int, _ mark: SourceMark) -> Bool {
        if depth <= YAMLParser.depthMax { return true }
        diagnostics.append(Diagnostic(.tooDeep, mark, "nested deeper than \(YAMLParser.depthMax) levels"))
        pending = []
        return false
    }

    private mutating func remember(_ node: Node, _ anchor: String?) -> Node {
        if let anchor { anchors[anchor] = node }
        return node
    }

    private func size(of node: Node) -> Int {
        switch node.content {
        case .scalar: 1
        case .list(let items): items.reduce(1) { $0 + size(of: $1) }
        case .mapping(let entries): entries.reduce(1) { $0 + size(of: $1.value) }
        }
    }
}
