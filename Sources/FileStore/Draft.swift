import CLinux
import Crypto
import Glibc
import HTTP
import S3
import Synchronization

/// A file on its way: written under a temporary name, then published by rename. Its calls block, one after the other.
final class Draft: Sendable {
    private let layout: DirectoryLayout
    private let path: String
    private let temporary: String
    private let fd = Mutex<CInt>(-1)

    init(_ layout: DirectoryLayout, _ path: String) {
        self.layout = layout
        self.path = path
        temporary = layout.scratchPath + "/put-" + Hex.encode(SystemRandom.bytes(16))
    }

    deinit { closeFile() }

    private func closeFile() {
        fd.withLock { fd in
            if fd >= 0 { close(fd) }
            fd = -1
        }
    }

    func begin() throws(StoreError) {
        let opened: CInt
        do throws(StoreError) {
            opened = try Files.open(temporary, O_WRONLY | O_CREAT | O_EXCL)
        } catch {
            throw error.code == .noSuchKey ? DirectoryStore.unmounted(layout) : error
        }
        fd.withLock { $0 = opened }
    }

    func append(_ run: Bytes) throws(StoreError) {
        let fd = fd.withLock { $0 }
        try run.withUnsafeBytes { (bytes) throws(StoreError) in try Files.writeAll(fd, bytes, temporary) }
    }

    /// Appends another file without carrying its bytes through this process (copy_file_range).
    func append(file source: String) throws(StoreError) {
        let input = try Files.open(source, O_RDONLY)
        defer { close(input) }
        let output = fd.withLock { $0 }
        while true {
            let moved = clinux_copy_range(input, output, 1 << 30)
            if moved < 0, errno == EINTR { continue }
            if moved < 0, [EXDEV, EINVAL, ENOSYS, EOPNOTSUPP].contains(errno) { return try appendByHand(input, output, source) }
            guard moved >= 0 else { throw Files.error("copy_file_range", source) }
            if moved == 0 { return }
        }
    }

    private func appendByHand(_ input: CInt, _ output: CInt, _ source: String) throws(StoreError) {
        var buffer = [UInt8](repeating: 0, count: 256 * 1024)
        while true {
            let got = read(input, &buffer, buffer.count)
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw Files.error("read", source) }
            if got == 0 { return }
            let slice = Bytes(buffer[0..<got])
            try slice.withUnsafeBytes { (bytes) throws(StoreError) in try Files.writeAll(output, bytes, temporary) }
        }
    }

    func publish(_ metadata: StoredMetadata, ifAbsent: Bool) throws(StoreError) {
        try Files.sync(fd.withLock { $0 }, temporary)
        closeFile()
        let sidecar = temporary + DirectoryLayout.sidecarSuffix
        let output = try Files.open(sidecar, O_WRONLY | O_CREAT | O_TRUNC)
        defer { close(output) }
        let bytes = Bytes(Sidecar.encode(metadata))
        try bytes.withUnsafeBytes { (bytes) throws(StoreError) in try Files.writeAll(output, bytes, sidecar) }
        try Files.sync(output, sidecar)
        if ifAbsent, Files.exists(path) {
            throw StoreError(.alreadyExists, mayArriveLate: false, evidence: "\(path) is there")
        }
        try place(sidecar, path + DirectoryLayout.sidecarSuffix, exclusive: false)
        try place(temporary, path, exclusive: ifAbsent)
        try Files.syncDirectory(Files.parent(path))
    }

    /// As `publish`, for a part of an upload: no sidecar, and the folder must be there still.
    func publishPart(_ folder: String) throws(StoreError) {
        try Files.sync(fd.withLock { $0 }, temporary)
        closeFile()
        guard rename(temporary, path) == 0 else { throw Files.error("rename", path) }
        try Files.syncDirectory(folder)
    }

    /// The folder may go between its making and the rename, when a delete in it removes the last file: then once more.
    private func place(_ from: String, _ to: String, exclusive: Bool) throws(StoreError) {
        for attempt in 0..<10 {
            if (exclusive ? clinux_rename_new(from, to) : rename(from, to)) == 0 { return }
            guard errno == ENOENT, attempt < 9 else { break }
            try Files.makeDirectories(Files.parent(to), root: layout.root)
        }
        throw Files.error("rename", to)
    }

    func discard() {
        closeFile()
        unlink(temporary)
        unlink(temporary + DirectoryLayout.sidecarSuffix)
    }
}
