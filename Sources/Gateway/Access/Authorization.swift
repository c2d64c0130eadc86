import S3
import Spec

/// What a request asks of a bucket.
package enum Need: Sendable, Equatable {
    /// Any grant on the bucket.
    case presence
    case read
    case write
}

extension AuthenticatedRequest {
    /// The bucket, if the credential has a grant there for `need` that covers `text` (a key, or the prefix of a listing).
    ///
    /// Callers without any grant learn only AccessDenied about a bucket that exists, NoSuchBucket about one that does not.
    package func bucket(_ name: String, _ need: Need, covering text: String?) throws(OperationFailure) -> ServedBucket {
        guard let bucket = snapshot.buckets[name] else {
            throw .refused(.noSuchBucket, "The specified bucket does not exist.", ["BucketName": name])
        }
        guard allows(name, need, covering: text) else {
            throw .refused(.accessDenied, "Access Denied: the access key has no grant for this.")
        }
        return bucket
    }

    package func allows(_ bucket: String, _ need: Need, covering text: String?) -> Bool {
        (credential.grants[bucket] ?? []).contains { grant in
            let suffices =
                switch need {
                case .presence, .read: true
                case .write: grant.access == .readWrite
                }
            return suffices && (text.map(grant.covers) ?? true)
        }
    }
}
