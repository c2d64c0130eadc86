import Glibc
import S3

/// The root of a directory backend, opened for one job, with its scratch folder `.sluice-tmp`.
///
/// The scratch folder is also the proof that the right disk is there: without it nothing may be concluded from an absent file.
struct StoreRoot: Sendable {
    static let scratchName = ".sluice-tmp"
    /// Names are locked by the hash of their path; two that share a lock only wait for one another.
    private static let lockCount: UInt64 = 64

    let root: Folder
    let scratch: Folder

    static func open(_ path: String) throws(StoreError) -> StoreRoot {
        let root: Folder
        do throws(StoreError) {
            root = try Folder.open(root: path)
        } catch {
            throw error.code == .noSuchKey || error.code == .rejected ? absent(path) : error
        }
        guard let scratch = try root.child(scratchName) else { throw absent(path) }
        return StoreRoot(root: root, scratch: scratch)
    }

    static func absent(_ path: String) -> StoreError {
        StoreError(
            .wrongLocation, mayArriveLate: false, evidence: "\(path) is not a directory of Sluice: is its disk mounted?"
        )
    }

    /// Makes the root and its scratch folder, each durable in the folder above.
    static func create(_ path: String) throws(StoreError) {
        var missing: [String] = []
        var made: [String] = []
        var folder = path
        while true {
            if mkdir(folder, 0o700) == 0 {
                made.append(folder)
                break
            }
            if errno == EEXIST { break }
            guard errno == ENOENT, let above = parent(folder) else { throw Folder.failure("mkdir", folder) }
            missing.append(folder)
            folder = above
        }
        for folder in missing.reversed() {
            guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw Folder.failure("mkdir", folder) }
            made.append(folder)
        }
        let root = try Folder.open(root: path)
        if try root.has(scratchName) { return }
        guard try root.makeChild(scratchName) != nil else { throw root.failure("mkdir", scratchName) }
        try root.sync()
        for folder in made { try Folder.open(root: parent(folder) ?? "/").sync() }
    }

    /// Nil for the topmost.
    private static func parent(_ path: String) -> String? {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return nil }
        return slash == path.startIndex ? nil : String(path[..<slash])
    }

    /// The folders from the root to the object's, or nil where one is absent.
    func chain(_ path: ObjectPath) throws(StoreError) -> [Folder]? {
        var chain = [root]
        for name in path.folders {
            guard let next = try chain[chain.count - 1].child(name) else { return nil }
            chain.append(next)
        }
        return chain
    }

    /// As `chain`, making what is absent; nil if one of them was removed meanwhile.
    func makeChain(_ path: ObjectPath) throws(StoreError) -> [Folder]? {
        var chain = [root]
        for name in path.folders {
            guard let next = try chain[chain.count - 1].makeChild(name) else { return nil }
            chain.append(next)
        }
        return chain
    }

    /// Runs `body` while no other thread or process changes this name (flock, freed by the kernel if we die). Blocks.
    func withLock<R>(_ path: ObjectPath, _ body: () throws(StoreError) -> R) throws(StoreError) -> R {
        let fd = try scratch.file(lockName(path), O_RDWR | O_CREAT)
        defer { close(fd) }
        try StoreRoot.lock(fd, LOCK_EX, scratch)
        return try body()
    }

    /// As `withLock`, beside other readers. Makes no file, for a reader may be one that cannot write; where there is no lock file,
    /// no writer was ever here.
    func withReadLock<R>(_ path: ObjectPath, _ body: () throws(StoreError) -> R) throws(StoreError) -> R {
        let fd: CInt
        do throws(StoreError) {
            fd = try scratch.file(lockName(path), O_RDONLY)
        } catch {
            guard error.code == .noSuchKey else { throw error }
            return try body()
        }
        defer { close(fd) }
        try StoreRoot.lock(fd, LOCK_SH, scratch)
        return try body()
    }

    private static func lock(_ fd: CInt, _ mode: CInt, _ scratch: Folder) throws(StoreError) {
        while flock(fd, mode) != 0 {
            guard errno == EINTR else { throw scratch.failure("flock", "lock") }
        }
    }

    /// FNV-1a, since processes of different builds must agree.
    private func lockName(_ path: ObjectPath) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for name in path.folders + [path.file] {
            for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            hash = (hash ^ 0x2F) &* 0x100_0000_01B3
        }
        return "lock-\(hash % StoreRoot.lockCount)"
    }
}
