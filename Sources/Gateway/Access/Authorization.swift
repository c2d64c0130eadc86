import HTTP
import S3
import Spec

/// What a request asks of a bucket.
package enum Need: Sendable, Equatable {
    /// Anything at all in the bucket.
    case presence
    case list
    case read
    /// To see what an object's reader does not: tags, ACL, parts of uploads.
    case inspect
    case write
    /// To change what holds for the whole bucket.
    case own
}

extension AuthenticatedRequest {
    /// The bucket, if the request's principal may do `need` there with all that begins with `text` (a key, or the prefix of a
    /// listing).
    ///
    /// Callers without any grant learn only AccessDenied about a bucket that exists, NoSuchBucket about one that does not.
    package func bucket(_ name: String, _ need: Need, covering text: String?) throws(OperationFailure) -> ServedBucket {
        let bucket = try knownBucket(name)
        guard allows(bucket, need, covering: text) else { throw AuthenticatedRequest.denied }
        return bucket
    }

    /// A client that says whose bucket it expects is refused any other's.
    func checkExpectedOwner() throws(OperationFailure) {
        for name in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
            guard let expected = fields[name], expected != Owner.id else { continue }
            throw .refused(.accessDenied, "Access Denied: the bucket's owner is not the one that \(name) expects.")
        }
    }

    func knownBucket(_ name: String) throws(OperationFailure) -> ServedBucket {
        guard let bucket = snapshot.buckets[name] else {
            throw .refused(.noSuchBucket, "The specified bucket does not exist.", ["BucketName": name])
        }
        return bucket
    }

    /// Turns away an anonymous request before any of it is looked at, unless it is for a bucket that may be open to it.
    func checkOpen(to operation: Operation) throws(OperationFailure) {
        guard principal == .anonymous else { return }
        switch operation {
        // The form may carry a signed policy.
        case .bucket(_, .postObject): return
        case .listBuckets, .bucket(_, .create): throw AuthenticatedRequest.denied
        case .bucket, .object:
            guard let name = operation.bucketName else { throw AuthenticatedRequest.denied }
            let bucket = try knownBucket(name)
            guard bucket.owner != nil || bucket.anonymousRead != nil else { throw AuthenticatedRequest.denied }
        }
    }

    /// An object's place. In a bucket that a client made, the object's own ACL may allow a read that the bucket does not: that is
    /// decided when the object is looked up.
    func target(_ bucketName: String, _ key: String, _ need: Need) throws(OperationFailure) -> ObjectTarget {
        let bucket = try knownBucket(bucketName)
        let isGranted = allows(bucket, need, covering: key)
        guard isGranted || need == .read && bucket.owner != nil else { throw AuthenticatedRequest.denied }
        return ObjectTarget(bucket: bucket, key: key, isGranted: isGranted)
    }

    static let denied = OperationFailure.refused(.accessDenied, "Access Denied")

    package func allows(_ bucket: ServedBucket, _ need: Need, covering text: String?) -> Bool {
        bucket.owner == nil ? allowsDeclared(bucket, need, text) : allowsOwned(bucket, need)
    }

    private func allowsDeclared(_ bucket: ServedBucket, _ need: Need, _ text: String?) -> Bool {
        let grants = principal.credential?.grants[bucket.name] ?? []
        let isGranted = grants.contains { grant in
            let suffices =
                switch need {
                case .presence, .list, .read, .inspect: true
                case .write: grant.access == .readWrite
                case .own: grant.access == .readWrite && grant.prefixes.isEmpty
                }
            return suffices && (text.map(grant.covers) ?? true)
        }
        if isGranted { return true }
        guard let open = bucket.anonymousRead else { return false }
        switch need {
        case .read: return text.map(open.covers) ?? false
        case .list, .presence: return open.allowsListing && (text.map(open.covers) ?? open.prefixes.isEmpty)
        case .inspect, .write, .own: return false
        }
    }

    private func allowsOwned(_ bucket: ServedBucket, _ need: Need) -> Bool {
        if let id = principal.credential?.accessKeyID, id == bucket.owner { return true }
        switch need {
        case .presence, .list: return bucket.effective(bucket.acl).allowsRead(principal)
        case .write: return bucket.effective(bucket.acl).allowsAnyoneToWrite
        case .read, .inspect, .own: return false
        }
    }

    /// Whether the principal may make buckets: who may write somewhere may.
    package var mayCreateBuckets: Bool {
        guard snapshot.fleet.bucketCreation == .allowed, let credential = principal.credential else { return false }
        return credential.grants.values.contains { $0.contains { $0.access == .readWrite } }
    }
}
