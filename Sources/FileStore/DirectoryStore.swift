import Crypto
package import EventLoop
import Glibc
package import HTTP
package import S3

/// A backend in a directory.
///
/// An object becomes visible by one rename, after its bytes and its metadata are on the disk, and is durable when `put` returns:
/// write data, fsync; write sidecar, fsync; rename sidecar, rename data, fsync the directory. A crash in between leaves
/// temporary files or a sidecar without data, never half an object.
package final class DirectoryStore: ObjectStore {
    /// Up to here an object is written by one job of the pool.
    static let singleJobMax: Int64 = 1024 * 1024
    static let readSize = 256 * 1024

    let layout: DirectoryLayout
    let pool: BlockingPool

    /// - Parameter root: an absolute path
    package init(root: String, pool: BlockingPool) {
        layout = DirectoryLayout(root: root)
        self.pool = pool
    }

    package var capabilities: StoreCapabilities {
        StoreCapabilities(conditionalCreate: true, versioned: false, lateArrivalHorizon: .zero)
    }

    /// Makes the root, for a backend that is used for the first time. Later its absence means a disk that is not mounted.
    package func create() async throws(StoreError) {
        let layout = layout
        try await pool.run { () throws(StoreError) in
            guard !Files.exists(layout.scratchPath) else { return }
            try Files.makeDirectories(layout.root, root: "/")
            try Files.makeDirectories(layout.scratchPath, root: layout.root)
        }
    }

    // MARK: Writing

    package func put(
        _ key: String, length: Int64, body: any BodyReader, metadata: StoredMetadata, ifAbsent: Bool
    ) async throws(StoreError) -> StoredObject {
        let path = try layout.path(key)
        let draft = Draft(layout, path)
        do throws(StoreError) {
            if length <= DirectoryStore.singleJobMax {
                let bytes = try await DirectoryStore.collect(body, length)
                try await pool.run { () throws(StoreError) in
                    try draft.begin()
                    try draft.append(bytes)
                    try draft.publish(metadata, ifAbsent: ifAbsent)
                }
            } else {
                try await pool.run { () throws(StoreError) in try draft.begin() }
                try await append(body, length, to: draft)
                try await pool.run { () throws(StoreError) in try draft.publish(metadata, ifAbsent: ifAbsent) }
            }
        } catch {
            await pool.run { draft.discard() }
            throw try await placed(error)
        }
        return StoredObject(size: length, etag: DirectoryStore.etag(length), metadata: metadata)
    }

    func append(_ body: any BodyReader, _ length: Int64, to draft: Draft) async throws(StoreError) {
        var received: Int64 = 0
        while let run = try await DirectoryStore.next(body) {
            received += Int64(run.count)
            guard received <= length else { throw DirectoryStore.failed(.tooLong) }
            try await pool.run { () throws(StoreError) in try draft.append(run) }
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

    /// No MD5: hashing is the writer's; here it is only a token.
    static func etag(_ size: Int64) -> String { "size-\(size)" }

    package func delete(_ key: String, providerVersion: String?) async throws(StoreError) {
        let layout = layout
        let path = try layout.path(key)
        do throws(StoreError) {
            try await pool.run { () throws(StoreError) in
                for one in [path, path + DirectoryLayout.sidecarSuffix] where unlink(one) != 0 && errno != ENOENT && errno != ENOTDIR {
                    throw Files.error("unlink", one)
                }
                var folder = Files.parent(path)
                if Files.exists(folder) { try Files.syncDirectory(folder) }
                // Fails harmlessly where something is left.
                while folder.utf8.count > layout.root.utf8.count, rmdir(folder) == 0 { folder = Files.parent(folder) }
                guard Files.exists(layout.scratchPath) else { throw DirectoryStore.unmounted(layout) }
            }
        } catch {
            throw try await placed(error)
        }
    }

    // MARK: Reading

    package func get(_ key: String, range: ByteRange?) async throws(StoreError) -> StoreReading {
        let path = try layout.path(key)
        do throws(StoreError) {
            let (file, size, first, length) = try await pool.run { () throws(StoreError) in
                try OpenFile.open(path, range: range, firstRead: DirectoryStore.readSize)
            }
            let start = range?.lowerBound ?? 0
            let body = FileBody(file, pool, first: first, offset: start, end: start + length)
            return StoreReading(object: StoredObject(size: size, etag: DirectoryStore.etag(size)), length: length, body: body)
        } catch {
            throw try await placed(error)
        }
    }

    package func head(_ key: String) async throws(StoreError) -> StoredObject {
        let path = try layout.path(key)
        do throws(StoreError) {
            return try await pool.run { () throws(StoreError) in
                var info = stat()
                guard lstat(path, &info) == 0 else { throw Files.error("stat", path) }
                guard info.st_mode & S_IFMT == S_IFREG else {
                    throw StoreError(.noSuchKey, mayArriveLate: false, evidence: "\(path) is no file")
                }
                let size = Int64(info.st_size)
                return StoredObject(
                    size: size, etag: DirectoryStore.etag(size), metadata: try DirectoryStore.metadata(path),
                    modified: WallTime(seconds: Int64(info.st_mtim.tv_sec)))
            }
        } catch {
            throw try await placed(error)
        }
    }

    private static func metadata(_ path: String) throws(StoreError) -> StoredMetadata {
        let sidecar = path + DirectoryLayout.sidecarSuffix
        guard Files.exists(sidecar) else { return StoredMetadata() }
        let fd = try Files.open(sidecar, O_RDONLY)
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: 64 * 1024)
        let got = read(fd, &bytes, bytes.count)
        guard got >= 0 else { throw Files.error("read", sidecar) }
        return Sidecar.decode(Array(bytes[0..<got]))
    }

    package func list(prefix: String, after: String?, limit: Int) async throws(StoreError) -> StoreListing {
        let layout = layout
        return try await pool.run { () throws(StoreError) in
            guard Files.exists(layout.scratchPath) else { throw DirectoryStore.unmounted(layout) }
            var walk = DirectoryWalk(root: layout.root, prefix: prefix, after: after, limit: limit)
            return try walk.run()
        }
    }

    // MARK: Presence

    static func unmounted(_ layout: DirectoryLayout) -> StoreError {
        StoreError(.wrongLocation, mayArriveLate: false, evidence: "\(layout.root) is not a directory of Sluice: is its disk mounted?")
    }

    /// Absence of a file means something only while the directory itself is there.
    func placed(_ error: StoreError) async throws(StoreError) -> StoreError {
        guard error.code == .noSuchKey else { return error }
        let layout = layout
        let isThere = await pool.run { Files.exists(layout.scratchPath) }
        return isThere ? error : DirectoryStore.unmounted(layout)
    }
}
