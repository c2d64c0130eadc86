import Catalog
import Foundation
import Testing

@Suite("Condition reference") struct ConditionReferenceTests {
    @Test func `the document has the row of every condition type and reason as the code has it, and no other`() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("docs/conditions.md"), encoding: .utf8)
        let halves = text.components(separatedBy: "## Reasons")
        func rows(_ part: String) -> Set<String> {
            Set(part.split(separator: "\n").map(String.init).filter { $0.hasPrefix("| `") })
        }
        func row(_ name: String, _ reference: ConditionReference) -> String {
            "| `\(name)` | \(reference.meaning) | \(reference.remedy) |"
        }
        #expect(rows(halves[0]) == Set(ConditionType.allCases.map { row($0.rawValue, $0.reference) }))
        #expect(rows(halves[1]) == Set(Reason.allCases.map { row($0.rawValue, $0.reference) }))
    }
}
