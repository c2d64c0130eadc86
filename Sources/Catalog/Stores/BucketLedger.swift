/// What a client may set on a bucket that it made; a declared bucket has these in its spec. Raw values are stored.
package enum BucketSetting: String, Sendable, CaseIterable {
    /// The name of a canned ACL.
    case acl
    /// A CORSConfiguration document.
    case cors
    /// Tags as `a=b&c=d`, percent-encoded.
    case tagging
    /// The public access block, as a set of bits.
    case publicAccess
}

package enum BucketCreationOutcome: Sendable, Equatable {
    case created(BucketRecord)
    /// There is one with this name, declared or made by anybody.
    case exists(BucketRecord)
    /// The owner has as many as one may have.
    case tooMany(limit: Int)
}

package enum BucketDeletionOutcome: Sendable, Equatable {
    /// Gone, and its open uploads with it; a write that is under way will find it so.
    case deleted
    /// It still has objects.
    case notEmpty
    /// The spec declares it: only an edit of the spec ends it.
    case declared
    case noSuchBucket
}

/// Buckets that S3 clients make (`bucketCreation: allowed`); each call is one transaction.
package protocol BucketLedger: Sendable {
    /// nil if no bucket that is declared or was made by a client has this name.
    func bucket(_ name: String) async throws(CatalogError) -> BucketRecord?
    /// - Parameters:
    ///   - owner: the access key id that makes it
    ///   - limit: how many one owner may have
    func createBucket(
        _ name: String, owner: String, settings: [BucketSetting: String], limit: Int
    ) async throws(CatalogError) -> BucketCreationOutcome
    func deleteBucket(_ bucket: BucketID) async throws(CatalogError) -> BucketDeletionOutcome
    /// nil removes the setting. False if there is no such bucket, or the spec declares it.
    func set(_ setting: BucketSetting, _ value: String?, of bucket: BucketID) async throws(CatalogError) -> Bool
}
