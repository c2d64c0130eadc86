import Catalog
import HTTP
import S3

/// The parameters of a listing, checked.
struct ListingRequest: Sendable, Equatable {
    var form: ListingForm
    var prefix: String
    var delimiter: String?
    /// As asked for; at most 1,000 are answered.
    var keysMax: Int
    var encodesKeys: Bool
    var marker: String?
    var startAfter: String?
    var token: String?
    var wantsOwner: Bool

    init(_ query: Query, form: ListingForm) throws(OperationFailure) {
        self.form = form
        prefix = query["prefix"] ?? ""
        delimiter = query["delimiter"].flatMap { $0.isEmpty ? nil : $0 }
        keysMax = try ListingRequest.count(query, "max-keys", default: GatewayLimits.listingKeysMax)
        encodesKeys = try ListingRequest.encoding(query)
        let markerName: String? =
            switch form {
            case .v1: "marker"
            case .v2: nil
            case .versions: "key-marker"
            }
        marker = markerName.flatMap { query[$0] }.flatMap { $0.isEmpty ? nil : $0 }
        startAfter = form == .v2 ? query["start-after"].flatMap { $0.isEmpty ? nil : $0 } : nil
        token = form == .v2 ? query["continuation-token"] : nil
        wantsOwner = form != .v2 || query["fetch-owner"] == "true"
        try ListingRequest.refuseNUL([prefix, delimiter, marker, startAfter])
    }

    /// No key has one, and Postgres takes none.
    static func refuseNUL(_ texts: [String?]) throws(OperationFailure) {
        for text in texts where text?.utf8.contains(0) == true {
            throw .refused(.invalidArgument, "A listing's parameters must not contain a NUL character.")
        }
    }

    static func count(
        _ query: Query, _ name: String, default absent: Int, max: Int = GatewayLimits.listingKeysMax
    ) throws(OperationFailure) -> Int {
        guard let text = query[name], !text.isEmpty else { return absent }
        guard let value = Int(text), (0...Int(Int32.max)).contains(value) else {
            throw .refused(
                .invalidArgument, "Provided \(name) not an integer or within integer range",
                ["ArgumentName": name, "ArgumentValue": text])
        }
        return min(value, max)
    }

    static func encoding(_ query: Query) throws(OperationFailure) -> Bool {
        guard let encoding = query["encoding-type"], !encoding.isEmpty else { return false }
        guard encoding.lowercased() == "url" else {
            throw .refused(
                .invalidArgument, "Invalid Encoding Method specified in Request",
                ["ArgumentName": "encoding-type", "ArgumentValue": encoding])
        }
        return true
    }

    func position(_ tokens: ContinuationToken) throws(OperationFailure) -> ListingPosition? {
        if let token, !token.isEmpty {
            guard let position = tokens.open(token) else {
                throw .refused(
                    .invalidArgument, "The continuation token provided is incorrect",
                    ["ArgumentName": "continuation-token"])
            }
            return position
        }
        return (marker ?? startAfter).map(place)
    }

    var markerPosition: ListingPosition? { marker.map(place) }

    func coded(_ text: String) -> String { encodesKeys ? PercentCoding.encode(text, keepingSlash: true) : text }

    /// A marker that is a common prefix, as NextMarker may be, stands for all keys below it. Compared by bytes: Swift's own
    /// comparison takes different spellings of a letter for the same.
    private func place(_ marker: String) -> ListingPosition {
        guard let delimiter, marker.utf8.starts(with: prefix.utf8) else { return .after(marker) }
        let rest = Array(marker.utf8.dropFirst(prefix.utf8.count))
        let end = Array(delimiter.utf8)
        guard rest.count >= end.count else { return .after(marker) }
        let first = (0...(rest.count - end.count)).first { rest[$0...].starts(with: end) }
        return first == rest.count - end.count ? .past(prefix: marker) : .after(marker)
    }
}
