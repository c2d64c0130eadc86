import Catalog
import HTTP
import S3

/// Tags of an object or a bucket (AWS, "Categorizing your objects using tags").
struct TagSet: Sendable, Equatable {
    static let objectTagsMax = 10
    static let bucketTagsMax = 50
    /// UTF-16 units in AWS's words; counted here as characters of Unicode.
    static let keyMax = 128
    static let valueMax = 256

    struct Tag: Sendable, Equatable {
        var key: String
        var value: String
    }
    private(set) var tags: [Tag]

    var isEmpty: Bool { tags.isEmpty }
    var count: Int { tags.count }

    private init(_ tags: [Tag], limit: Int) throws(S3Error) {
        func invalid(_ message: String) -> S3Error { S3Error(.invalidTag, message) }
        guard tags.count <= limit else {
            throw invalid("There are \(tags.count) tags, and there may be at most \(limit).")
        }
        var keys: Set<[UInt8]> = []
        for tag in tags {
            guard !tag.key.isEmpty, tag.key.unicodeScalars.count <= TagSet.keyMax else {
                throw invalid("The TagKey you have provided is invalid: 1 to \(TagSet.keyMax) characters.")
            }
            guard tag.value.unicodeScalars.count <= TagSet.valueMax else {
                throw invalid("The TagValue you have provided is invalid: at most \(TagSet.valueMax) characters.")
            }
            guard !tag.key.lowercased().hasPrefix("aws:") else {
                throw invalid("System tags cannot be added or updated by requester.")
            }
            guard !(tag.key + tag.value).utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
                throw invalid("A tag must not contain control characters.")
            }
            guard keys.insert(Array(tag.key.utf8)).inserted else {
                throw invalid("Cannot provide multiple Tags with the same key")
            }
        }
        self.tags = tags.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    }

    /// `Tagging`.
    init(xml: [UInt8], limit: Int) throws(S3Error) {
        let root = try RequestDocument.root(xml, "Tagging")
        guard let set = root["TagSet"] else { throw RequestDocument.malformed }
        var tags: [Tag] = []
        for tag in set.all("Tag") {
            guard let key = tag["Key"]?.text, let value = tag["Value"]?.text else { throw RequestDocument.malformed }
            tags.append(Tag(key: key, value: value))
        }
        try self.init(tags, limit: limit)
    }

    /// x-amz-tagging: `a=b&c=d`, encoded as a query.
    init(header: String) throws(S3Error) {
        guard let tags = TagSet.pairs(header) else {
            throw S3Error(
                .invalidArgument,
                "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."
            )
        }
        try self.init(tags, limit: TagSet.objectTagsMax)
    }

    /// As `stored` made it.
    init?(stored: String) {
        guard let tags = TagSet.pairs(stored) else { return nil }
        self.tags = tags
    }

    private static func pairs(_ text: String) -> [Tag]? {
        var tags: [Tag] = []
        for part in text.split(separator: "&") {
            let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let key = PercentCoding.decode(halves[0], plusIsSpace: true),
                let value = PercentCoding.decode(halves.count == 2 ? halves[1] : "", plusIsSpace: true)
            else { return nil }
            tags.append(Tag(key: key, value: value))
        }
        return tags
    }

    var stored: String {
        tags.map { "\(PercentCoding.encode($0.key))=\(PercentCoding.encode($0.value))" }.joined(separator: "&")
    }

    var document: String {
        var writer = XMLWriter()
        writer.element("Tagging", namespaced: true) { writer in
            writer.element("TagSet") { writer in
                for tag in tags {
                    writer.element("Tag") { writer in
                        writer.text("Key", tag.key)
                        writer.text("Value", tag.value)
                    }
                }
            }
        }
        return writer.document
    }
}

extension GatewayOperations {
    func objectTagging(_ target: ObjectTarget, _ request: AuthenticatedRequest) async throws(OperationFailure)
        -> Response
    {
        let placed = try await current(target, request)
        let tags = TagSet(stored: placed.version.headers.tagging ?? "")
        return .document(tags?.document ?? "")
    }

    func putObjectTagging(_ target: ObjectTarget, _ request: AuthenticatedRequest) async throws(OperationFailure)
        -> Response
    {
        let xml = try await IncomingBody.document(request)
        let tags = try refusing { () throws(S3Error) in try TagSet(xml: xml, limit: TagSet.objectTagsMax) }
        try await annotate(target, .tagging(tags.isEmpty ? nil : tags.stored))
        return .empty(.ok)
    }

    func deleteObjectTagging(_ target: ObjectTarget, _ request: AuthenticatedRequest) async throws(OperationFailure)
        -> Response
    {
        try await annotate(target, .tagging(nil))
        return .empty(.noContent)
    }
}
