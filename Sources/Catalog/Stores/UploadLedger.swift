/// A multipart upload and where its parts go.
package struct Upload: Sendable, Equatable {
    package enum State: String, Sendable, CaseIterable {
        /// Rows exist, the backends' uploads may not yet.
        case creating
        case open
        /// Complete was begun with a fixed list of parts; no further part is taken.
        case completing
        case completed
        case aborted
    }
    package var id: UploadID
    package var object: ObjectName
    package var version: VersionID
    package var token: LeaseToken
    package var state: State
    package var headers: ObjectHeaders
    /// `crc32`, …; nil if the client declared none at Create.
    package var checksumAlgorithm: String?
    package var checksumType: String?
    /// Those that still take part, with each backend's own upload id.
    package var copies: [UploadCopy]
    /// Microseconds since 1970.
    package var createdAt: Int64

    package init(
        id: UploadID, object: ObjectName, version: VersionID, token: LeaseToken, state: State, headers: ObjectHeaders,
        checksumAlgorithm: String?, checksumType: String?, copies: [UploadCopy], createdAt: Int64
    ) {
        self.id = id
        self.object = object
        self.version = version
        self.token = token
        self.state = state
        self.headers = headers
        self.checksumAlgorithm = checksumAlgorithm
        self.checksumType = checksumType
        self.copies = copies
        self.createdAt = createdAt
    }
}

package struct UploadCopy: Sendable, Equatable {
    package var copy: CopyID
    package var backend: BackendID
    package var physicalKey: String
    /// nil until the backend gave one.
    package var backendUploadID: String?
    package init(copy: CopyID, backend: BackendID, physicalKey: String, backendUploadID: String?) {
        self.copy = copy
        self.backend = backend
        self.physicalKey = physicalKey
        self.backendUploadID = backendUploadID
    }
}

/// One part that all required backends took.
package struct UploadPart: Sendable, Equatable {
    package var number: Int
    /// Set anew with each attempt; a re-sent part replaces the earlier one.
    package var attempt: LeaseToken
    package var size: Int64
    /// MD5 in hex: what the client saw.
    package var etag: String
    package var checksums: [String: String]
    /// Each backend's own ETag for it.
    package var backendETags: [CopyID: String]
    /// Microseconds since 1970; 0 when it is handed in.
    package var modifiedAt: Int64
    package init(
        number: Int, attempt: LeaseToken, size: Int64, etag: String, checksums: [String: String],
        backendETags: [CopyID: String], modifiedAt: Int64 = 0
    ) {
        self.number = number
        self.attempt = attempt
        self.size = size
        self.etag = etag
        self.checksums = checksums
        self.backendETags = backendETags
        self.modifiedAt = modifiedAt
    }
}

package struct UploadIntent: Sendable, Equatable {
    package var id: UploadID
    /// `size` is 0; the parts add theirs to the copies' bytes. The lease is the upload's own, without end.
    package var write: WriteIntent
    package var checksumAlgorithm: String?
    package var checksumType: String?
    package init(id: UploadID, write: WriteIntent, checksumAlgorithm: String? = nil, checksumType: String? = nil) {
        self.id = id
        self.write = write
        self.checksumAlgorithm = checksumAlgorithm
        self.checksumType = checksumType
    }
}

package enum BeginCompleteOutcome: Sendable, Equatable {
    /// The parts as chosen, in order of their numbers.
    case proceed(Upload, [UploadPart])
    /// An earlier Complete succeeded with this version.
    case alreadyCompleted(Version)
    case noSuchUpload
    /// A chosen part is unknown, or its ETag differs.
    case invalidPart(number: Int)
}

/// Multipart state (DESIGN §6, Multipart); each call is one transaction. Completing commits through `WriteLedger`.
package protocol UploadLedger: Sendable {
    /// Upload row, version without `committed_at`, `writing` copies; as `WriteLedger.intend`, in state `creating`.
    func create(_ intent: UploadIntent) async throws(CatalogError) -> IntentOutcome
    /// `creating → open` with the backends' upload ids; copies not named are doomed. False if the upload is gone.
    func open(_ id: UploadID, backendUploadIDs: [CopyID: String]) async throws(CatalogError) -> Bool
    /// nil if there is no such upload of this object. Completed and aborted ones are returned while their rows last.
    func find(_ id: UploadID, object: ObjectName) async throws(CatalogError) -> Upload?
    /// Before a part's bytes go to backends with a quota: reserves them on each, or, with a negative number, gives them back.
    /// What a crash leaves reserved counts until the upload ends.
    ///
    /// - Parameter keeping: copies that must go on; where so many have room, those without are doomed and take no part any more
    func reserve(_ bytes: Int64, for id: UploadID, keeping: Int) async throws(CatalogError) -> PartReservation
    /// Records the part for the copies in `backendETags`; copies of the upload that are missing there are doomed (their
    /// bytes may arrive late). False if the upload is not open. `reserved` bytes become the part's own.
    func record(_ part: UploadPart, of id: UploadID, reserved: Int64) async throws(CatalogError) -> Bool
    /// In order of their numbers, after `after`, at most `limit`.
    func parts(_ id: UploadID, after: Int, limit: Int) async throws(CatalogError) -> [UploadPart]
    /// `open → completing`, or again from `completing` with the same list. `chosen` is (number, ETag) in order.
    func beginComplete(_ id: UploadID, object: ObjectName, chosen: [ChosenPart]) async throws(CatalogError)
        -> BeginCompleteOutcome
    /// Dooms the copies by the fence of the write protocol. Also while it is being completed: its Complete then
    /// loses by the fence. False if there was nothing to abort.
    func abort(_ id: UploadID, object: ObjectName) async throws(CatalogError) -> Bool
    /// Open uploads of a bucket, by key and then id, after the marker.
    func list(_ query: UploadQuery) async throws(CatalogError) -> [Upload]
}

package enum PartReservation: Sendable, Equatable {
    /// Without these, whose backends have no room.
    case reserved(dropped: Set<CopyID>)
    case noSuchUpload
    /// Too few backends of the upload have room for it.
    case overQuota
}

extension UploadLedger {
    /// Of a part for which nothing was reserved.
    package func record(_ part: UploadPart, of id: UploadID) async throws(CatalogError) -> Bool {
        try await record(part, of: id, reserved: 0)
    }
}

package struct ChosenPart: Sendable, Equatable {
    package var number: Int
    /// Without quotes.
    package var etag: String
    package init(number: Int, etag: String) {
        self.number = number
        self.etag = etag
    }
}

package struct UploadQuery: Sendable, Equatable {
    package var bucket: BucketID
    package var prefix: String
    package var afterKey: String?
    package var afterID: UploadID?
    package var limit: Int
    package init(bucket: BucketID, prefix: String = "", afterKey: String? = nil, afterID: UploadID? = nil, limit: Int) {
        self.bucket = bucket
        self.prefix = prefix
        self.afterKey = afterKey
        self.afterID = afterID
        self.limit = limit
    }
}
