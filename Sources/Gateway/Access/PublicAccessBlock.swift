import S3

/// What overrides public ACLs of a bucket (AWS, "Blocking public access to your Amazon S3 storage").
///
/// There are no bucket policies, so the two settings about them are kept and have nothing to act on.
package struct PublicAccessBlock: OptionSet, Sendable, Equatable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// Requests that would make something public are refused.
    package static let blockPublicACLs = PublicAccessBlock(rawValue: 1)
    /// Public ACLs that are there count as private.
    package static let ignorePublicACLs = PublicAccessBlock(rawValue: 2)
    package static let blockPublicPolicy = PublicAccessBlock(rawValue: 4)
    package static let restrictPublicBuckets = PublicAccessBlock(rawValue: 8)

    private static let elements: [(name: String, option: PublicAccessBlock)] = [
        ("BlockPublicAcls", .blockPublicACLs), ("IgnorePublicAcls", .ignorePublicACLs),
        ("BlockPublicPolicy", .blockPublicPolicy), ("RestrictPublicBuckets", .restrictPublicBuckets),
    ]

    /// Reads a `PublicAccessBlockConfiguration`; what it leaves out is off.
    /// - Throws: MalformedXML
    init(xml: [UInt8]) throws(S3Error) {
        let root = try RequestDocument.root(xml, "PublicAccessBlockConfiguration")
        self = []
        for (name, option) in PublicAccessBlock.elements {
            switch root[name]?.text.lowercased() {
            case "true": insert(option)
            case "false", nil: break
            default: throw RequestDocument.malformed
            }
        }
    }

    /// As `stored` made it.
    init?(stored: String) {
        guard let value = Int(stored), (0..<16).contains(value) else { return nil }
        self.init(rawValue: value)
    }

    var stored: String { "\(rawValue)" }

    var document: String {
        var writer = XMLWriter()
        writer.element("PublicAccessBlockConfiguration", namespaced: true) { writer in
            for (name, option) in PublicAccessBlock.elements { writer.text(name, contains(option)) }
        }
        return writer.document
    }
}
