package enum ETag {
    /// With quotes, as headers and XML carry it.
    package static func quoted(_ etag: String) -> String { "\"\(etag)\"" }

    /// Without quotes and weakness mark.
    package static func unquoted(_ text: some StringProtocol) -> String {
        var rest = Substring(text).drop { $0 == " " }
        if rest.hasPrefix("W/") { rest = rest.dropFirst(2) }
        return String(rest.filter { $0 != "\"" && $0 != " " })
    }

    /// A plain MD5 in hex, and so comparable with one of our own.
    package static func isMD5(_ etag: String) -> Bool {
        etag.utf8.count == 32
            && etag.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0 | 0x20) }
    }
}
