package import HTTP

/// What went wrong with a call to a backend, and what is known about its effect.
package struct StoreError: Error, Sendable, Equatable {
    /// A closed list, so that callers decide without reading text.
    package enum Code: String, Sendable, Equatable {
        /// 404 NoSuchKey: the object is not there. Never concluded from any other 404.
        case noSuchKey
        /// 404 NoSuchBucket, a redirect or a wrong region: the backend is not what the spec says.
        case wrongLocation
        case noSuchUpload
        /// A conditional create found the name taken.
        case alreadyExists
        /// The credential was refused (401, 403).
        case accessDenied
        /// 429, 503 SlowDown.
        case throttled
        /// The backend is full: disk full, quota exceeded, 507.
        case noSpace
        case invalidRange
        /// What the backend says it stored is not what was sent (length, ETag, checksum).
        case corrupt
        /// No connection could be made; certainly nothing arrived.
        case unreachable
        case timedOut
        case reset
        /// 5xx without a more precise code.
        case serverError
        /// 4xx without a more precise code.
        case rejected
        case notSupported
        /// The body that was to be written failed on its own side: the client hung up, a digest did not match.
        case bodyFailed
        case cancelled
    }

    package let code: Code
    /// Whether the effect may still happen: true after a timeout, a reset, a 5xx, a cancellation.
    package let mayArriveLate: Bool
    /// Evidence for people: status, the backend's own code, errno. Never branched on, never a secret.
    package let evidence: String
    /// With `bodyFailed`: why.
    package let bodyError: BodyError?

    package init(_ code: Code, mayArriveLate: Bool, evidence: String, bodyError: BodyError? = nil) {
        self.code = code
        self.mayArriveLate = mayArriveLate
        self.evidence = evidence
        self.bodyError = bodyError
    }
}

/// What is stored beside the bytes, so that a copy describes itself without Postgres (DESIGN §2.7).
///
/// Names are lower case without a prefix; a network driver maps them to `x-amz-meta-…`, a directory to its sidecar.
package struct StoredMetadata: Sendable, Equatable {
    package var contentType: String?
    /// Sorted by name. Values are ASCII; callers encode what is not.
    package var entries: [String: String]
    package init(contentType: String? = nil, entries: [String: String] = [:]) {
        self.contentType = contentType
        self.entries = entries
    }
}

/// What a backend says about an object.
package struct StoredObject: Sendable, Equatable {
    package var size: Int64
    /// Without quotes, as the backend gave it. 32 hex digits is taken as an MD5, anything else only as a token.
    package var etag: String
    /// Where the backend keeps versions.
    package var providerVersion: String?
    package var metadata: StoredMetadata
    package var modified: WallTime?

    package init(
        size: Int64, etag: String, providerVersion: String? = nil, metadata: StoredMetadata = StoredMetadata(),
        modified: WallTime? = nil
    ) {
        self.size = size
        self.etag = etag
        self.providerVersion = providerVersion
        self.metadata = metadata
        self.modified = modified
    }
}

/// An object that is being read. `body` yields exactly `length` bytes or throws; dropping it unread ends the read.
package struct StoreReading: Sendable {
    package var object: StoredObject
    /// The number of bytes of `body`: the object's size, or the range's.
    package var length: Int64
    package var body: any BodyReader
    package init(object: StoredObject, length: Int64, body: any BodyReader) {
        self.object = object
        self.length = length
        self.body = body
    }
}

/// A resolved, inclusive-exclusive range of an object's bytes; never empty.
package struct ByteRange: Sendable, Equatable, Hashable {
    package let lowerBound: Int64
    package let upperBound: Int64
    package var length: Int64 { upperBound - lowerBound }
    package init(_ lowerBound: Int64, _ upperBound: Int64) {
        precondition(lowerBound >= 0 && lowerBound < upperBound, "empty range \(lowerBound)..<\(upperBound)")
        self.lowerBound = lowerBound
        self.upperBound = upperBound
    }
}

package struct StoreListing: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        package var key: String
        package var size: Int64
        package var etag: String
        package var modified: WallTime?
        package init(key: String, size: Int64, etag: String, modified: WallTime? = nil) {
            self.key = key
            self.size = size
            self.etag = etag
            self.modified = modified
        }
    }
    package var entries: [Entry]
    /// More follows: pass the last entry's key as `after`.
    package var isTruncated: Bool
    package init(entries: [Entry], isTruncated: Bool) {
        self.entries = entries
        self.isTruncated = isTruncated
    }
}

/// What a backend can do; what it lacks, Sluice does not rely on.
package struct StoreCapabilities: Sendable, Equatable {
    /// `If-None-Match: *` on PUT is honoured.
    package var conditionalCreate: Bool
    /// The bucket keeps old versions, so deletes must name one.
    package var versioned: Bool
    /// `copy` is worth trying.
    package var copiesWithin: Bool
    /// Files in place: a late write cannot arrive after its writer died.
    package var lateArrivalHorizon: Duration
    package init(
        conditionalCreate: Bool, versioned: Bool, lateArrivalHorizon: Duration, copiesWithin: Bool = false
    ) {
        self.conditionalCreate = conditionalCreate
        self.copiesWithin = copiesWithin
        self.versioned = versioned
        self.lateArrivalHorizon = lateArrivalHorizon
    }
}

/// The reading half of a backend. What holds only this cannot write, by type (DESIGN §2.2).
///
/// `key` is the whole physical name, prefix included.
package protocol ObjectReading: Sendable {
    var capabilities: StoreCapabilities { get }
    func get(_ key: String, range: ByteRange?) async throws(StoreError) -> StoreReading
    func head(_ key: String) async throws(StoreError) -> StoredObject
    /// Keys that begin with `prefix` and come after `after`, in byte order, at most `limit` (1...1000).
    func list(prefix: String, after: String?, limit: Int) async throws(StoreError) -> StoreListing
}

/// A backend: an S3 service or a directory. Every call is bounded in time, and safe to repeat, since physical names are
/// never reused.
package protocol ObjectStore: ObjectReading, MultipartStore {
    /// Stores exactly `length` bytes of `body`, durable when it returns. A body that throws or ends early stores nothing
    /// (`bodyFailed`). With `ifAbsent`, a taken name is `alreadyExists` where the backend can tell.
    func put(
        _ key: String, length: Int64, body: any BodyReader, metadata: StoredMetadata, ifAbsent: Bool
    ) async throws(StoreError) -> StoredObject
    /// Copies within the backend, so that no byte passes this process; the new object has exactly `metadata`. `notSupported`
    /// where that is not possible. The caller compares size and ETag.
    func copy(_ source: String, to key: String, metadata: StoredMetadata) async throws(StoreError) -> StoredObject
    /// Absence is success. Where the backend keeps versions, `providerVersion` names the one to delete.
    func delete(_ key: String, providerVersion: String?) async throws(StoreError)
}

/// A part as the backend acknowledged it.
package struct StoredPart: Sendable, Equatable {
    package var number: Int
    /// Without quotes.
    package var etag: String
    package var size: Int64
    package init(number: Int, etag: String, size: Int64) {
        self.number = number
        self.etag = etag
        self.size = size
    }
}

/// Native multipart uploads, so that Complete moves no byte.
package protocol MultipartStore: Sendable {
    /// Begins an upload and returns the backend's own upload id.
    func createUpload(_ key: String, metadata: StoredMetadata) async throws(StoreError) -> String
    func putPart(
        _ key: String, uploadID: String, number: Int, length: Int64, body: any BodyReader
    ) async throws(StoreError) -> StoredPart
    /// `parts` in order of their numbers. `noSuchUpload` may mean that an earlier Complete succeeded: the caller looks.
    func completeUpload(_ key: String, uploadID: String, parts: [StoredPart]) async throws(StoreError) -> StoredObject
    /// Absence is success.
    func abortUpload(_ key: String, uploadID: String) async throws(StoreError)
    /// The upload ids that are open for exactly this key.
    func openUploads(_ key: String) async throws(StoreError) -> [String]
    /// Open uploads whose key begins with `prefix`, as (key, upload id), at most 1,000; for verification.
    func listUploads(prefix: String) async throws(StoreError) -> [OpenUpload]
}

package struct OpenUpload: Sendable, Equatable {
    package var key: String
    package var uploadID: String
    package init(key: String, uploadID: String) {
        self.key = key
        self.uploadID = uploadID
    }
}
