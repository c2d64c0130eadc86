import EventLoop
import Glibc
import HTTP
import S3
import Synchronization

/// An object's open file with the metadata that belongs to it. Closed with its last reference.
final class OpenFile: Sendable {
    let object: StoredObject
    private let fd: CInt
    let path: String

    private init(fd: CInt, path: String, object: StoredObject) {
        self.fd = fd
        self.path = path
        self.object = object
    }

    deinit { close(fd) }

    /// Data and metadata of one write, never of two; `noSuchKey` unless both are there. Blocks.
    static func open(_ path: ObjectPath, in root: StoreRoot) throws(StoreError) -> OpenFile {
        if let file = try glance(path, root) { return file }
        // A write of the same name is between its steps, or ended there: look again when no writer can be.
        if let file = try root.withReadLock(path, { () throws(StoreError) in try glance(path, root) }) { return file }
        throw StoreError(
            .noSuchKey, mayArriveLate: false, evidence: "\(path.file) has no metadata: a write that did not end")
    }

    /// Nil if what it saw may be of two writes.
    private static func glance(_ path: ObjectPath, _ root: StoreRoot) throws(StoreError) -> OpenFile? {
        guard let folder = try root.chain(path)?.last else {
            throw StoreError(.noSuchKey, mayArriveLate: false, evidence: "no folder for \(path.file)")
        }
        let fd = try folder.file(path.file, O_RDONLY)
        let place = folder.path + "/" + path.file
        do throws(StoreError) {
            var info = stat()
            guard fstat(fd, &info) == 0 else { throw Folder.failure("fstat", place) }
            guard info.st_mode & S_IFMT == S_IFREG else {
                throw StoreError(.rejected, mayArriveLate: false, evidence: "\(place) is no regular file")
            }
            // A writer takes the old metadata away first: so if the data is still in its place after the metadata was
            // read, both are of one write.
            guard let metadata = try sidecar(path, folder), let after = try folder.status(path.file),
                after.st_ino == info.st_ino
            else {
                close(fd)
                return nil
            }
            let object = StoredObject(
                size: Int64(info.st_size), etag: etag(Int64(info.st_size)), metadata: metadata, modified: modified(info)
            )
            return OpenFile(fd: fd, path: place, object: object)
        } catch {
            close(fd)
            throw error
        }
    }

    private static func sidecar(_ path: ObjectPath, _ folder: Folder) throws(StoreError) -> StoredMetadata? {
        let fd: CInt
        do throws(StoreError) {
            fd = try folder.file(path.sidecar, O_RDONLY)
        } catch {
            if error.code == .noSuchKey { return nil }
            throw error
        }
        defer { close(fd) }
        let place = folder.path + "/" + path.sidecar
        return try Sidecar.decode(try FileDescriptor.readAll(fd, limit: Sidecar.bytesMax, place), place)
    }

    /// No MD5: hashing is the writer's; here it is only a token.
    static func etag(_ size: Int64) -> String { "size-\(size)" }

    static func modified(_ info: stat) -> WallTime {
        WallTime(seconds: Int64(info.st_mtim.tv_sec), nanoseconds: Int32(info.st_mtim.tv_nsec))
    }

    func read(at offset: Int64, _ count: Int) throws(StoreError) -> Bytes {
        try Bytes(capacity: count) { (buffer) throws(StoreError) in
            var done = 0
            while done < count {
                let got = pread(fd, buffer.baseAddress?.advanced(by: done), count - done, off_t(offset) + off_t(done))
                if got < 0, errno == EINTR { continue }
                guard got >= 0 else { throw Folder.failure("pread", path) }
                if got == 0 {
                    throw StoreError(.corrupt, mayArriveLate: false, evidence: "\(path) is shorter than it was")
                }
                done += got
            }
            return done
        }
    }
}

/// The bytes of a file, one pooled read a run.
final class FileBody: BodyReader {
    private struct State {
        var first: Bytes?
        var offset: Int64
        var failure: BodyError?
    }

    private let file: OpenFile
    private let pool: BlockingPool
    private let end: Int64
    private let state: Mutex<State>

    /// - Parameter first: what was read already, at `offset`
    init(_ file: OpenFile, _ pool: BlockingPool, first: Bytes, offset: Int64, end: Int64) {
        self.file = file
        self.pool = pool
        self.end = end
        state = Mutex(State(first: first.isEmpty ? nil : first, offset: offset))
    }

    func next() async throws(BodyError) -> Bytes? {
        let (first, offset, failure) = state.withLock { state in
            defer {
                state.offset += Int64(state.first?.count ?? 0)
                state.first = nil
            }
            return (state.first, state.offset, state.failure)
        }
        if let failure { throw failure }
        if let first { return first }
        guard offset < end else { return nil }
        let file = file
        let count = Int(min(end - offset, Int64(DirectoryStore.readBytesMax)))
        do throws(StoreError) {
            let run = try await pool.disk(.reading, file.path) { () throws(StoreError) in
                try file.read(at: offset, count)
            }
            state.withLock { $0.offset += Int64(run.count) }
            return run
        } catch {
            let failure = BodyError.source(error.evidence)
            state.withLock { $0.failure = failure }
            throw failure
        }
    }
}
