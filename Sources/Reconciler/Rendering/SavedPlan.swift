import Telemetry

/// A plan in a file, to be carried out later as it was reviewed: `sluice reconcile --dry-run -o plan.json`, `sluice apply plan.json`.
///
/// The file is the plan's JSON with the digest of the spec that it was made from. Numbers of copies drift while clients write and
/// are not compared; what is to happen to backends and buckets is.
package struct SavedPlan: Sendable {
    package static let formatVersion = "1.0"
    package let specDigest: String
    package let baseRevision: Int64
    private let document: JSONValue

    package init(_ plan: Plan, specDigest: String) {
        self.specDigest = specDigest
        baseRevision = plan.revision
        guard case .object(let members) = PlanJSONRenderer.render(plan) else {
            preconditionFailure("a plan is rendered as an object")
        }
        document = .object(members + [("specDigest", .string(specDigest))])
    }

    /// nil unless the text is a plan that this release can carry out.
    package init?(text: String) {
        let value: JSONValue
        do throws(JSONError) { value = try JSONReader.parse(Array(text.utf8)) } catch { return nil }
        guard case .object(let members) = value else { return nil }
        let fields = Dictionary(members) { first, _ in first }
        guard case .string(SavedPlan.formatVersion) = fields["formatVersion"],
            case .string(let digest) = fields["specDigest"],
            case .int(let revision) = fields["baseRevision"]
        else { return nil }
        (specDigest, baseRevision, document) = (digest, revision, value)
    }

    package var text: String { document.indented + "\n" }

    /// Why this plan is not what would be done now; nil if it is.
    package func staleness(_ now: SavedPlan, acceptedDigest: String) -> String? {
        if specDigest != now.specDigest { return "the spec files have changed since it was made" }
        if baseRevision != now.baseRevision, acceptedDigest != specDigest {
            return "it was made on revision \(baseRevision), and revision \(now.baseRevision) is in force now"
        }
        // Once its own spec is accepted, its changes are done, and what is left of it goes on.
        if acceptedDigest == specDigest, baseRevision != now.baseRevision {
            let agreed = Set(outline("abandons", ["backend"]))
            return now.outline("abandons", ["backend"]).allSatisfy { agreed.contains($0) }
                ? nil : "it gives up no backend that would be given up now: see 'sluice reconcile --dry-run'"
        }
        for (name, fields) in SavedPlan.compared where outline(name, fields) != now.outline(name, fields) {
            return "its \(name) are not those of now: see 'sluice reconcile --dry-run'"
        }
        return nil
    }

    private static let compared = [
        ("changes", ["action", "kind", "name"]), ("phases", ["backend", "from", "to"]), ("abandons", ["backend"]),
        ("blockers", ["subject", "reason"]),
    ]

    private func outline(_ name: String, _ fields: [String]) -> [String] {
        guard case .object(let members) = document, case .array(let items)? = members.first(where: { $0.0 == name })?.1
        else { return [] }
        return items.map { item in
            guard case .object(let values) = item else { return item.description }
            return fields.map { field in values.first { $0.0 == field }?.1.description ?? "" }.joined(separator: " ")
        }
    }
}
