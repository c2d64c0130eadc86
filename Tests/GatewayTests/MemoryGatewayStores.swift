import Catalog
import Crypto
import Gateway
import HTTP
import S3
import Synchronization

/// What stands behind the gateway in its tests: the catalog's answers and the bytes, in memory, under one lock.
/// It follows the stores' contracts and nothing more; failures are scripted.
final class MemoryGatewayStores: ObjectIndex, WriteLedger, UploadLedger, ObjectTransfer {
    struct Stored: Sendable {
        var version: Version
        var content: [UInt8]
    }
    struct State: Sendable {
        var objects: [[UInt8]: Stored] = [:]
        var uploads: [UploadID: Upload] = [:]
        var parts: [UploadID: [Int: UploadPart]] = [:]
        var partContent: [UploadID: [Int: [UInt8]]] = [:]
        var completed: [UploadID: Written] = [:]
        var calls = 0
        var sequence: Int64 = 0
        var nextID: UInt64 = 1
        /// Thrown by the next calls to the catalog, until it is set to nil.
        var catalogFailure: CatalogError?
        /// Thrown by the next calls that move bytes.
        var transferFailure: TransferFailure?
        /// How many reads fail before one succeeds.
        var failingReads = 0
        /// Bytes after which a read's body fails.
        var readBreaksAfter: Int?
        var lastListing: ListingQuery?
    }
    let state = Mutex(State())
    /// Awaited by Complete, so that a test may hold it.
    let completeGate: @Sendable () async -> Void

    init(completeGate: @escaping @Sendable () async -> Void = {}) { self.completeGate = completeGate }

    static let committedAt: Int64 = 1_700_000_000_250_000

    private static func name(_ object: ObjectName) -> [UInt8] { Array("\(object.bucket.raw)/\(object.key)".utf8) }

    func content(_ bucket: ServedBucket, _ key: String) -> [UInt8]? {
        state.withLock { $0.objects[Self.name(ObjectName(bucket: bucket.id, key: key))]?.content }
    }

    private func counted() throws(CatalogError) {
        let failure = state.withLock { state in
            state.calls += 1
            return state.catalogFailure
        }
        if let failure { throw failure }
    }

    private func countedTransfer() throws(TransferFailure) {
        let failure = state.withLock { state in
            state.calls += 1
            return state.transferFailure
        }
        if let failure { throw failure }
    }

    // MARK: ObjectIndex

    func current(_ object: ObjectName) async throws(CatalogError) -> PlacedVersion? {
        try counted()
        return state.withLock { $0.objects[Self.name(object)] }.map { PlacedVersion(version: $0.version, copies: []) }
    }

    /// The naive listing: every key is looked at.
    func list(_ query: ListingQuery) async throws(CatalogError) -> ListingPage {
        try counted()
        let versions = state.withLock { state in
            state.lastListing = query
            return state.objects.values.map(\.version).filter { $0.object.bucket == query.bucket }
        }
        var items: [ListingPage.Item] = []
        var last: ListingPosition?
        for version in versions.sorted(by: { $0.object < $1.object }) {
            let key = version.object.key
            guard key.utf8.starts(with: query.prefix.utf8), Self.isAfter(key, query.position), Self.isAfter(key, last) else {
                continue
            }
            guard items.count < query.limit else { return ListingPage(items: items, next: last) }
            if let delimiter = query.delimiter, let group = Self.group(key, query.prefix, delimiter) {
                items.append(.commonPrefix(group))
                last = .past(prefix: group)
            } else {
                items.append(
                    .object(
                        ListedObject(
                            key: key, size: version.size, etag: version.digests.etag, committedAt: version.committedAt)))
                last = .after(key)
            }
        }
        return ListingPage(items: items, next: nil)
    }

    private static func isAfter(_ key: String, _ position: ListingPosition?) -> Bool {
        switch position {
        case nil: true
        case .after(let other): other.utf8.lexicographicallyPrecedes(key.utf8)
        case .past(let prefix): prefix.utf8.lexicographicallyPrecedes(key.utf8) && !key.utf8.starts(with: prefix.utf8)
        }
    }

    private static func group(_ key: String, _ prefix: String, _ delimiter: String) -> String? {
        let rest = Array(key.utf8.dropFirst(prefix.utf8.count))
        let end = Array(delimiter.utf8)
        guard rest.count >= end.count else { return nil }
        guard let at = (0...(rest.count - end.count)).first(where: { rest[$0...].starts(with: end) }) else { return nil }
        return prefix + String(decoding: rest[..<(at + end.count)], as: UTF8.self)
    }

    func markSuspect(_ copy: CopyID) async throws(CatalogError) -> Bool { false }

    // MARK: WriteLedger: only delete is the gateway's own call

    func intend(_ intent: WriteIntent) async throws(CatalogError) -> IntentOutcome {
        throw .internalError(evidence: "not the gateway's call")
    }
    func commit(_ commit: WriteCommit) async throws(CatalogError) -> CommitOutcome {
        throw .internalError(evidence: "not the gateway's call")
    }
    func resolve(_ version: VersionID, readGrace: Duration) async throws(CatalogError) -> WriteResolution {
        throw .internalError(evidence: "not the gateway's call")
    }
    func renew(_ version: VersionID, token: LeaseToken, lease: Duration) async throws(CatalogError) -> Bool {
        throw .internalError(evidence: "not the gateway's call")
    }
    func giveUp(_ version: VersionID, token: LeaseToken, late: [CopyID]) async throws(CatalogError) {
        throw .internalError(evidence: "not the gateway's call")
    }

    func delete(
        bucket: BucketID, _ requests: [DeleteRequest], readGrace: Duration
    ) async throws(CatalogError) -> [DeleteOutcome] {
        try counted()
        return state.withLock { state in
            requests.map { request in
                let name = Self.name(ObjectName(bucket: bucket, key: request.key))
                switch request.precondition.verdict(current: state.objects[name]?.version.digests.etag) {
                case .failed: return .preconditionFailed
                case .noSuchKey: return .noSuchKey
                case .passes:
                    state.objects[name] = nil
                    return .deleted
                }
            }
        }
    }

    // MARK: ObjectTransfer

    func write(
        _ order: WriteOrder, body: IncomingBody, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> Written {
        try countedTransfer()
        let content = try await Self.collect(body)
        guard let digests = body.digests else { throw .unknownOutcome }
        return try store(order.object, order.headers, order.precondition, content, digests, [])
    }

    private static func collect(_ body: IncomingBody) async throws(TransferFailure) -> [UInt8] {
        do throws(BodyError) { return try await body.reader.collect(limit: 1 << 26).array } catch { throw .body(error) }
    }

    private func store(
        _ object: ObjectName, _ headers: ObjectHeaders, _ precondition: WritePrecondition, _ content: [UInt8],
        _ digests: ContentDigests, _ partSizes: [Int64]
    ) throws(TransferFailure) -> Written {
        let verdict: WritePrecondition.Verdict = state.withLock { state in
            let name = Self.name(object)
            let verdict = precondition.verdict(current: state.objects[name]?.version.digests.etag)
            guard verdict == .passes else { return verdict }
            state.sequence += 1
            let version = Version(
                id: VersionID(ID128(high: 1, low: UInt64(state.sequence))), object: object, size: Int64(content.count),
                digests: digests, headers: headers, partSizes: partSizes, committedAt: Self.committedAt,
                sequence: state.sequence)
            state.objects[name] = Stored(version: version, content: content)
            return .passes
        }
        switch verdict {
        case .passes: return Written(digests: digests, size: Int64(content.count), committedAt: Self.committedAt)
        case .failed: throw .preconditionFailed
        case .noSuchKey: throw .noSuchKey
        }
    }

    func read(
        _ placed: PlacedVersion, range: ByteRange?, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> any BodyReader {
        try countedTransfer()
        let (fails, breaksAfter, stored) = state.withLock { state in
            state.failingReads -= 1
            return (state.failingReads >= 0, state.readBreaksAfter, state.objects[Self.name(placed.version.object)])
        }
        guard !fails, let stored else { throw .unreadable(evidence: "scripted") }
        let all = range.map { Array(stored.content[Int($0.lowerBound)..<Int($0.upperBound)]) } ?? stored.content
        if let breaksAfter { return BrokenBody(Bytes(all.prefix(breaksAfter))) }
        return BytesReader(Bytes(all))
    }

    func createUpload(_ order: UploadOrder, in snapshot: GatewaySnapshot) async throws(TransferFailure) -> UploadID {
        try countedTransfer()
        return state.withLock { state in
            state.nextID += 1
            let id = UploadID(ID128(high: 7, low: state.nextID))
            state.uploads[id] = Upload(
                id: id, object: order.write.object, version: VersionID(ID128(high: 2, low: state.nextID)),
                token: LeaseToken(ID128(high: 3, low: state.nextID)), state: .open, headers: order.write.headers,
                checksumAlgorithm: order.checksumAlgorithm?.rawValue, checksumType: order.checksumType, copies: [],
                createdAt: Self.committedAt)
            return id
        }
    }

    func writePart(
        _ upload: Upload, number: Int, body: IncomingBody, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> UploadPart {
        try countedTransfer()
        let content = try await Self.collect(body)
        guard let digests = body.digests else { throw .unknownOutcome }
        let part = UploadPart(
            number: number, attempt: upload.token, size: Int64(content.count), etag: digests.etag,
            checksums: digests.checksums, backendETags: [:], modifiedAt: Self.committedAt)
        state.withLock { state in
            state.parts[upload.id, default: [:]][number] = part
            state.partContent[upload.id, default: [:]][number] = content
        }
        return part
    }

    func completeUpload(_ order: CompleteOrder, in snapshot: GatewaySnapshot) async throws(TransferFailure) -> Written {
        try countedTransfer()
        await completeGate()
        let (upload, parts, contents, earlier) = state.withLock { state in
            (
                state.uploads[order.upload], state.parts[order.upload] ?? [:], state.partContent[order.upload] ?? [:],
                state.completed[order.upload]
            )
        }
        if let earlier { return earlier }
        guard let upload else { throw .noSuchUpload }
        var chosen: [UploadPart] = []
        for one in order.chosen {
            guard let part = parts[one.number], part.etag == one.etag else { throw .invalidPart(number: one.number) }
            chosen.append(part)
        }
        let written = try store(
            upload.object, upload.headers, order.precondition, chosen.flatMap { contents[$0.number] ?? [] },
            order.digests(upload, chosen), chosen.map(\.size))
        state.withLock { state in
            state.uploads[order.upload]?.state = .completed
            state.parts[order.upload] = nil
            state.completed[order.upload] = written
        }
        return written
    }

    // MARK: UploadLedger

    func create(_ intent: UploadIntent) async throws(CatalogError) -> IntentOutcome {
        throw .internalError(evidence: "not the gateway's call")
    }
    func open(_ id: UploadID, backendUploadIDs: [CopyID: String]) async throws(CatalogError) -> Bool { false }
    func record(_ part: UploadPart, of id: UploadID) async throws(CatalogError) -> Bool { false }
    func beginComplete(
        _ id: UploadID, object: ObjectName, chosen: [ChosenPart]
    ) async throws(CatalogError) -> BeginCompleteOutcome { .noSuchUpload }

    func find(_ id: UploadID, object: ObjectName) async throws(CatalogError) -> Upload? {
        try counted()
        return state.withLock { $0.uploads[id] }.flatMap { $0.object == object ? $0 : nil }
    }

    func parts(_ id: UploadID, after: Int, limit: Int) async throws(CatalogError) -> [UploadPart] {
        try counted()
        let parts = state.withLock { $0.parts[id] ?? [:] }
        return Array(parts.values.filter { $0.number > after }.sorted { $0.number < $1.number }.prefix(limit))
    }

    func abort(_ id: UploadID, object: ObjectName, force: Bool) async throws(CatalogError) -> Bool {
        try counted()
        return state.withLock { state in
            guard state.uploads[id]?.state == .open, state.uploads[id]?.object == object else { return false }
            state.uploads[id] = nil
            return true
        }
    }

    func list(_ query: UploadQuery) async throws(CatalogError) -> [Upload] {
        try counted()
        let open = state.withLock { state in
            state.uploads.values.filter { $0.state == .open && $0.object.bucket == query.bucket }
        }
        let sorted = open.sorted { ($0.object.key, $0.id) < ($1.object.key, $1.id) }
        return Array(
            sorted.filter { upload in
                guard upload.object.key.hasPrefix(query.prefix) else { return false }
                guard let key = query.afterKey else { return true }
                return upload.object.key > key || upload.object.key == key && (query.afterID.map { upload.id > $0 } ?? false)
            }.prefix(query.limit))
    }
}

/// Yields some bytes and then fails, as a backend does that dies in the middle.
final class BrokenBody: BodyReader {
    private let first: BytesReader
    private let failure: BodyError
    init(_ bytes: Bytes, _ failure: BodyError = .source("scripted")) {
        first = BytesReader(bytes)
        self.failure = failure
    }
    func next() async throws(BodyError) -> Bytes? {
        if let run = try await first.next() { return run }
        throw failure
    }
}
