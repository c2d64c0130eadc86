/// One page of a listing: keys and common prefixes are one stream in byte order.
package struct ListingPage: Sendable, Equatable {
    package enum Item: Sendable, Equatable {
        case object(ListedObject)
        case commonPrefix(String)
    }
    package var items: [Item]
    /// Where the next page goes on; nil on the last one.
    package var next: ListingPosition?
    package init(items: [Item], next: ListingPosition?) {
        self.items = items
        self.next = next
    }
}

package struct ListedObject: Sendable, Equatable {
    package var key: String
    package var size: Int64
    package var etag: String
    /// Microseconds since 1970.
    package var committedAt: Int64
    package var checksumAlgorithms: [String]
    package var checksumType: String?
    package init(
        key: String, size: Int64, etag: String, committedAt: Int64, checksumAlgorithms: [String] = [],
        checksumType: String? = nil
    ) {
        self.key = key
        self.size = size
        self.etag = etag
        self.committedAt = committedAt
        self.checksumAlgorithms = checksumAlgorithms
        self.checksumType = checksumType
    }
}

/// Where a listing goes on.
package enum ListingPosition: Sendable, Equatable {
    /// Keys greater than this one.
    case after(String)
    /// Keys greater than every key with this prefix.
    case past(prefix: String)
}

package struct ListingQuery: Sendable, Equatable {
    package var bucket: BucketID
    package var prefix: String
    /// Any length; nil: no grouping.
    package var delimiter: String?
    package var position: ListingPosition?
    /// 1...1000.
    package var limit: Int
    package init(
        bucket: BucketID, prefix: String = "", delimiter: String? = nil, position: ListingPosition? = nil, limit: Int
    ) {
        self.bucket = bucket
        self.prefix = prefix
        self.delimiter = delimiter
        self.position = position
        self.limit = limit
    }
}

/// The namespace as readers see it.
package protocol ObjectIndex: Sendable {
    /// The current version and its live copies, in one statement; nil if there is no such object.
    func current(_ object: ObjectName) async throws(CatalogError) -> PlacedVersion?
    /// Cost grows with the items returned, not with the keys that a common prefix skips.
    func list(_ query: ListingQuery) async throws(CatalogError) -> ListingPage
    /// In order of the parts; empty for a version without any.
    func partChecksums(_ version: VersionID) async throws(CatalogError) -> [String]
    /// Replaces tags or ACL of the current version; the version stays what it is. Nil if there is no such object.
    func annotate(_ object: ObjectName, _ annotation: ObjectAnnotation) async throws(CatalogError) -> VersionID?
    /// A live copy was found absent or damaged; it is not counted from now on. False if it is not live any more.
    func markSuspect(_ copy: CopyID) async throws(CatalogError) -> Bool
}

/// What may change of a version without making another.
package enum ObjectAnnotation: Sendable, Equatable {
    /// As `a=b&c=d`; nil: none.
    case tagging(String?)
    /// The name of a canned ACL; nil: private.
    case acl(String?)
}
