/// The life of a physical copy: forward only (DESIGN §2.5).
package enum CopyState: String, Sendable, CaseIterable {
    case writing, live, doomed, gone

    /// Whether a copy in this state may become `next`. The database's trigger keeps the same table.
    package func mayBecome(_ next: CopyState) -> Bool {
        switch (self, next) {
        case (.writing, .live), (.writing, .doomed), (.live, .doomed), (.doomed, .gone): true
        case (.writing, _), (.live, _), (.doomed, _), (.gone, _): false
        }
    }
}

/// One physical copy of a version, on one backend, under a name that is used once.
package struct Copy: Hashable, Sendable {
    package let id: CopyID
    package let version: VersionID
    package let backend: BackendID
    /// The whole name on the backend, its key prefix included.
    package let physicalKey: String
    package var state: CopyState
    /// The version id that the backend gave, where it keeps versions.
    package var providerVersion: String?
    /// A read found it absent or damaged: not counted, not served first, repaired from another.
    package var isSuspect: Bool

    package init(
        id: CopyID, version: VersionID, backend: BackendID, physicalKey: String, state: CopyState,
        providerVersion: String? = nil, isSuspect: Bool = false
    ) {
        self.id = id
        self.version = version
        self.backend = backend
        self.physicalKey = physicalKey
        self.state = state
        self.providerVersion = providerVersion
        self.isSuspect = isSuspect
    }
}

/// The logical address of an object.
package struct ObjectName: Hashable, Comparable, Sendable {
    package let bucket: BucketID
    package let key: String
    package init(bucket: BucketID, key: String) {
        self.bucket = bucket
        self.key = key
    }
    /// Byte order of keys, as S3 lists and as locks are taken.
    package static func < (a: ObjectName, b: ObjectName) -> Bool {
        a.bucket != b.bucket ? a.bucket < b.bucket : a.key.utf8.lexicographicallyPrecedes(b.key.utf8)
    }
}

/// What clients gave with an object and get back with it. Names are lower case.
package struct ObjectHeaders: Sendable, Equatable {
    package var contentType: String?
    /// cache-control, content-disposition, content-encoding, content-language, expires.
    package var standard: [String: String]
    /// User metadata, without `x-amz-meta-`.
    package var user: [String: String]
    /// As `a=b&c=d`, percent-encoded; nil: none. Like the ACL it may change while the version stays.
    package var tagging: String?
    /// The name of a canned ACL; nil: private.
    package var acl: String?
    package init(
        contentType: String? = nil, standard: [String: String] = [:], user: [String: String] = [:],
        tagging: String? = nil,
        acl: String? = nil
    ) {
        self.contentType = contentType
        self.standard = standard
        self.user = user
        self.tagging = tagging
        self.acl = acl
    }
}

/// What is known of a version's bytes once they were read to the end.
package struct ContentDigests: Sendable, Equatable {
    /// Without quotes: MD5 in hex, or `md5(md5s)-N` for multipart.
    package var etag: String
    /// Algorithm in lower case (`crc64nvme`, …) to base64.
    package var checksums: [String: String]
    /// `FULL_OBJECT` or `COMPOSITE`; nil without checksums.
    package var checksumType: String?
    /// Of a multipart object's parts, in order, in the one algorithm of the upload. Written at commit; reads leave it empty, since
    /// it may be long: see `ObjectIndex.partChecksums`.
    package var partChecksums: [String] = []
    package init(etag: String, checksums: [String: String] = [:], checksumType: String? = nil) {
        self.etag = etag
        self.checksums = checksums
        self.checksumType = checksumType
    }
}

/// A committed version of an object.
package struct Version: Sendable, Equatable {
    package let id: VersionID
    package let object: ObjectName
    package let size: Int64
    package let digests: ContentDigests
    package let headers: ObjectHeaders
    /// Sizes of the parts, in order, of a multipart version; else empty.
    package let partSizes: [Int64]
    /// Microseconds since 1970: the database's clock at commit. What clients see as Last-Modified, in whole seconds.
    package let committedAt: Int64
    /// The order of commits of this object.
    package let sequence: Int64

    package init(
        id: VersionID, object: ObjectName, size: Int64, digests: ContentDigests, headers: ObjectHeaders,
        partSizes: [Int64] = [], committedAt: Int64, sequence: Int64
    ) {
        self.id = id
        self.object = object
        self.size = size
        self.digests = digests
        self.headers = headers
        self.partSizes = partSizes
        self.committedAt = committedAt
        self.sequence = sequence
    }
}

/// A version and the copies that hold it.
package struct PlacedVersion: Sendable, Equatable {
    package var version: Version
    /// `live` (and, where asked for, `writing`) copies, sorted by backend.
    package var copies: [Copy]
    package init(version: Version, copies: [Copy]) {
        self.version = version
        self.copies = copies
    }
}
