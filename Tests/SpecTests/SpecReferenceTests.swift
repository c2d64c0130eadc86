import Foundation
import Spec
import Testing

@Suite("Spec reference") struct SpecReferenceTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// A document of the kind that has this field, and nothing else that is not required.
    private func document(_ field: SpecField) -> String {
        let sample =
            switch field.form {
            case .text: field.path == "endpoint" ? "file:///srv/a" : "a"
            case .bool: "false"
            case .size, .limit: "10GB"
            case .rate: "10MB/s"
            case .timeOfDay: "\"22:00\""
            case .percent: "10%"
            case .duration: "10m"
            case .secret: "{ fromEnv: A }"
            case .texts: "[GET]"
            case .integer(let range): "\(range.lowerBound)"
            case .count: "5"
            case .choice(let names): names[0]
            }
        var text = "apiVersion: sluice/v1\nkind: \(field.kind)\nmetadata: { name: some-name }\nspec:\n"
        var indent = "  "
        for part in field.path.split(separator: ".").map(String.init).dropLast() {
            let isList = part.hasSuffix("[]")
            text += "\(indent)\(isList ? String(part.dropLast(2)) : part):\n"
            indent += isList ? "  - " : "  "
        }
        return text + indent + (field.path.split(separator: ".").last.map(String.init) ?? "") + ": " + sample + "\n"
    }

    @Test func `the loader knows every field of the reference`() throws {
        for field in SpecReference.fields {
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
                "sluice-reference-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let text = document(field)
            try Data(text.utf8).write(to: folder.appendingPathComponent("a.yaml"))
            let findings: [Diagnostic]
            switch SpecLoader(path: folder.path, hash: { _ in "" }).load() {
            case .accepted(let spec): findings = spec.warnings
            case .rejected(let found, _): findings = found
            }
            let unknown = findings.filter { [.unknownField, .wrongType, .syntax].contains($0.code) }
            #expect(unknown.isEmpty, "\(text)\(unknown.map(\.message))")
        }
    }

    @Test func `the example has every field of the reference, and the document has its tables`() throws {
        let example = try String(
            contentsOf: Self.root.appendingPathComponent("specs/examples/fleet.yaml"), encoding: .utf8)
        for field in SpecReference.fields {
            let name = field.path.split(separator: ".").last.map(String.init) ?? ""
            // What excludes another field, or is refused, stands in a comment there.
            #expect(example.contains("\(name):"), "\(field.kind).\(field.path)")
        }
        let document = try String(
            contentsOf: Self.root.appendingPathComponent("docs/reference/spec.md"), encoding: .utf8)
        for kind in SpecReference.kinds {
            #expect(
                document.contains(SpecReference.table(kind)),
                "docs/reference/spec.md must have:\n\(SpecReference.table(kind))")
        }
    }

    @Test func `a word finds its fields`() {
        #expect(SpecReference.fields(named: "Backend.quota").map(\.path) == ["quota"])
        #expect(SpecReference.fields(named: "factor").map(\.kind) == ["Fleet", "Bucket"])
        #expect(SpecReference.fields(named: "bucket.cors.maxAge").map(\.path) == ["cors[].maxAge"])
        #expect(SpecReference.fields(named: "nothing").isEmpty)
    }
}
