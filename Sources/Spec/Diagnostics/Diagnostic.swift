/// A place in a spec file; lines and columns count from 1.
package struct SourceMark: Sendable, Equatable {
    package var file: String
    package var line: Int
    package var column: Int
    package init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }
}

/// What is wrong with a spec, in a closed list. The wording is in `DiagnosticRenderer`.
package enum DiagnosticCode: String, Sendable, CaseIterable {
    case fileUnreadable = "E0001"
    case folderEmpty = "E0002"
    case fileTooLarge = "E0003"
    case filesChanging = "E0004"
    case specAbsent = "E0005"
    case syntax = "E0101"
    case duplicateKey = "E0102"
    case notSupported = "E0103"
    case unknownKind = "E0104"
    case wrongVersion = "E0105"
    case missingField = "E0106"
    case unknownField = "E0107"
    case wrongType = "E0108"
    case badValue = "E0109"
    case tooDeep = "E0110"
    case duplicateName = "E0201"
    case fleetCount = "E0202"
    case noBackends = "E0203"
    case danglingReference = "E0204"
    case overlappingLocations = "E0205"
    case conflictingSecret = "E0206"
    case misplacedField = "E0207"
    case secretUnresolved = "E0301"
    case literalSecret = "W0301"
    case factorTooHigh = "W0302"
    case noCredentials = "W0303"
    case tooMany = "E0999"
}

/// One finding: all of a spec's are reported at once.
package struct Diagnostic: Sendable, Equatable {
    package enum Severity: String, Sendable { case error, warning }
    package var code: DiagnosticCode
    /// Nil for findings about the whole spec.
    package var mark: SourceMark?
    /// What is wrong, with the names in it.
    package var message: String
    /// What to do.
    package var hint: String?
    /// How many characters to underline.
    package var width: Int

    package init(_ code: DiagnosticCode, _ mark: SourceMark?, _ message: String, hint: String? = nil, width: Int = 1) {
        self.code = code
        self.mark = mark
        self.message = message
        self.hint = hint
        self.width = width
    }

    package var severity: Severity { code.rawValue.hasPrefix("W") ? .warning : .error }
}

/// Findings as text: `file:line:column: error: …`, the line, and a hint below it.
package enum DiagnosticRenderer {
    /// - Parameter sources: contents by file, as in `SourceMark.file`, as the loader gives them: a literal secret must
    ///   not come back in a message
    package static func text(_ diagnostics: [Diagnostic], sources: [String: String]) -> String {
        diagnostics.map { one(of: $0, sources) }.joined(separator: "\n")
    }

    private static func one(of diagnostic: Diagnostic, _ sources: [String: String]) -> String {
        let label = "\(diagnostic.severity.rawValue): \(diagnostic.message) [\(diagnostic.code.rawValue)]"
        let hint = diagnostic.hint ?? ""
        guard let mark = diagnostic.mark else { return hint.isEmpty ? label : "\(label)\n   hint: \(hint)" }
        var lines = ["\(mark.file):\(mark.line):\(mark.column): \(label)"]
        if let line = lineText(mark, sources) {
            let number = String(mark.line)
            let gutter = String(repeating: " ", count: 4 + number.count)
            lines.append("   \(number) | \(line)")
            let indent = String(repeating: " ", count: max(0, mark.column - 1))
            let carets = String(repeating: "^", count: max(1, min(diagnostic.width, 40)))
            lines.append("\(gutter)| \(indent)\(carets)\(hint.isEmpty ? "" : " \(hint)")")
        } else if !hint.isEmpty {
            lines.append("   hint: \(hint)")
        }
        return lines.joined(separator: "\n")
    }

    private static func lineText(_ mark: SourceMark, _ sources: [String: String]) -> String? {
        guard let source = sources[mark.file] else { return nil }
        let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
        guard mark.line >= 1, mark.line <= lines.count else { return nil }
        return String(lines[mark.line - 1].prefix(160))
    }
}
