import EventLoop
import FileStore
import Glibc
import HTTP
import S3
import TestSupport
import Testing

/// A file system of one MiB. Needs the right to mount, as root has it.
private final class TinyDisk {
    let path: String

    init?() {
        var template = Array("/tmp/sluice-tiny-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { return nil }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard mount("tmpfs", path, "tmpfs", 0, "size=1m") == 0 else {
            rmdir(path)
            return nil
        }
    }

    deinit {
        umount2(path, CInt(MNT_DETACH))
        rmdir(path)
    }

    static let isPossible = TinyDisk() != nil
}

@Suite struct FileStoreFullDiskTests {
    @Test(.enabled(if: TinyDisk.isPossible, "mounting a tmpfs is not permitted here"), arguments: [900_000, 2_000_000])
    func `a full disk is noSpace, and leaves nothing behind`(bytes: Int) async throws {
        let disk = try #require(TinyDisk())
        let pool = BlockingPool(threads: 2)
        defer { pool.stop() }
        let store = DirectoryStore(root: disk.path + "/root", pool: pool)
        try await store.create()
        func put(_ key: String, _ count: Int) async throws(StoreError) {
            let body = BytesReader(Bytes([UInt8](repeating: 7, count: count)))
            _ = try await store.put(key, length: Int64(count), body: body, metadata: StoredMetadata(), ifAbsent: false)
        }
        try await put("b/there", 400_000)
        let upload = try await store.createUpload("b/upload", metadata: StoredMetadata())
        for attempt in ["put", "part"] {
            do throws(StoreError) {
                if attempt == "put" {
                    try await put("b/large", bytes)
                } else {
                    let body = BytesReader(Bytes([UInt8](repeating: 7, count: bytes)))
                    _ = try await store.putPart(
                        "b/upload", uploadID: upload, number: 1, length: Int64(bytes), body: body)
                }
                Issue.record("\(bytes) bytes fit a disk of one MiB")
            } catch {
                #expect(error.code == .noSpace, "\(error)")
                #expect(!error.mayArriveLate)
            }
        }
        try await store.abortUpload("b/upload", uploadID: upload)
        // All of its room is free again, and the old object is whole.
        try await put("b/fits", 400_000)
        #expect(try await store.list(prefix: "", after: nil, limit: 10).entries.map(\.key) == ["b/fits", "b/there"])
        #expect(try await store.get("b/there", range: nil).body.collect(limit: 400_000).count == 400_000)
    }
}
