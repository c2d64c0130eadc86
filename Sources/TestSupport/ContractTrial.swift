import HTTP
import S3

/// One promise of `ObjectStoreContract` on trial: the tools, then the promises about single objects.
struct ContractTrial: Sendable {
    let store: any ObjectStore
    let traits: ObjectStoreContract.Traits
    let promise: ObjectStoreContract.Promise
    let prefix: String

    func expect(_ isKept: Bool, _ detail: @autoclosure () -> String) throws {
        if !isKept { throw ObjectStoreContract.Broken(promise: promise, detail: detail()) }
    }

    /// The call must fail with `code`.
    func expect(_ code: StoreError.Code, _ what: String, _ call: () async throws(StoreError) -> Void) async throws {
        do throws(StoreError) {
            try await call()
        } catch {
            return try expect(error.code == code, "\(what): \(error) instead of \(code)")
        }
        throw ObjectStoreContract.Broken(promise: promise, detail: "\(what): no error instead of \(code)")
    }

    /// Bytes that tell their place, so that a shifted or repeated run shows.
    func pattern(_ count: Int, _ salt: UInt8 = 0) -> Bytes {
        Bytes(capacity: count) { target in
            for index in 0..<count { target[index] = UInt8(truncatingIfNeeded: index &* 31 &+ index >> 8 &* 7) &+ salt }
            return count
        }
    }

    func runs(_ bytes: Bytes, of size: Int) -> [Bytes] {
        stride(from: 0, to: bytes.count, by: size).map { bytes[$0..<min($0 + size, bytes.count)] }
    }

    @discardableResult
    func put(
        _ name: String, _ bytes: Bytes, _ metadata: StoredMetadata = StoredMetadata(), ifAbsent: Bool = false
    ) async throws(StoreError) -> StoredObject {
        try await store.put(
            prefix + name, length: Int64(bytes.count), body: BytesReader(bytes), metadata: metadata, ifAbsent: ifAbsent)
    }

    func bytes(_ name: String, _ range: ByteRange? = nil, limit: Int = 64 * 1024 * 1024) async throws -> Bytes {
        try await store.get(prefix + name, range: range).body.collect(limit: limit)
    }

    /// The keys below the prefix of this trial, without it, in pages of `limit`.
    func names(_ below: String = "", limit: Int = 1000) async throws -> [String] {
        var names: [String] = []
        var after: String?
        for _ in 0..<1000 {
            let page = try await store.list(prefix: prefix + below, after: after, limit: limit)
            try expect(page.entries.count <= limit, "\(page.entries.count) entries on a page of \(limit)")
            names += page.entries.map { String(decoding: $0.key.utf8.dropFirst(prefix.utf8.count), as: UTF8.self) }
            guard page.isTruncated, let last = page.entries.last else { return names }
            after = last.key
        }
        throw ObjectStoreContract.Broken(promise: promise, detail: "no last page")
    }

    /// Equal bytes: for Swift, equal strings may have different ones.
    func expectNames(_ names: [String], _ expected: [String], _ what: String) throws {
        let sorted = expected.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        try expect(
            names.count == sorted.count && zip(names, sorted).allSatisfy { $0.utf8.elementsEqual($1.utf8) },
            "\(what): \(names) instead of \(sorted)")
    }

    // MARK: Reading back

    func roundTrip() async throws {
        let metadata = StoredMetadata(
            contentType: "text/x-odd; charset=\"utf-8\"", entries: ["one": "1 + 1 = 2", "two-b": "%C3%A4"])
        for count in [0, 1, 4096, 256 * 1024, traits.streamedBytes] {
            let content = pattern(count)
            let body = BytesReader(runs: runs(content, of: 100_000))
            let put = try await store.put(
                prefix + "o\(count)", length: Int64(count), body: body, metadata: metadata, ifAbsent: false)
            try expect(put.size == Int64(count), "put said \(put.size) of \(count) bytes")
            let reading = try await store.get(prefix + "o\(count)", range: nil)
            try expect(
                reading.length == Int64(count) && reading.object.size == Int64(count),
                "get said \(reading.length) of \(count) bytes")
            try expect(reading.object.metadata == metadata, "get said \(reading.object.metadata)")
            try expect(reading.object.etag == put.etag, "ETag \(put.etag) became \(reading.object.etag)")
            try expect(
                try await reading.body.collect(limit: count) == content, "other bytes than the \(count) that were put")
            let head = try await store.head(prefix + "o\(count)")
            try expect(head.size == Int64(count) && head.etag == put.etag, "head said \(head)")
            try expect(head.metadata == metadata, "head said \(head.metadata)")
        }
    }

    func ranges() async throws {
        let content = pattern(traits.streamedBytes)
        let count = Int64(content.count)
        try await put("o", content)
        for (lower, upper) in [
            (0, 1), (0, count), (count - 1, count), (1, 300_000), (262_143, 262_145), (1_000_000, count - 7),
        ] {
            let reading = try await store.get(prefix + "o", range: ByteRange(lower, upper))
            try expect(reading.length == upper - lower, "\(lower)..<\(upper) has \(reading.length) bytes")
            try expect(reading.object.size == count, "the object has \(reading.object.size) bytes")
            let found = try await reading.body.collect(limit: content.count)
            try expect(found == content[Int(lower)..<Int(upper)], "\(lower)..<\(upper) has other bytes")
        }
    }

    func rangeBeyondEnd() async throws {
        try await put("o", pattern(10))
        try await put("empty", .empty)
        for (name, lower) in [("o", 10), ("o", 1000), ("empty", 0)] as [(String, Int64)] {
            try await expect(.invalidRange, "\(name) from \(lower)") { () async throws(StoreError) in
                _ = try await store.get(prefix + name, range: ByteRange(lower, lower + 1))
            }
        }
    }

    func absence() async throws {
        try await put("folder/o", pattern(1))
        for name in ["absent", "folder", "folder/o/x", "folder/absent"] {
            try await expect(.noSuchKey, "get \(name)") { () async throws(StoreError) in
                _ = try await store.get(prefix + name, range: nil)
            }
            try await expect(.noSuchKey, "head \(name)") { () async throws(StoreError) in
                _ = try await store.head(prefix + name)
            }
        }
    }

    func repeatedDelete() async throws {
        try await put("a/b/c", pattern(9))
        try await put("a/other", pattern(9))
        for _ in 0..<3 {
            try await store.delete(prefix + "a/b/c", providerVersion: nil)
            try await store.delete(prefix + "never/was", providerVersion: nil)
        }
        try await expect(.noSuchKey, "get") { () async throws(StoreError) in
            _ = try await store.get(prefix + "a/b/c", range: nil)
        }
        try expectNames(try await names(), ["a/other"], "left")
        try await put("a/b/c", pattern(10))
        try expect(try await bytes("a/b/c") == pattern(10), "a name can't be used after its deletion")
    }

    // MARK: Writing

    /// Bodies that fail, by name: early, late, too short, too long; small ones and streamed ones.
    private func failures() -> [(String, Int64, any BodyReader)] {
        let large = pattern(traits.streamedBytes)
        let length = Int64(large.count)
        return [
            ("throws at once", 10, FailingBody([], then: .truncated)),
            ("throws late", length, FailingBody(runs(large, of: 100_000), then: .source("gone"))),
            ("is short", 10, BytesReader(pattern(9))),
            ("is short, streamed", length, BytesReader(large.prefix(large.count - 1))),
            (
                "does not match", length,
                FailingBody(runs(large, of: 100_000), then: .contentMismatch(code: "BadDigest", message: ""))
            ),
        ]
    }

    func failedBody() async throws {
        for (what, length, body) in failures() {
            try await expect(.bodyFailed, what) { () async throws(StoreError) in
                _ = try await store.put(
                    prefix + "o", length: length, body: body, metadata: StoredMetadata(), ifAbsent: false)
            }
            try await expect(.noSuchKey, what) { () async throws(StoreError) in _ = try await store.head(prefix + "o") }
        }
        try expectNames(try await names(), [], "left")
    }

    func failedOverwrite() async throws {
        let metadata = StoredMetadata(contentType: "text/plain", entries: ["a": "b"])
        try await put("o", pattern(100), metadata)
        for (what, length, body) in failures() {
            try await expect(.bodyFailed, what) { () async throws(StoreError) in
                _ = try await store.put(
                    prefix + "o", length: length, body: body, metadata: StoredMetadata(), ifAbsent: false)
            }
            try expect(try await bytes("o") == pattern(100), "\(what): other bytes")
            try expect(try await store.head(prefix + "o").metadata == metadata, "\(what): other metadata")
        }
    }

    func copyWithin() async throws {
        let source = "from a+b/ü~x"
        let first = StoredMetadata(contentType: "text/plain", entries: ["a": "b"])
        try await put(source, pattern(traits.streamedBytes), first)
        let second = StoredMetadata(contentType: "image/png", entries: ["c": "d%20e"])
        let copied: StoredObject
        do throws(StoreError) {
            copied = try await store.copy(prefix + source, to: prefix + "to", metadata: second)
        } catch {
            // Said before or found out now: from here on it is known.
            try expect(error.code == .notSupported && !store.capabilities.copiesWithin, "\(error)")
            return
        }
        try expect(try await bytes("to") == pattern(traits.streamedBytes), "other bytes")
        let found = try await store.head(prefix + "to")
        try expect(
            found.metadata == second && copied.metadata.entries == second.entries, "other metadata: \(found.metadata)")
        try expect(copied.size == Int64(traits.streamedBytes) && copied.etag == found.etag, "\(copied)")
        try expect(try await store.head(prefix + source).metadata == first, "the source has changed")
        var refusal: StoreError?
        do throws(StoreError) {
            _ = try await store.copy(prefix + "none", to: prefix + "nowhere", metadata: second)
        } catch {
            refusal = error
        }
        try expect(refusal?.code == .noSuchKey, "a copy of nothing: \(String(describing: refusal))")
        try expectNames(try await names(), [source, "to"].sorted(by: MemoryStore.inByteOrder), "names")
    }

    func overwrite() async throws {
        try await put(
            "o", pattern(traits.streamedBytes), StoredMetadata(contentType: "text/plain", entries: ["a": "b"]))
        let second = StoredMetadata(contentType: "image/png", entries: ["c": "d"])
        try await put("o", pattern(5, 1), second)
        try expect(try await bytes("o") == pattern(5, 1), "other bytes")
        try expect(try await store.head(prefix + "o").metadata == second, "other metadata")
        try expectNames(try await names(), ["o"], "names")
    }
}
