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
        ifMatch = fields["if-match"]
        ifNoneMatch = fields["if-none-match"]
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

    private static func matches(_ header: String, _ etag: String) -> Bool {
        header.split(separator: ",").contains { part in
            let one = ETag.unquoted(part)
            return one == "*" || one == etag
        }
    }
}
