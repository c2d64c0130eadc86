import Spec
package import Telemetry

/// JSON Schema (draft 2020-12) of one spec document, for editors. Made from the same table as the reference.
package enum SpecSchema {
    package static var document: JSONValue {
        .object([
            ("$schema", "https://json-schema.org/draft/2020-12/schema"), ("title", "Sluice spec, sluice/v1"),
            ("oneOf", .array(SpecReference.kinds.map(kind))),
        ])
    }

    private static func kind(_ name: String) -> JSONValue {
        var tree = Branch()
        for field in SpecReference.fields where field.kind == name {
            tree.insert(field, field.path.split(separator: ".")[...])
        }
        let metadata: JSONValue = object(
            [
                ("name", .object([("type", "string")])),
                ("labels", .object([("type", "object"), ("additionalProperties", .object([("type", "string")]))])),
            ], required: ["name"])
        return object(
            [
                ("apiVersion", .object([("const", "sluice/v1")])), ("kind", .object([("const", .string(name))])),
                ("metadata", metadata),
                ("spec", tree.schema),
            ], required: ["apiVersion", "kind", "metadata", "spec"])
    }

    private static func object(_ members: [(String, JSONValue)], required: [String]) -> JSONValue {
        var schema: [(String, JSONValue)] = [
            ("type", "object"), ("properties", .object(members)), ("additionalProperties", .bool(false)),
        ]
        if !required.isEmpty { schema.append(("required", .array(required.map { .string($0) }))) }
        return .object(schema)
    }

    /// Fields by their paths.
    private struct Branch {
        private var order: [String] = []
        private var leaves: [String: SpecField] = [:]
        private var branches: [String: Branch] = [:]

        mutating func insert(_ field: SpecField, _ path: ArraySlice<Substring>) {
            guard let name = path.first.map(String.init) else { return }
            if !order.contains(name) { order.append(name) }
            if path.count == 1 {
                leaves[name] = field
            } else {
                branches[name, default: Branch()].insert(field, path.dropFirst())
            }
        }

        var schema: JSONValue {
            var members: [(String, JSONValue)] = []
            var required: [String] = []
            for name in order {
                if let field = leaves[name] {
                    members.append((name, SpecSchema.leaf(field)))
                    if field.isRequired { required.append(name) }
                } else if let branch = branches[name] {
                    let isList = name.hasSuffix("[]")
                    members.append(
                        isList
                            ? (String(name.dropLast(2)), .object([("type", "array"), ("items", branch.schema)]))
                            : (name, branch.schema))
                }
            }
            return SpecSchema.object(members, required: required)
        }
    }

    private static func leaf(_ field: SpecField) -> JSONValue {
        var schema: [(String, JSONValue)] = [("description", .string("\(field.meaning) (default: \(field.absent))"))]
        switch field.form {
        case .text: schema.append(("type", "string"))
        case .bool: schema.append(("type", "boolean"))
        case .size:
            schema += [("type", .array(["string", "integer"])), ("pattern", "^[0-9.]+ ?([kMGT]B|[KMGT]iB|B)?$")]
        case .limit:
            schema += [
                ("type", .array(["string", "integer"])), ("pattern", "^([0-9.]+ ?([kMGT]B|[KMGT]iB|B)?|unlimited)$"),
            ]
        case .rate:
            schema += [("type", "string"), ("pattern", "^([0-9.]+ ?([kMGT]B|[KMGT]iB|B)?/s|unlimited)$")]
        case .timeOfDay: schema += [("type", "string"), ("pattern", "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
        case .percent: schema += [("type", "string"), ("pattern", "^([1-9][0-9]?|100)%$")]
        case .duration: schema += [("type", "string"), ("pattern", "^([0-9]+(ms|s|m|h|d))+$")]
        case .texts: schema += [("type", "array"), ("items", .object([("type", "string")]))]
        case .integer(let range):
            schema += [("type", "integer"), ("minimum", .int(range.lowerBound)), ("maximum", .int(range.upperBound))]
        case .count:
            schema.append(("anyOf", .array([.object([("type", "integer")]), .object([("const", "unlimited")])])))
        case .choice(let names): schema.append(("enum", .array(names.map { .string($0) })))
        case .secret:
            func reference(_ name: String) -> JSONValue {
                SpecSchema.object([(name, .object([("type", "string")]))], required: [name])
            }
            schema.append(
                ("anyOf", .array([.object([("type", "string")]), reference("fromEnv"), reference("fromFile")])))
        }
        return .object(schema)
    }
}
