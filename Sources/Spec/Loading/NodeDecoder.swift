/// Collects what is wrong while a document is decoded; nothing is thrown, so that all mistakes are reported at once.
final class DiagnosticCollector {
    static let findingsMax = 50
    private(set) var diagnostics: [Diagnostic] = []
    /// Where literal secrets stand, by file; all of them, however many findings there are.
    private(set) var secrets: [String: Set<Range<Int>>] = [:]

    func remember(secret node: Node) {
        guard let extent = node.extent else { return }
        secrets[node.mark.file, default: []].insert(extent)
    }

    func report(_ diagnostic: Diagnostic) {
        if diagnostics.count < DiagnosticCollector.findingsMax { diagnostics.append(diagnostic) }
        if diagnostics.count == DiagnosticCollector.findingsMax, diagnostics.last?.code != .tooMany {
            diagnostics[diagnostics.count - 1] = Diagnostic(
                .tooMany, diagnostic.mark, "too many findings; the rest is not shown")
        }
    }
}

/// Decodes one mapping strictly: each field is asked for by name, and what nobody asked for is an error.
final class MappingDecoder {
    let mark: SourceMark
    /// For messages: `Backend.spec`.
    private(set) var path: String
    let collector: DiagnosticCollector
    private let entries: [Node.Entry]
    private var known: [String] = []
    private var misplaced: [String] = []

    init?(_ node: Node, path: String, _ collector: DiagnosticCollector) {
        guard case .mapping(let entries) = node.content else {
            collector.report(
                Diagnostic(.wrongType, node.mark, "\(path) must be a mapping, not \(node.typeName)", width: node.width))
            return nil
        }
        self.entries = entries
        self.path = path
        self.collector = collector
        mark = node.mark
    }

    /// Gives a nested mapping the name that people know it by.
    func renamed(_ path: String) -> MappingDecoder {
        self.path = path
        return self
    }

    /// The value of a field, or nil if it is absent or null.
    func node(_ name: String) -> Node? {
        known.append(name)
        guard let value = entries.first(where: { $0.key == name })?.value else { return nil }
        if case .scalar(let text, true) = value.content, text.isEmpty || text == "~" || text == "null" { return nil }
        return value
    }

    func keyMark(_ name: String) -> SourceMark { entries.first { $0.key == name }?.keyMark ?? mark }

    func has(_ name: String) -> Bool { entries.contains { $0.key == name } }

    /// Not there, or null.
    func isAbsent(_ name: String) -> Bool { node(name) == nil }

    func mapping(_ name: String) -> MappingDecoder? {
        node(name).flatMap { MappingDecoder($0, path: "\(path).\(name)", collector) }
    }

    func list(_ name: String) -> [Node] {
        guard let node = node(name) else { return [] }
        guard case .list(let items) = node.content else {
            wrongType(node, name, "a list")
            return []
        }
        return items
    }

    func string(_ name: String) -> String? {
        guard let node = node(name) else { return nil }
        guard case .scalar(let text, _) = node.content else {
            wrongType(node, name, "a string")
            return nil
        }
        return text
    }

    func strings(_ name: String) -> [String] {
        list(name).compactMap { node in
            if case .scalar(let text, _) = node.content { return text }
            wrongType(node, name, "a list of strings")
            return nil
        }
    }

    func required(_ name: String) -> String? {
        if let value = string(name) { return value }
        // Of another type: that was said.
        if isAbsent(name) { missing(name) }
        return nil
    }

    func missing(_ name: String, hint: String? = nil) {
        collector.report(Diagnostic(.missingField, mark, "\(path) lacks the field \"\(name)\"", hint: hint))
    }

    /// Reports a field that people may look for here; it is not offered as a cure for another mistake.
    func refuse(_ name: String, _ message: String, hint: String) {
        guard has(name) else { return }
        misplaced.append(name)
        collector.report(Diagnostic(.misplacedField, keyMark(name), message, hint: hint, width: name.count))
    }

    /// YAML 1.2's core booleans only: `yes` and `on` are strings.
    func bool(_ name: String) -> Bool? {
        guard let node = node(name) else { return nil }
        guard case .scalar(let text, true) = node.content,
            ["true", "false", "True", "False", "TRUE", "FALSE"].contains(text)
        else {
            wrongType(node, name, "true or false")
            return nil
        }
        return text.lowercased() == "true"
    }

    func integer(_ name: String, _ range: ClosedRange<Int64>) -> Int64? {
        guard let node = node(name) else { return nil }
        guard case .scalar(let text, true) = node.content, let value = Int64(text), !text.hasPrefix("+") else {
            wrongType(node, name, "a whole number")
            return nil
        }
        guard range.contains(value) else {
            let bound =
                range.upperBound == .max
                ? "at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
            bad(node, "\(path).\(name) must be \(bound), not \(value)")
            return nil
        }
        return value
    }

    func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, _: Choice.Type) -> Choice?
    where Choice.RawValue == String {
        guard let node = node(name) else { return nil }
        let allowed = Choice.allCases.map(\.rawValue)
        guard case .scalar(let text, _) = node.content, let value = Choice(rawValue: text) else {
            let given: String
            if case .scalar(let text, _) = node.content { given = "\"\(text)\"" } else { given = node.typeName }
            let hint = Spelling.nearest(given.filter { $0 != "\"" }, allowed).map { "did you mean \"\($0)\"?" }
            bad(node, "\(path).\(name) must be one of \(allowed.joined(separator: ", ")), not \(given)", hint: hint)
            return nil
        }
        return value
    }

    func duration(_ name: String) -> Duration? {
        guard let node = node(name) else { return nil }
        guard case .scalar(let text, _) = node.content, let value = Duration(spec: text) else {
            bad(node, "\(path).\(name) is not a duration", hint: "such as 30s, 10m, 2h or 7d")
            return nil
        }
        return value
    }

    /// `unlimited` is nil, like an absent field.
    func bytes(_ name: String) -> ByteCount? {
        guard let node = node(name) else { return nil }
        if case .scalar("unlimited", _) = node.content { return nil }
        guard case .scalar(let text, _) = node.content, let value = ByteCount(spec: text) else {
            bad(node, "\(path).\(name) is not a size", hint: "such as 10GB or 512MiB, or unlimited")
            return nil
        }
        return value
    }

    /// Bytes in a second: `50MB/s`; `unlimited` is nil, like an absent field.
    func rate(_ name: String) -> ByteCount? {
        guard let node = node(name) else { return nil }
        if case .scalar("unlimited", _) = node.content { return nil }
        guard case .scalar(let text, _) = node.content, text.hasSuffix("/s"),
            let value = ByteCount(spec: String(text.dropLast(2))), value.value > 0
        else {
            bad(node, "\(path).\(name) is not a rate", hint: "such as 50MB/s or 8MiB/s, or unlimited")
            return nil
        }
        return value
    }

    /// Minutes since midnight.
    func timeOfDay(_ name: String) -> Int? {
        guard let node = node(name) else { return nil }
        guard case .scalar(let text, _) = node.content, let value = DailyWindow.minutes(text) else {
            bad(node, "\(path).\(name) is not a time of day", hint: "such as \"22:00\", in UTC")
            return nil
        }
        return value
    }

    /// Above 0 and at most 100.
    func percent(_ name: String) -> Int? {
        guard let node = node(name) else { return nil }
        guard case .scalar(let text, _) = node.content, text.hasSuffix("%"), let value = Int(text.dropLast()),
            (1...100).contains(value)
        else {
            bad(node, "\(path).\(name) is not a share", hint: "from 1% to 100%, such as 10%")
            return nil
        }
        return value
    }

    func secret(_ name: String) -> SecretReference? {
        guard let node = node(name) else { return nil }
        if case .scalar(let text, _) = node.content {
            collector.remember(secret: node)
            collector.report(
                Diagnostic(
                    .literalSecret, node.mark, "\(path).\(name) is written in the spec itself",
                    hint: "use { fromFile: PATH } or { fromEnv: NAME }"))
            return .literal(Secret(text))
        }
        guard let source = mapping(name) else { return nil }
        defer { source.finish() }
        switch (source.string("fromEnv"), source.string("fromFile")) {
        case (.some(let variable), nil): return .environment(name: variable)
        case (nil, .some(let path)): return .file(path: path)
        case (nil, nil), (.some, .some):
            bad(node, "\(path).\(name) must have exactly one of fromEnv and fromFile")
            return nil
        }
    }

    func bad(_ node: Node, _ message: String, hint: String? = nil) {
        collector.report(Diagnostic(.badValue, node.mark, message, hint: hint, width: node.width))
    }

    func wrongType(_ node: Node, _ name: String, _ wanted: String) {
        let found: String
        if case .scalar(let text, _) = node.content { found = "\"\(text)\"" } else { found = node.typeName }
        collector.report(
            Diagnostic(.wrongType, node.mark, "\(path).\(name) must be \(wanted), not \(found)", width: node.width))
    }

    /// Reports every field that was not asked for. To be called last.
    func finish() {
        for entry in entries where !known.contains(entry.key) && !misplaced.contains(entry.key) {
            let hint = Spelling.nearest(entry.key, known).map { "did you mean \"\($0)\"?" }
            collector.report(
                Diagnostic(
                    .unknownField, entry.keyMark, "unknown field \"\(entry.key)\" in \(path)",
                    hint: hint ?? "known: \(known.sorted().joined(separator: ", "))", width: entry.key.count))
        }
    }
}
