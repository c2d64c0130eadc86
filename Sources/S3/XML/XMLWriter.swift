/// Writes XML with everything escaped that needs it.
package struct XMLWriter: Sendable {
    /// The namespace of S3's documents.
    package static let namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

    private var output = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

    package init() {}

    package var document: String { output }

    package mutating func element(_ name: String, namespaced: Bool = false, _ body: (inout XMLWriter) -> Void) {
        output += namespaced ? "<\(name) xmlns=\"\(XMLWriter.namespace)\">" : "<\(name)>"
        body(&self)
        output += "</\(name)>"
    }

    /// - Parameter attributes: names and values that need no escaping
    package mutating func element(_ name: String, attributes: [(String, String)], _ body: (inout XMLWriter) -> Void) {
        output += "<\(name)" + attributes.map { " \($0)=\"\($1)\"" }.joined() + ">"
        body(&self)
        output += "</\(name)>"
    }

    package mutating func text(_ name: String, _ value: String) {
        output += "<\(name)>"
        append(value)
        output += "</\(name)>"
    }

    package mutating func text(_ name: String, _ value: Int64) { output += "<\(name)>\(value)</\(name)>" }
    package mutating func text(_ name: String, _ value: Bool) { output += "<\(name)>\(value)</\(name)>" }

    /// What XML 1.0 forbids becomes a reference, as AWS writes it: keys may contain it. `encoding-type=url` is the way out for
    /// clients whose parsers refuse that.
    private mutating func append(_ value: String) {
        for scalar in value.unicodeScalars {
            switch scalar {
            case "&": output += "&amp;"
            case "<": output += "&lt;"
            case ">": output += "&gt;"
            case "\"": output += "&quot;"
            default:
                if scalar.value < 0x20 || scalar.value == 0x7F || scalar.value == 0xFFFE || scalar.value == 0xFFFF {
                    output += "&#x\(String(scalar.value, radix: 16, uppercase: true));"
                } else {
                    output.unicodeScalars.append(scalar)
                }
            }
        }
    }
}
