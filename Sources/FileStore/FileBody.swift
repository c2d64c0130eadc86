import EventLoop
import Glibc
import HTTP
import S3
import Synchronization

/// An open file that is closed with its last reference.
final class OpenFile: Sendable {
    let fd: CInt
    let path: String

    private init(fd: CInt, path: String) {
        self.fd = fd
        self.path = path
    }

    deinit { close(fd) }

    /// Opens, sizes and reads the first run, all in one job. Blocks.
    static func open(
        _ path: String, range: ByteRange?, firstRead: Int
    ) throws(StoreError) -> (file: OpenFile, size: Int64, first: Bytes, length: Int64) {
        let file = OpenFile(fd: try Files.open(path, O_RDONLY), path: path)
        var info = stat()
        guard fstat(file.fd, &info) == 0 else { throw Files.error("fstat", path) }
        guard info.st_mode & S_IFMT == S_IFREG else {
            throw StoreError(.noSuchKey, mayArriveLate: false, evidence: "\(path) is no file")
        }
        let size = Int64(info.st_size)
        if let range, range.upperBound > size {
            throw StoreError(.invalidRange, mayArriveLate: false, evidence: "\(path) has \(size) bytes")
        }
        let length = range?.length ?? size
        let first = try file.read(at: range?.lowerBound ?? 0, Int(min(length, Int64(firstRead))))
        return (file, size, first, length)
    }

    func read(at offset: Int64, _ count: Int) throws(StoreError) -> Bytes {
        try Bytes(capacity: count) { (buffer) throws(StoreError) in
            var done = 0
            while done < count {
                let got = pread(fd, buffer.baseAddress?.advanced(by: done), count - done, off_t(offset) + off_t(done))
                if got < 0, errno == EINTR { continue }
                guard got >= 0 else { throw Files.error("pread", path) }
                if got == 0 { throw StoreError(.corrupt, mayArriveLate: false, evidence: "\(path) is shorter than it was") }
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
    }
    private let file: OpenFile
    private let pool: BlockingPool
    private let end: Int64
    private let state: Mutex<State>

    init(_ file: OpenFile, _ pool: BlockingPool, first: Bytes, offset: Int64, end: Int64) {
        self.file = file
        self.pool = pool
        self.end = end
        state = Mutex(State(first: first, offset: offset))
    }

    func next() async throws(BodyError) -> Bytes? {
        let first: Bytes? = state.withLock { state in
            defer { state.first = nil }
            if let first = state.first { state.offset += Int64(first.count) }
            return state.first
        }
        if let first, !first.isEmpty { return first }
        let offset = state.withLock { $0.offset }
        guard offset < end else { return nil }
        let file = file
        let count = Int(min(end - offset, Int64(DirectoryStore.readSize)))
        do throws(StoreError) {
            let run = try await pool.run { () throws(StoreError) in try file.read(at: offset, count) }
            state.withLock { $0.offset += Int64(run.count) }
            return run
        } catch {
            throw .source(error.evidence)
        }
    }
}
