import EventLoop
import FileStore
import Glibc
import HTTP
import S3
import Synchronization
import TestSupport
import Testing

/// Two sides meet: the body waits here in the middle of a put.
private final class HeldBody: BodyReader {
    private let first: BytesReader
    private let arrivals: AsyncStream<Void>.Continuation
    let arrived: AsyncStream<Void>
    private let gate: AsyncStream<Void>
    private let opener: AsyncStream<Void>.Continuation

    init(_ bytes: Bytes) {
        first = BytesReader(bytes)
        (arrived, arrivals) = AsyncStream.makeStream()
        (gate, opener) = AsyncStream.makeStream()
    }

    func release() { opener.finish() }

    func next() async throws(BodyError) -> Bytes? {
        if let run = try await first.next() { return run }
        arrivals.finish()
        for await _ in gate {}
        return nil
    }
}

private final class Flag: Sendable {
    private let value = Atomic(false)
    var isRaised: Bool { value.load(ordering: .relaxed) }
    func raise() { value.store(true, ordering: .relaxed) }
}

@Suite struct FileStoreCrashTests {
    private let key = "b/cat.jpg~v1.r1"
    private let metadata = StoredMetadata(contentType: "text/plain", entries: ["a": "b"])

    private func put(_ store: DirectoryStore, _ text: String, ifAbsent: Bool = false) async throws(StoreError) {
        let bytes = Bytes(text)
        _ = try await store.put(
            key, length: Int64(bytes.count), body: BytesReader(bytes), metadata: metadata, ifAbsent: ifAbsent)
    }

    private func code(_ call: () async throws(StoreError) -> Void) async -> StoreError.Code? {
        do throws(StoreError) { try await call() } catch { return error.code }
        return nil
    }

    /// What a crash between any two steps of a write, an overwrite or a delete can leave.
    @Test(arguments: ["", "~meta"])
    func `half an object is none, can be written again, and is deleted`(lost: String) async throws {
        let temporary = try await TemporaryStore()
        let store = temporary.store
        for again in ["create", "put", "delete"] {
            try await put(store, "old")
            #expect(unlink(temporary.root + "/" + key + lost) == 0)
            #expect(
                await code { () async throws(StoreError) in _ = try await store.get(key, range: nil) } == .noSuchKey)
            #expect(await code { () async throws(StoreError) in _ = try await store.head(key) } == .noSuchKey)
            #expect(try await store.list(prefix: "", after: nil, limit: 10).entries.isEmpty)
            if again != "delete" {
                try await put(store, "new", ifAbsent: again == "create")
                #expect(try await store.get(key, range: nil).body.collect(limit: 10).text == "new")
            }
            try await store.delete(key, providerVersion: nil)
            #expect(temporary.names("") == [".sluice-tmp"])
        }
    }

    @Test func `damaged metadata is corrupt, not empty`() async throws {
        let temporary = try await TemporaryStore()
        let store = temporary.store
        for text in [
            "", "sluice-metadata 1", "sluice-metadata 1\nmeta a", "other\n", "sluice-metadata 1\nmeta a: %f\n",
        ] {
            try await put(store, "x")
            try temporary.write(key + "~meta", text)
            #expect(
                await code { () async throws(StoreError) in _ = try await store.head(key) } == .corrupt,
                "\(text.debugDescription)")
        }
        try temporary.write(key + "~meta", "sluice-metadata 1\nfrom-the-future: 1\nmeta a: b\n")
        #expect(try await store.head(key).metadata == StoredMetadata(entries: ["a": "b"]))
    }

    @Test func `the first write of a new process removes what dead ones left`() async throws {
        let temporary = try await TemporaryStore()
        for name in ["put-0123", "put-0123.meta", "put-4567.meta"] {
            try temporary.write(".sluice-tmp/" + name, "half")
            try temporary.age(".sluice-tmp/" + name, seconds: 120)
        }
        try temporary.write(".sluice-tmp/put-young", "may be locked in an instant")
        #expect(mkdir(temporary.root + "/.sluice-tmp/upload-0123", 0o700) == 0)
        try temporary.write(".sluice-tmp/upload-0123/part-1-0123", "aborted half-way")
        try temporary.age(".sluice-tmp/upload-0123", seconds: 7200)
        let store = temporary.store
        #expect(await code { () async throws(StoreError) in _ = try await store.head("absent") } == .noSuchKey)
        #expect(temporary.scratch.count == 5, "a reader must not write")
        try await put(store, "x")
        #expect(temporary.scratch == ["put-young"])
    }

    @Test func `a write under way is not taken for remains, nor is an open upload`() async throws {
        let temporary = try await TemporaryStore()
        let store = temporary.store
        let bytes = Bytes(String(repeating: "x", count: 2_000_000))
        let upload = try await store.createUpload(key, metadata: metadata)
        let body = HeldBody(bytes)
        async let stored = store.put(
            "b/large", length: Int64(bytes.count), body: body, metadata: metadata, ifAbsent: false)
        for await _ in body.arrived {}
        for name in temporary.scratch { try temporary.age(".sluice-tmp/" + name, seconds: 7200) }
        let other = DirectoryStore(root: temporary.root, pool: temporary.pool)
        #expect(try await other.removeLeftovers() == 0)
        body.release()
        #expect(try await stored.size == Int64(bytes.count))
        #expect(try await other.get("b/large", range: nil).body.collect(limit: 3_000_000) == bytes)
        #expect(try await other.openUploads(key) == [upload])
    }

    @Test func `a repeated Complete after a crash in its middle gives the same object`() async throws {
        let temporary = try await TemporaryStore()
        let store = temporary.store
        let id = try await store.createUpload(key, metadata: metadata)
        let part = try await store.putPart(key, uploadID: id, number: 1, length: 4, body: BytesReader(Bytes("part")))
        // As if it had published and died before the upload was removed.
        try await put(store, "part")
        _ = try await store.completeUpload(key, uploadID: id, parts: [part])
        #expect(try await store.get(key, range: nil).body.collect(limit: 10).text == "part")
        #expect(
            await code { () async throws(StoreError) in
                _ = try await store.completeUpload(key, uploadID: id, parts: [part])
            } == .noSuchUpload)
        #expect(temporary.scratch == [])
    }

    @Test func `a part of another size than was acknowledged is corrupt`() async throws {
        let temporary = try await TemporaryStore()
        let store = temporary.store
        let id = try await store.createUpload(key, metadata: metadata)
        var part = try await store.putPart(key, uploadID: id, number: 1, length: 4, body: BytesReader(Bytes("part")))
        part.size = 5
        #expect(
            await code { () async throws(StoreError) in
                _ = try await store.completeUpload(key, uploadID: id, parts: [part])
            } == .corrupt)
        #expect(await code { () async throws(StoreError) in _ = try await store.head(key) } == .noSuchKey)
    }

    @Test func `without its scratch folder a root says nothing about objects`() async throws {
        let temporary = try await TemporaryStore()
        let store = temporary.store
        try await put(store, "x")
        #expect(rename(temporary.root, temporary.folder + "/away") == 0)
        for isEmptyMountPoint in [false, true] {
            if isEmptyMountPoint { #expect(mkdir(temporary.root, 0o700) == 0) }
            #expect(
                await code { () async throws(StoreError) in _ = try await store.get(key, range: nil) } == .wrongLocation
            )
            #expect(await code { () async throws(StoreError) in _ = try await store.head(key) } == .wrongLocation)
            #expect(await code { () async throws(StoreError) in try await put(store, "y") } == .wrongLocation)
            #expect(
                await code { () async throws(StoreError) in try await store.delete(key, providerVersion: nil) }
                    == .wrongLocation)
            #expect(
                await code { () async throws(StoreError) in _ = try await store.list(prefix: "", after: nil, limit: 1) }
                    == .wrongLocation)
            #expect(
                await code { () async throws(StoreError) in _ = try await store.createUpload(key, metadata: metadata) }
                    == .wrongLocation)
            #expect(
                await code { () async throws(StoreError) in _ = try await store.listUploads(prefix: "") }
                    == .wrongLocation)
        }
        #expect(temporary.names("") == [], "something was made on an empty mount point")
    }

    @Test func `readers never see the bytes of one write with the metadata of another`() async throws {
        let temporary = try await TemporaryStore()
        let store = temporary.store
        let second = DirectoryStore(root: temporary.root, pool: temporary.pool)
        @Sendable func write(_ round: Int, _ store: DirectoryStore) async throws(StoreError) {
            let bytes = Bytes("\(round)")
            _ = try await store.put(
                key, length: Int64(bytes.count), body: BytesReader(bytes),
                metadata: StoredMetadata(entries: ["round": "\(round)"]),
                ifAbsent: false)
        }
        try await write(0, store)
        let done = Flag()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for reader in [store, second] {
                group.addTask {
                    while !done.isRaised {
                        let reading = try await reader.get(key, range: nil)
                        let text = try await reading.body.collect(limit: 10).text
                        #expect(reading.object.metadata.entries["round"] == text)
                    }
                }
            }
            group.addTask {
                defer { done.raise() }
                try await withThrowingTaskGroup(of: Void.self) { writers in
                    for (offset, writer) in [store, second].enumerated() {
                        writers.addTask { for round in 0..<100 { try await write(round * 2 + offset, writer) } }
                    }
                    try await writers.waitForAll()
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func `of two processes' creators one wins`() async throws {
        let temporary = try await TemporaryStore()
        let stores = [temporary.store, DirectoryStore(root: temporary.root, pool: temporary.pool)]
        for round in 0..<20 {
            let key = "b/o\(round)"
            let wins = await withTaskGroup(of: Int.self) { group in
                for store in stores {
                    group.addTask {
                        await code { () async throws(StoreError) in
                            _ = try await store.put(
                                key, length: 1, body: BytesReader(Bytes("x")), metadata: metadata, ifAbsent: true)
                        } == nil ? 1 : 0
                    }
                }
                return await group.reduce(0, +)
            }
            #expect(wins == 1)
        }
    }
}
