import Catalog
import Foundation
import Testing

@Suite("Condition reference") struct ConditionReferenceTests {
    @Test func `every condition type and every reason has its row in the reference, and no other has`() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("docs/reference/conditions.md"), encoding: .utf8)
        let halves = text.components(separatedBy: "## Reasons")
        func names(_ part: String) -> Set<String> {
            Set(part.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { String($0.dropFirst(3).prefix { $0 != "`" }) })
        }
        #expect(names(halves[0]) == Set(ConditionType.allCases.map(\.rawValue)))
        #expect(names(halves[1]) == Set(Reason.allCases.map(\.rawValue)))
    }
}
