import Glibc
import S3

/// Where an object's files are below the root of a directory backend.
///
/// The data of key `K` is the file `ROOT/K`, so that a person finds it; its metadata is beside it in `ROOT/K~meta`. Sluice's own
/// names have exactly one `~` in their last segment and none before, so neither a folder nor a sidecar can meet an object.
struct DirectoryLayout: Sendable {
    static let sidecarSuffix = "~meta"
    /// Temporary files and open uploads; on the same file system as the data, for rename.
    static let scratch = ".sluice-tmp"

    let root: String

    var scratchPath: String { root + "/" + DirectoryLayout.scratch }

    /// Throws `rejected` for a key that could leave the root, meet a sidecar, or that no file system takes.
    func path(_ key: String) throws(StoreError) -> String {
        let segments = key.split(separator: "/", omittingEmptySubsequences: false)
        let isSafe =
            !key.isEmpty && key.utf8.count <= 1024
            && segments.allSatisfy { segment in
                !segment.isEmpty && segment != "." && segment != ".." && segment.utf8.count <= 240
                    && !segment.utf8.contains(0) && !segment.hasSuffix(DirectoryLayout.sidecarSuffix)
            }
        guard isSafe, segments.first.map(String.init) != DirectoryLayout.scratch else {
            throw StoreError(.rejected, mayArriveLate: false, evidence: "the name cannot be a file below \(root)")
        }
        return root + "/" + key
    }

    func uploadPath(_ uploadID: String) throws(StoreError) -> String {
        guard uploadID.utf8.count == 32, uploadID.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else {
            throw StoreError(.noSuchUpload, mayArriveLate: false, evidence: "malformed upload id")
        }
        return scratchPath + "/upload-" + uploadID
    }
}

/// System calls with errors as `StoreError`. Everything here blocks, and runs on the pool.
enum Files {
    static func error(_ operation: String, _ path: String) -> StoreError {
        let code = errno
        let evidence = "\(operation) \(path): \(String(cString: strerror(code)))"
        switch code {
        case ENOENT, ENOTDIR: return StoreError(.noSuchKey, mayArriveLate: false, evidence: evidence)
        case ENOSPC, EDQUOT, EFBIG: return StoreError(.noSpace, mayArriveLate: false, evidence: evidence)
        case EACCES, EPERM, EROFS: return StoreError(.accessDenied, mayArriveLate: false, evidence: evidence)
        case EEXIST: return StoreError(.alreadyExists, mayArriveLate: false, evidence: evidence)
        default: return StoreError(.serverError, mayArriveLate: false, evidence: evidence)
        }
    }

    static func open(_ path: String, _ flags: CInt, mode: mode_t = 0o600) throws(StoreError) -> CInt {
        while true {
            let fd = Glibc.open(path, flags | O_CLOEXEC | O_NOFOLLOW, mode)
            if fd >= 0 { return fd }
            if errno != EINTR { throw error("open", path) }
        }
    }

    static func writeAll(_ fd: CInt, _ bytes: UnsafeRawBufferPointer, _ path: String) throws(StoreError) {
        var offset = 0
        while offset < bytes.count {
            let put = write(fd, bytes.baseAddress?.advanced(by: offset), bytes.count - offset)
            if put < 0, errno == EINTR { continue }
            guard put > 0 else { throw error("write", path) }
            offset += put
        }
    }

    static func sync(_ fd: CInt, _ path: String) throws(StoreError) {
        guard fsync(fd) == 0 else { throw error("fsync", path) }
    }

    /// A rename or a new name is durable only once its directory is.
    static func syncDirectory(_ path: String) throws(StoreError) {
        let fd = try open(path, O_RDONLY | O_DIRECTORY)
        defer { close(fd) }
        try sync(fd, path)
    }

    static func parent(_ path: String) -> String {
        String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    }

    /// Makes a directory and those above it up to `root`, each durable in its parent.
    static func makeDirectories(_ path: String, root: String) throws(StoreError) {
        if mkdir(path, 0o700) == 0 { return try syncDirectory(parent(path)) }
        switch errno {
        case EEXIST: return
        case ENOENT where path.utf8.count > root.utf8.count:
            try makeDirectories(parent(path), root: root)
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw error("mkdir", path) }
            try syncDirectory(parent(path))
        default: throw error("mkdir", path)
        }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}
