import EventLoop
import FileStore
import Glibc
import S3
import TestSupport
import Testing

/// A directory backend in a folder of its own below /tmp, removed with it.
final class TemporaryStore: Sendable {
    let folder: String
    var root: String { folder + "/root" }
    let pool: BlockingPool
    let store: DirectoryStore

    init() async throws {
        var template = Array("/tmp/sluice-store-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError("mkdtemp") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        pool = BlockingPool(threads: 4)
        store = DirectoryStore(root: folder + "/root", pool: pool)
        try await store.create()
    }

    deinit {
        pool.stop()
        TemporaryStore.remove(folder)
    }

    /// Removes a tree; follows no symbolic link.
    private static func remove(_ path: String) {
        guard let stream = opendir(path) else { return }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            let child = path + "/" + name
            if entry.pointee.d_type == UInt8(DT_DIR) { remove(child) } else { unlink(child) }
        }
        rmdir(path)
    }

    /// Names of the scratch folder but for the locks, sorted.
    var scratch: [String] { names(".sluice-tmp").filter { !$0.hasPrefix("lock-") } }

    /// What is in a folder below the root, sorted by bytes.
    func names(_ below: String) -> [String] {
        guard let stream = opendir(root + "/" + below) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names.filter { $0 != "." && $0 != ".." }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// As if it had been written that long ago.
    func age(_ below: String, seconds: Int) throws {
        let then = timespec(tv_sec: time(nil) - seconds, tv_nsec: 0)
        guard utimensat(AT_FDCWD, root + "/" + below, [then, then], 0) == 0 else {
            throw SystemError("utimensat \(below)")
        }
    }

    func write(_ below: String, _ text: String) throws {
        let fd = open(root + "/" + below, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard fd >= 0 else { throw SystemError("open \(below)") }
        defer { close(fd) }
        guard Glibc.write(fd, text, text.utf8.count) == text.utf8.count else { throw SystemError("write \(below)") }
    }
}

@Suite struct FileStoreContractTests {
    private static var traits: ObjectStoreContract.Traits {
        var traits = ObjectStoreContract.Traits()
        traits.partBytes = 300_000
        return traits
    }

    @Test(arguments: ObjectStoreContract.Promise.allCases)
    func `a directory keeps the contract`(promise: ObjectStoreContract.Promise) async throws {
        let temporary = try await TemporaryStore()
        let contract = ObjectStoreContract(store: temporary.store, prefix: "b/", traits: FileStoreContractTests.traits)
        try await contract.check(promise)
        #expect(temporary.scratch.filter { !$0.hasPrefix("upload-") } == [], "temporary files left")
    }

    @Test(arguments: ObjectStoreContract.Promise.allCases)
    func `a directory keeps the contract at its root too`(promise: ObjectStoreContract.Promise) async throws {
        let temporary = try await TemporaryStore()
        try await ObjectStoreContract(store: temporary.store, prefix: "", traits: FileStoreContractTests.traits).check(
            promise)
    }

    /// The double may never know more than a real backend, nor less.
    @Test(arguments: ObjectStoreContract.Promise.allCases)
    func `the double in memory keeps the contract`(promise: ObjectStoreContract.Promise) async throws {
        try await ObjectStoreContract(store: MemoryStore(), prefix: "b/", traits: FileStoreContractTests.traits).check(
            promise)
    }
}
