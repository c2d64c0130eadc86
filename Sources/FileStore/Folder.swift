import Glibc
import S3

/// An open folder. Every name is one segment below it and no symbolic link is followed, so nothing that other programs change
/// meanwhile can lead a call out of the root. All calls block, and run on the pool.
final class Folder: Sendable {
    let fd: CInt
    /// For evidence only.
    let path: String

    private init(fd: CInt, path: String) {
        self.fd = fd
        self.path = path
    }

    deinit { close(fd) }

    /// The one place where a whole path is used: the operator's own, symbolic links included.
    static func open(root path: String) throws(StoreError) -> Folder {
        let fd = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard fd >= 0 else { throw failure("open", path) }
        return Folder(fd: fd, path: path)
    }

    /// `errno` as a `StoreError`.
    static func failure(_ operation: String, _ path: String, _ code: CInt = errno) -> StoreError {
        let evidence = "\(operation) \(path): \(String(cString: strerror(code)))"
        switch code {
        case ENOENT: return StoreError(.noSuchKey, mayArriveLate: false, evidence: evidence)
        case ENOSPC, EDQUOT, EFBIG: return StoreError(.noSpace, mayArriveLate: false, evidence: evidence)
        case EACCES, EPERM, EROFS: return StoreError(.accessDenied, mayArriveLate: false, evidence: evidence)
        // A symbolic link, or a file of another program, where a folder should be.
        case ENOTDIR, ELOOP, ENAMETOOLONG: return StoreError(.rejected, mayArriveLate: false, evidence: evidence)
        default: return StoreError(.serverError, mayArriveLate: false, evidence: evidence)
        }
    }

    func failure(_ operation: String, _ name: String) -> StoreError { Folder.failure(operation, path + "/" + name) }

    /// Nil if there is none.
    func child(_ name: String) throws(StoreError) -> Folder? {
        let fd = openat(self.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if fd >= 0 { return Folder(fd: fd, path: path + "/" + name) }
        if errno == ENOENT { return nil }
        throw failure("open", name)
    }

    /// Makes the folder if need be. Nil if it, or this one, was removed meanwhile.
    func makeChild(_ name: String) throws(StoreError) -> Folder? {
        if let there = try child(name) { return there }
        guard mkdirat(fd, name, 0o700) == 0 || errno == EEXIST else {
            if errno == ENOENT { return nil }
            throw failure("mkdir", name)
        }
        return try child(name)
    }

    /// A regular file. `ENOENT` is `noSuchKey`.
    func file(_ name: String, _ flags: CInt) throws(StoreError) -> CInt {
        while true {
            // Without waiting, since opening a pipe that another program left here would never end.
            let fd = openat(self.fd, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0o600)
            if fd >= 0 { return fd }
            if errno != EINTR { throw failure("open", name) }
        }
    }

    /// Nil if there is nothing of that name.
    func status(_ name: String) throws(StoreError) -> stat? {
        var info = stat()
        if fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 { return info }
        if errno == ENOENT { return nil }
        throw failure("stat", name)
    }

    func has(_ name: String) throws(StoreError) -> Bool { try status(name) != nil }

    /// Absence is success. Returns whether there was one.
    @discardableResult
    func remove(_ name: String) throws(StoreError) -> Bool {
        if unlinkat(fd, name, 0) == 0 { return true }
        if errno == ENOENT { return false }
        throw failure("unlink", name)
    }

    /// Whether an empty folder was removed.
    func removeFolder(_ name: String) -> Bool { unlinkat(fd, name, AT_REMOVEDIR) == 0 }

    /// Atomic, and replaces. `ENOENT` is `noSuchKey`: one of the folders was removed.
    func move(_ name: String, to target: Folder, _ newName: String) throws(StoreError) {
        guard renameat(fd, name, target.fd, newName) == 0 else { throw target.failure("rename", newName) }
    }

    /// A new name is durable only when its folder is.
    func sync() throws(StoreError) { guard fsync(fd) == 0 else { throw Folder.failure("fsync", path) } }

    var inode: UInt64 {
        var info = stat()
        return fstat(fd, &info) == 0 ? UInt64(info.st_ino) : 0
    }

    /// Calls `body` with each name and its `d_type`, in no order, until it returns false. Names that are not UTF-8 are not ours.
    func forEachName(_ body: (String, UInt8) throws(StoreError) -> Bool) throws(StoreError) {
        // A descriptor of its own, for closedir closes it and the position is shared with its copies.
        let again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard again >= 0 else {
            if errno == ENOENT { return }
            throw failure("open", ".")
        }
        guard let stream = fdopendir(again) else {
            close(again)
            throw failure("opendir", ".")
        }
        defer { closedir(stream) }
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw failure("readdir", ".") }
                return
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(validatingCString: $0) }
            }
            guard let name, name != ".", name != ".." else { continue }
            guard try body(name, entry.pointee.d_type) else { return }
        }
    }
}

/// Reading and writing by descriptor.
enum FileDescriptor {
    static func writeAll(_ fd: CInt, _ bytes: UnsafeRawBufferPointer, _ path: String) throws(StoreError) {
        var offset = 0
        while offset < bytes.count {
            let count = write(fd, bytes.baseAddress?.advanced(by: offset), bytes.count - offset)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Folder.failure("write", path) }
            offset += count
        }
    }

    static func writeAll(_ fd: CInt, _ bytes: [UInt8], _ path: String) throws(StoreError) {
        // Array's own accessor does not carry typed errors out.
        let result: Result<Void, StoreError> = bytes.withUnsafeBytes { bytes in
            Result { () throws(StoreError) in try writeAll(fd, bytes, path) }
        }
        try result.get()
    }

    /// The whole of a small file; what is longer than `limit` is `corrupt`.
    static func readAll(_ fd: CInt, limit: Int, _ path: String) throws(StoreError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        var count = 0
        while count < bytes.count {
            let got = pread(fd, &bytes[count], bytes.count - count, off_t(count))
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw Folder.failure("read", path) }
            if got == 0 { return Array(bytes[..<count]) }
            count += got
        }
        throw StoreError(.corrupt, mayArriveLate: false, evidence: "\(path) has more than \(limit) bytes")
    }

    static func sync(_ fd: CInt, _ path: String) throws(StoreError) {
        guard fsync(fd) == 0 else { throw Folder.failure("fsync", path) }
    }
}
