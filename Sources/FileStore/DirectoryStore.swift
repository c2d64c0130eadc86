package import EventLoop
import Glibc
package import HTTP
package import S3
import Synchronization

/// A backend in a directory.
///
/// An object is a file and, beside it, its metadata (names: `ObjectPath`). It appears with both or not at all, and is durable when
/// `put` returns (order of effects: `Draft.publish`). Any number of processes may share a directory: names are locked with flock,
/// and no name leaves the root. An object of up to 1 MiB is written by one job of the pool, and read by one.
package final class DirectoryStore: ObjectStore {
    /// Up to here the bytes are collected first and an object is written by one job of the pool.
    static let singleJobBytesMax: Int64 = 1024 * 1024
    static let readBytesMax = 256 * 1024

    let path: String
    let pool: BlockingPool
    let durable = DurableFolders()
    private let isSwept = Mutex(false)

    /// - Parameter root: an absolute path
    package init(root: String, pool: BlockingPool) {
        var path = root
        while path.utf8.count > 1, path.utf8.last == UInt8(ascii: "/") { path.removeLast() }
        self.path = path
        self.pool = pool
    }

    package var capabilities: StoreCapabilities {
        StoreCapabilities(conditionalCreate: true, versioned: false, lateArrivalHorizon: .zero)
    }

    /// Makes the root, for a backend that is used for the first time. Later its absence means a disk that is not mounted.
    package func create() async throws(StoreError) {
        let path = path
        try await pool.disk(.reading, path) { () throws(StoreError) in try StoreRoot.create(path) }
    }

    /// Removes what processes that died have left in the scratch folder; safe beside living ones. The first write of each store does
    /// it too.
    /// - Returns: how many files and uploads it removed
    @discardableResult
    package func removeLeftovers() async throws(StoreError) -> Int {
        let path = path
        return try await pool.disk(.writing, path) { () throws(StoreError) in
            try Leftovers.sweep(try StoreRoot.open(path))
        }
    }

    /// For jobs that write. Blocks.
    func openForWriting() throws(StoreError) -> StoreRoot {
        let root = try StoreRoot.open(path)
        let isFirst = isSwept.withLock { isSwept in
            defer { isSwept = true }
            return !isSwept
        }
        if isFirst { try Leftovers.sweep(root) }
        return root
    }

    // MARK: Writing

    package func put(
        _ key: String, length: Int64, body: any BodyReader, metadata: StoredMetadata, ifAbsent: Bool
    ) async throws(StoreError) -> StoredObject {
        let path = try ObjectPath(key)
        let draft = Draft()
        do throws(StoreError) {
            if length <= DirectoryStore.singleJobBytesMax {
                let bytes = try await DirectoryStore.collect(body, length)
                try await pool.disk(.writing, self.path) { [self] () throws(StoreError) in
                    try draft.begin(try openForWriting())
                    try draft.append(bytes)
                    try draft.publish(path, metadata, ifAbsent: ifAbsent, durable)
                }
            } else {
                try await pool.disk(.writing, self.path) { [self] () throws(StoreError) in
                    try draft.begin(try openForWriting())
                }
                try await append(body, length, to: draft)
                try await pool.disk(.flushing, self.path) { [durable] () throws(StoreError) in
                    try draft.publish(path, metadata, ifAbsent: ifAbsent, durable)
                }
            }
        } catch {
            await discard(draft, after: error)
            throw error
        }
        return StoredObject(size: length, etag: OpenFile.etag(length), metadata: metadata)
    }

    /// Not while a job that was left behind may still be at it: then it goes with that job, and its file with the next sweep.
    func discard(_ draft: Draft, after error: StoreError) async {
        guard error.code != .timedOut else {
            draft.abandon()
            return isSwept.withLock { $0 = false }
        }
        do throws(StoreError) { try await pool.disk(.writing, path) { draft.discard() } } catch { return }
    }

    func append(_ body: any BodyReader, _ length: Int64, to draft: Draft) async throws(StoreError) {
        var received: Int64 = 0
        while let run = try await DirectoryStore.next(body) {
            received += Int64(run.count)
            guard received <= length else { throw DirectoryStore.failed(.tooLong) }
            try await pool.disk(.writing, path) { () throws(StoreError) in try draft.append(run) }
        }
        guard received == length else { throw DirectoryStore.failed(.truncated) }
    }

    static func collect(_ body: any BodyReader, _ length: Int64) async throws(StoreError) -> Bytes {
        do throws(BodyError) {
            let bytes = try await body.collect(limit: Int(length))
            guard Int64(bytes.count) == length else { throw .truncated }
            return bytes
        } catch {
            throw failed(error)
        }
    }

    private static func next(_ body: any BodyReader) async throws(StoreError) -> Bytes? {
        do throws(BodyError) { return try await body.next() } catch { throw failed(error) }
    }

    private static func failed(_ error: BodyError) -> StoreError {
        StoreError(.bodyFailed, mayArriveLate: false, evidence: "\(error)", bodyError: error)
    }

    /// Reading is what verifies a copy here, and it costs what a copy costs.
    package func copy(
        _ source: String, to key: String, metadata: StoredMetadata
    ) async throws(StoreError) -> StoredObject {
        throw StoreError(.notSupported, mayArriveLate: false, evidence: "a directory copies by reading")
    }

    package func delete(_ key: String, providerVersion: String?) async throws(StoreError) {
        let path = try ObjectPath(key)
        try await pool.disk(.writing, self.path) { [self] () throws(StoreError) in
            let root = try openForWriting()
            guard let chain = try root.chain(path), let folder = chain.last else { return }
            try root.withLock(path) { () throws(StoreError) in
                // Without its metadata it is no object any more, whatever happens next.
                try folder.remove(path.sidecar)
                try folder.remove(path.file)
            }
            // Also if nothing was there: an earlier delete may have ended before its fsync.
            try folder.sync()
            removeEmpty(chain, path)
        }
    }

    /// From the deepest up, until one is not empty; the root stays.
    private func removeEmpty(_ chain: [Folder], _ path: ObjectPath) {
        for index in stride(from: chain.count - 1, to: 0, by: -1) {
            guard chain[index - 1].removeFolder(path.folders[index - 1]) else { return }
            durable.forget(chain[index])
        }
    }

    // MARK: Reading

    package func get(_ key: String, range: ByteRange?) async throws(StoreError) -> StoreReading {
        let path = try ObjectPath(key)
        let root = self.path
        return try await pool.disk(.reading, root) { [pool] () throws(StoreError) in
            let file = try OpenFile.open(path, in: try StoreRoot.open(root))
            let size = file.object.size
            if let range, range.upperBound > size {
                throw StoreError(.invalidRange, mayArriveLate: false, evidence: "\(path.file) has \(size) bytes")
            }
            let (start, end) = (range?.lowerBound ?? 0, range?.upperBound ?? size)
            let first = try file.read(at: start, Int(min(end - start, Int64(DirectoryStore.readBytesMax))))
            let body = FileBody(file, pool, first: first, offset: start, end: end)
            return StoreReading(object: file.object, length: end - start, body: body)
        }
    }

    package func head(_ key: String) async throws(StoreError) -> StoredObject {
        let path = try ObjectPath(key)
        let root = self.path
        return try await pool.disk(.reading, root) { () throws(StoreError) in
            try OpenFile.open(path, in: try StoreRoot.open(root)).object
        }
    }

    package func list(prefix: String, after: String?, limit: Int) async throws(StoreError) -> StoreListing {
        let root = path
        return try await pool.disk(.reading, path) { () throws(StoreError) in
            var walk = DirectoryWalk(prefix: prefix, after: after, limit: limit)
            return try walk.run(try StoreRoot.open(root).root)
        }
    }
}
