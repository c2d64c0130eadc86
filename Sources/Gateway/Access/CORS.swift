import HTTP
import S3
import Spec

/// A bucket's CORS rules against a request (WHATWG Fetch, "HTTP extensions"; AWS, "How does Amazon S3 evaluate the CORS
/// configuration on a bucket?": the first rule that matches decides).
struct CORSMatch {
    let rule: CORSRule
    private let origin: String

    /// - Parameters:
    ///   - method: of the request, or the one that a preflight asks for
    ///   - headers: what a preflight asks to send; lower case
    init?(_ rules: [CORSRule], origin: String, method: String, headers: [String] = []) {
        let found = rules.first { rule in
            rule.allowedOrigins.contains { CORSMatch.matches($0, origin) } && rule.allowedMethods.contains(method)
                && headers.allSatisfy { header in
                    rule.allowedHeaders.contains { CORSMatch.matches($0.lowercased(), header) }
                }
        }
        guard let found else { return nil }
        rule = found
        self.origin = origin
    }

    /// At most one `*` stands for any text.
    static func matches(_ pattern: String, _ text: String) -> Bool {
        let halves = pattern.split(separator: "*", maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2 else { return pattern == text }
        return text.utf8.count >= pattern.utf8.count - 1 && text.hasPrefix(halves[0]) && text.hasSuffix(halves[1])
    }

    func add(to fields: inout Fields, preflightHeaders: [String] = []) {
        let isForAll = rule.allowedOrigins.contains("*")
        fields.set("Access-Control-Allow-Origin", isForAll ? "*" : origin)
        if !isForAll { fields.set("Access-Control-Allow-Credentials", "true") }
        fields.set("Access-Control-Allow-Methods", rule.allowedMethods.joined(separator: ", "))
        if !preflightHeaders.isEmpty {
            fields.set("Access-Control-Allow-Headers", preflightHeaders.joined(separator: ", "))
        }
        if !rule.exposeHeaders.isEmpty {
            fields.set("Access-Control-Expose-Headers", rule.exposeHeaders.joined(separator: ", "))
        }
        if let age = rule.maxAge { fields.set("Access-Control-Max-Age", "\(age.components.seconds)") }
        CORSMatch.vary(&fields)
    }

    /// Caches must keep answers to different origins apart, also those without any permission.
    static func vary(_ fields: inout Fields) {
        fields.set("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
    }
}

/// `CORSConfiguration` (AWS, PutBucketCors).
enum CORSDocument {
    private static let rulesMax = 100
    private static let methods = ["GET", "PUT", "HEAD", "POST", "DELETE"]

    /// Throws MalformedXML, or InvalidRequest for what no rule may say.
    static func rules(_ xml: [UInt8]) throws(S3Error) -> [CORSRule] {
        let root = try RequestDocument.root(xml, "CORSConfiguration")
        let elements = root.all("CORSRule")
        guard (1...rulesMax).contains(elements.count) else { throw RequestDocument.malformed }
        var rules: [CORSRule] = []
        for element in elements {
            func texts(_ name: String) -> [String] { element.all(name).map(\.text) }
            let rule = CORSRule(
                id: element["ID"]?.text, allowedOrigins: texts("AllowedOrigin"), allowedMethods: texts("AllowedMethod"),
                allowedHeaders: texts("AllowedHeader"), exposeHeaders: texts("ExposeHeader"), maxAge: try age(element))
            guard !rule.allowedOrigins.isEmpty, !rule.allowedMethods.isEmpty else { throw RequestDocument.malformed }
            for method in rule.allowedMethods where !methods.contains(method) {
                throw S3Error(
                    .invalidRequest, "Found unsupported HTTP method in CORS config. Unsupported method is \(method)")
            }
            for text in rule.allowedOrigins + rule.allowedHeaders where text.count(where: { $0 == "*" }) > 1 {
                throw S3Error(.invalidRequest, "'\(text)' can not have more than one wildcard.")
            }
            for text in rule.allowedOrigins + rule.allowedHeaders + rule.exposeHeaders where !HeaderText.isValue(text) {
                throw S3Error(.invalidRequest, "A CORS rule has characters that no header may have.")
            }
            rules.append(rule)
        }
        return rules
    }

    private static func age(_ element: XMLElement) throws(S3Error) -> Duration? {
        guard let text = element["MaxAgeSeconds"]?.text else { return nil }
        guard let seconds = Int32(text), seconds >= 0 else { throw RequestDocument.malformed }
        return .seconds(Int64(seconds))
    }

    /// As `xml` made it; nil if a newer release wrote what this one does not know.
    static func rules(stored: String) -> [CORSRule]? {
        do throws(S3Error) { return try rules(Array(stored.utf8)) } catch { return nil }
    }

    static func xml(_ rules: [CORSRule]) -> String {
        var writer = XMLWriter()
        writer.element("CORSConfiguration", namespaced: true) { writer in
            for rule in rules {
                writer.element("CORSRule") { writer in
                    if let id = rule.id { writer.text("ID", id) }
                    for text in rule.allowedMethods { writer.text("AllowedMethod", text) }
                    for text in rule.allowedOrigins { writer.text("AllowedOrigin", text) }
                    for text in rule.allowedHeaders { writer.text("AllowedHeader", text) }
                    for text in rule.exposeHeaders { writer.text("ExposeHeader", text) }
                    if let age = rule.maxAge { writer.text("MaxAgeSeconds", age.components.seconds) }
                }
            }
        }
        return writer.document
    }
}
