package import HTTP

/// If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since on GET and HEAD, in RFC 9110's order (§13.2.2) and in
/// whole seconds.
package struct ReadConditions: Sendable, Equatable {
    package enum Verdict: Sendable, Equatable { case passes, notModified, failed }

    private let ifMatch: String?
    private let ifNoneMatch: String?
    private let ifModifiedSince: WallTime?
    private let ifUnmodifiedSince: WallTime?

    package init(_ fields: Fields) {
        ifMatch = ReadConditions.list(fields, "if-match")
        ifNoneMatch = ReadConditions.list(fields, "if-none-match")
        ifModifiedSince = fields["if-modified-since"].flatMap { WallTime(httpDate: $0) }
        ifUnmodifiedSince = fields["if-unmodified-since"].flatMap { WallTime(httpDate: $0) }
    }

    package func verdict(etag: String, modified: WallTime) -> Verdict {
        if let ifMatch {
            if !ReadConditions.matches(ifMatch, etag) { return .failed }
        } else if let ifUnmodifiedSince, modified.seconds > ifUnmodifiedSince.seconds {
            return .failed
        }
        if let ifNoneMatch {
            if ReadConditions.matches(ifNoneMatch, etag) { return .notModified }
        } else if let ifModifiedSince, modified.seconds <= ifModifiedSince.seconds {
            return .notModified
        }
        return .passes
    }

    /// A field that comes several times is one list (RFC 9110 §5.3).
    private static func list(_ fields: Fields, _ name: String) -> String? {
        let values = fields.values(name)
        return values.isEmpty ? nil : values.joined(separator: ",")
    }

    private static func matches(_ header: String, _ etag: String) -> Bool {
        header.split(separator: ",").contains { part in
            part.trimmingSpaces() == "*" || ETag.unquoted(part) == etag
        }
    }
}
