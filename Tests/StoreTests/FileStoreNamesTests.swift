import FileStore
import Glibc
import HTTP
import S3
import TestSupport
import Testing

@Suite struct FileStoreNamesTests {
    private func put(_ store: DirectoryStore, _ key: String, _ text: String = "x") async throws(StoreError) {
        let bytes = Bytes(text)
        _ = try await store.put(
            key, length: Int64(bytes.count), body: BytesReader(bytes), metadata: StoredMetadata(), ifAbsent: false)
    }

    private func code(_ call: () async throws(StoreError) -> Void) async -> StoreError.Code? {
        do throws(StoreError) { try await call() } catch { return error.code }
        return nil
    }

    @Test func `a person finds Sluice's copies under their own names`() async throws {
        let temporary = try await TemporaryStore()
        let copy = "photos/2026/a b/cat.jpg~0123456789abcdefghjkmnpqrs.abc123"
        let long = "photos/~long/9f86d081~0123456789abcdefghjkmnpqrs.abc123"
        try await put(temporary.store, copy)
        try await put(temporary.store, long)
        #expect(
            temporary.names("photos/2026/a b") == [
                "cat.jpg~0123456789abcdefghjkmnpqrs.abc123", "cat.jpg~0123456789abcdefghjkmnpqrs.abc123~meta",
            ])
        #expect(temporary.names("photos/~long").first == "9f86d081~0123456789abcdefghjkmnpqrs.abc123")
    }

    @Test(arguments: [
        "..", "../x", "../../x", "a/../../x", "/etc/x", "/", "//", "a/..", "./../x", "../\u{301}x",
        "a/\u{301}../../\u{301}x",
        "..\u{2F}\u{338}x", "..\u{0D}/x", "../.sluice-tmp/x", ".sluice-tmp", ".sluice-tmp/put-1", "~", "~d", "~meta",
        "..~d/x",
    ])
    func `no name leaves the root or meets the scratch folder`(key: String) async throws {
        let temporary = try await TemporaryStore()
        try await put(temporary.store, key, "mine")
        #expect(try await temporary.store.get(key, range: nil).body.collect(limit: 10).text == "mine")
        let listed = try await temporary.store.list(prefix: "", after: nil, limit: 10).entries.map {
            Array($0.key.utf8)
        }
        #expect(listed == [Array(key.utf8)])
        #expect(temporary.names("..") == ["root"], "something was written beside the root")
        #expect(temporary.scratch == [])
        try await temporary.store.delete(key, providerVersion: nil)
        #expect(temporary.names("") == [".sluice-tmp"], "folders are left")
    }

    @Test func `names that no file can have are refused by every call`() async throws {
        let temporary = try await TemporaryStore()
        let store = temporary.store
        let segment = String(repeating: "s", count: 256)
        for key in ["", "a\u{0}b", segment, segment + "/a", String(repeating: "a/", count: 513)] {
            #expect(await code { () async throws(StoreError) in try await put(store, key) } == .rejected)
            #expect(await code { () async throws(StoreError) in _ = try await store.get(key, range: nil) } == .rejected)
            #expect(await code { () async throws(StoreError) in _ = try await store.head(key) } == .rejected)
            #expect(
                await code { () async throws(StoreError) in try await store.delete(key, providerVersion: nil) }
                    == .rejected)
            #expect(
                await code { () async throws(StoreError) in
                    _ = try await store.createUpload(key, metadata: StoredMetadata())
                } == .rejected)
        }
        #expect(temporary.names("") == [".sluice-tmp"])
    }

    @Test func `any names are kept apart and listed in byte order`() async throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed)
        let pieces = [
            "~", "d", "meta", ".", "..", "/", "/", "/", "a", "b", "~d", "~meta", ".sluice-tmp", "put-", "\u{301}", "é",
            "!", "0",
        ]
        let temporary = try await TemporaryStore()
        var keys: [[UInt8]: String] = [:]
        for _ in 0..<150 {
            let key = (0..<Int.random(in: 1...7, using: &random)).map { _ in pieces.randomElement(using: &random) ?? ""
            }.joined()
            keys[Array(key.utf8)] = key
        }
        for (bytes, key) in keys { try await put(temporary.store, key, "\(bytes)") }
        for (bytes, key) in keys {
            let found = try await temporary.store.get(key, range: nil).body.collect(limit: 10_000)
            #expect(found.text == "\(bytes)", "seed \(seed), \(bytes)")
        }
        var listed: [[UInt8]] = []
        var after: String?
        while true {
            let page = try await temporary.store.list(prefix: "", after: after, limit: 7)
            listed += page.entries.map { Array($0.key.utf8) }
            guard page.isTruncated else { break }
            after = page.entries.last?.key
        }
        #expect(listed == keys.keys.sorted { $0.lexicographicallyPrecedes($1) }, "seed \(seed)")
        for key in keys.values { try await temporary.store.delete(key, providerVersion: nil) }
        #expect(temporary.names("") == [".sluice-tmp"], "seed \(seed)")
    }

    @Test func `symbolic links are not followed`() async throws {
        let temporary = try await TemporaryStore()
        let store = temporary.store
        let outside = temporary.folder + "/outside"
        #expect(mkdir(outside, 0o700) == 0)
        try temporary.write("../outside/secret~", "secret")
        try temporary.write("../outside/secret~~meta", "sluice-metadata 1\n")
        #expect(symlink(outside, temporary.root + "/b") == 0)
        #expect(symlink(outside + "/secret~", temporary.root + "/link~") == 0)
        try temporary.write("link~~meta", "sluice-metadata 1\n")
        #expect(await code { () async throws(StoreError) in try await put(store, "b/x") } == .rejected)
        for key in ["b/secret", "link"] {
            #expect(await code { () async throws(StoreError) in _ = try await store.get(key, range: nil) } == .rejected)
        }
        #expect(
            await code { () async throws(StoreError) in try await store.delete("b/secret", providerVersion: nil) }
                == .rejected)
        #expect(try await store.list(prefix: "", after: nil, limit: 10).entries.isEmpty)
        #expect(try await store.list(prefix: "b/", after: nil, limit: 10).entries.isEmpty)
        #expect(temporary.names("../outside") == ["secret~", "secret~~meta"])
    }

    @Test func `files of other programs are neither listed, read nor removed`() async throws {
        let temporary = try await TemporaryStore()
        try temporary.write("notes.txt", "theirs")
        #expect(mkdir(temporary.root + "/b", 0o700) == 0)
        try temporary.write("b/README", "theirs")
        #expect(mkfifo(temporary.root + "/pipe~", 0o600) == 0)
        try temporary.write("pipe~~meta", "sluice-metadata 1\n")
        try await put(temporary.store, "b/o")
        try await put(temporary.store, "notes.txt", "ours")
        let store = temporary.store
        #expect(try await store.list(prefix: "", after: nil, limit: 10).entries.map(\.key) == ["b/o", "notes.txt"])
        #expect(
            await code { () async throws(StoreError) in _ = try await store.get("b/README", range: nil) } == .noSuchKey)
        // A pipe would keep a reader waiting for ever.
        #expect(await code { () async throws(StoreError) in _ = try await store.get("pipe", range: nil) } == .rejected)
        for key in ["b/o", "notes.txt", "b/README"] { try await store.delete(key, providerVersion: nil) }
        #expect(temporary.names("") == [".sluice-tmp", "b", "notes.txt", "pipe~", "pipe~~meta"])
        #expect(temporary.names("b") == ["README"])
    }

    @Test func `a folder with more names than one batch is listed page by page`() async throws {
        let temporary = try await TemporaryStore()
        #expect(mkdir(temporary.root + "/b", 0o700) == 0)
        let names = (0..<1500).map { "k\(10_000 + $0 * 7)" }
        for name in names.shuffled() {
            try temporary.write("b/\(name)~", name)
            try temporary.write("b/\(name)~~meta", "sluice-metadata 1\n")
        }
        // Folders without an object in them do not end a listing early.
        for index in 0..<600 { #expect(mkdir(temporary.root + "/b/a\(10_000 + index)", 0o700) == 0) }
        var listed: [String] = []
        var after: String?
        while listed.count <= names.count {
            let page = try await temporary.store.list(prefix: "b/", after: after, limit: 100)
            listed += page.entries.map(\.key)
            guard page.isTruncated else { break }
            after = page.entries.last?.key
        }
        #expect(listed == names.map { "b/" + $0 })
    }
}

/// SplitMix64: a failure is replayed by its seed.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }
}
