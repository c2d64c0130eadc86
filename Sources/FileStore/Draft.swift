import CLinux
import Crypto
import Glibc
import HTTP
import S3
import Synchronization

/// A file on its way: written in the scratch folder, then given its name. Its calls block, one after the other.
///
/// While it is open it is locked (flock), which tells a living draft from the remains of a dead process.
final class Draft: Sendable {
    static let namePrefix = "put-"
    static let sidecarEnding = ".meta"
    /// Rounds of making folders anew when deletes remove them under our hands.
    private static let placingAttemptsMax = 20

    private let name = namePrefix + Hex.encode(SystemRandom.bytes(16))
    private let state = Mutex<(root: StoreRoot?, fd: CInt)>((nil, -1))
    private let isAbandoned = Mutex(false)

    deinit { release() }

    private func release() {
        state.withLock { state in
            if state.fd >= 0 { close(state.fd) }
            state = (nil, -1)
        }
    }

    /// Calls come after `begin`, so a draft without a file is a mistake of ours.
    private func opened() -> (root: StoreRoot, fd: CInt) {
        state.withLock { state in
            guard let root = state.root else { preconditionFailure("draft \(name) was not begun") }
            return (root, state.fd)
        }
    }

    func begin(_ root: StoreRoot) throws(StoreError) {
        let fd = try root.scratch.file(name, O_WRONLY | O_CREAT | O_EXCL)
        state.withLock { $0 = (root, fd) }
        try Draft.hold(fd, name, root.scratch)
    }

    /// Locks a new file. Should a sweep have taken it before, its clock being off by a minute, that is seen here.
    private static func hold(_ fd: CInt, _ name: String, _ scratch: Folder) throws(StoreError) {
        while flock(fd, LOCK_EX) != 0 {
            guard errno == EINTR else { throw scratch.failure("flock", name) }
        }
        guard try scratch.has(name) else {
            throw StoreError(.serverError, mayArriveLate: false, evidence: "the draft \(name) was swept away")
        }
    }

    func append(_ run: Bytes) throws(StoreError) {
        let (root, fd) = opened()
        try run.withUnsafeBytes { (bytes) throws(StoreError) in
            try FileDescriptor.writeAll(fd, bytes, root.scratch.path + "/" + name)
        }
    }

    /// Appends another file without carrying its bytes through this process (copy_file_range).
    func append(file input: CInt, _ source: String) throws(StoreError) {
        let (_, output) = opened()
        while true {
            let moved = clinux_copy_range(input, output, 1 << 30)
            if moved < 0, errno == EINTR { continue }
            if moved < 0, [EXDEV, EINVAL, ENOSYS, EOPNOTSUPP].contains(errno) {
                return try appendByHand(input, output, source)
            }
            guard moved >= 0 else { throw Folder.failure("copy_file_range", source) }
            if moved == 0 { return }
        }
    }

    /// For file systems that cannot.
    private func appendByHand(_ input: CInt, _ output: CInt, _ source: String) throws(StoreError) {
        var buffer = [UInt8](repeating: 0, count: 256 * 1024)
        while true {
            let got = read(input, &buffer, buffer.count)
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw Folder.failure("read", source) }
            if got == 0 { return }
            try FileDescriptor.writeAll(output, Array(buffer[..<got]), source)
        }
    }

    /// Gives the file its name and its metadata, durable when it returns. Order of effects:
    ///
    /// 1. fsync of the data, fsync of the metadata, both in the scratch folder;
    /// 2. with the name locked: old metadata away, data in place, metadata in place; an object is there once both are, so a crash
    ///    in between shows none, never a half one or a mixed one;
    /// 3. fsync of the folder, and of those above it that are new.
    func publish(_ path: ObjectPath, _ metadata: StoredMetadata, ifAbsent: Bool, _ durable: DurableFolders)
        throws(StoreError)
    {
        let (root, fd) = opened()
        let scratch = root.scratch
        try FileDescriptor.sync(fd, scratch.path + "/" + name)
        let sidecar = try scratch.file(name + Draft.sidecarEnding, O_WRONLY | O_CREAT | O_EXCL)
        defer { close(sidecar) }
        try Draft.hold(sidecar, name + Draft.sidecarEnding, scratch)
        try FileDescriptor.writeAll(
            sidecar, try Sidecar.encode(metadata), scratch.path + "/" + name + Draft.sidecarEnding)
        try FileDescriptor.sync(sidecar, scratch.path + "/" + name + Draft.sidecarEnding)
        let chain = try root.withLock(path) { () throws(StoreError) in try place(path, ifAbsent: ifAbsent, root) }
        try durable.settle(chain)
        release()
    }

    /// Whoever waited has gone on: a job that is at it still is not to publish it.
    func abandon() { isAbandoned.withLock { $0 = true } }

    private func checkWanted() throws(StoreError) {
        if isAbandoned.withLock({ $0 }) {
            throw StoreError(.cancelled, mayArriveLate: false, evidence: "the draft \(name) was left behind")
        }
    }

    /// A folder may be removed between its making and the rename, when a delete takes its last file: then once more.
    private func place(_ path: ObjectPath, ifAbsent: Bool, _ root: StoreRoot) throws(StoreError) -> [Folder] {
        for _ in 0..<Draft.placingAttemptsMax {
            guard let chain = try root.makeChain(path), let folder = chain.last else { continue }
            if ifAbsent, try folder.has(path.sidecar), try folder.has(path.file) {
                throw StoreError(.alreadyExists, mayArriveLate: false, evidence: "\(folder.path)/\(path.file) is there")
            }
            try checkWanted()
            try folder.remove(path.sidecar)
            do throws(StoreError) {
                try root.scratch.move(name, to: folder, path.file)
            } catch {
                guard error.code == .noSuchKey else { throw error }
                continue
            }
            do throws(StoreError) {
                try root.scratch.move(name + Draft.sidecarEnding, to: folder, path.sidecar)
            } catch {
                // A folder that has no room for one name more: take the other back.
                unlinkat(folder.fd, path.file, 0)
                throw error
            }
            return chain
        }
        throw StoreError(
            .serverError, mayArriveLate: false, evidence: "the folder of \(path.file) is removed again and again")
    }

    /// As `publish`, for a part of an upload: without metadata, and its folder must be there.
    func publishPart(_ folder: Folder, _ newName: String) throws(StoreError) {
        let (root, fd) = opened()
        try FileDescriptor.sync(fd, root.scratch.path + "/" + name)
        try checkWanted()
        try root.scratch.move(name, to: folder, newName)
        try folder.sync()
        release()
    }

    /// Removes what is left of it, after a failure. Absence and a failed removal are the same here: the sweep takes the rest.
    func discard() {
        guard let root = state.withLock({ $0.root }) else { return }
        unlinkat(root.scratch.fd, name, 0)
        unlinkat(root.scratch.fd, name + Draft.sidecarEnding, 0)
        release()
    }
}
