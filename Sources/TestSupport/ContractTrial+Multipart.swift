import HTTP
import S3

/// Promises about multipart uploads.
extension ContractTrial {
    private func putPart(_ name: String, _ id: String, _ number: Int, _ bytes: Bytes) async throws(StoreError)
        -> StoredPart
    {
        try await store.putPart(
            prefix + name, uploadID: id, number: number, length: Int64(bytes.count),
            body: BytesReader(runs: runs(bytes, of: 100_000)))
    }

    func multipart() async throws {
        let metadata = StoredMetadata(contentType: "video/mp4", entries: ["a": "b"])
        let id = try await store.createUpload(prefix + "m/o", metadata: metadata)
        let numbers = traits.partNumbers
        let contents = [
            numbers[0]: pattern(traits.partBytes, 1), numbers[1]: pattern(traits.partBytes + 77, 5),
            numbers[2]: pattern(3, 9),
        ]
        var parts: [StoredPart] = []
        for number in [numbers[2], numbers[0], numbers[1]] {
            guard let content = contents[number] else { continue }
            let part = try await putPart("m/o", id, number, content)
            try expect(part.number == number && part.size == Int64(content.count), "\(part)")
            parts.append(part)
        }
        try await expect(.noSuchKey, "before Complete") { () async throws(StoreError) in
            _ = try await store.head(prefix + "m/o")
        }
        parts.sort { $0.number < $1.number }
        let stored = try await store.completeUpload(prefix + "m/o", uploadID: id, parts: parts)
        let whole = parts.flatMap { contents[$0.number]?.array ?? [] }
        try expect(stored.size == Int64(whole.count), "Complete said \(stored.size) bytes")
        let reading = try await store.get(prefix + "m/o", range: nil)
        if traits.keepsMultipartMetadata {
            try expect(reading.object.metadata == metadata, "metadata \(reading.object.metadata)")
        }
        try expect(try await reading.body.collect(limit: whole.count) == Bytes(whole), "other bytes")
        let across = Int64(traits.partBytes)
        try expect(
            try await bytes("m/o", ByteRange(across - 2, across + 2))
                == Bytes(whole[(Int(across) - 2)..<(Int(across) + 2)]),
            "other bytes where two parts meet")
        try expect(try await store.openUploads(prefix + "m/o").isEmpty, "the upload is still open")
        try expectNames(try await names(), ["m/o"], "names")
    }

    func resentPart() async throws {
        let id = try await store.createUpload(prefix + "o", metadata: StoredMetadata())
        _ = try await putPart("o", id, 1, pattern(100, 1))
        let part = try await putPart("o", id, 1, pattern(120, 2))
        _ = try await store.completeUpload(prefix + "o", uploadID: id, parts: [part])
        try expect(try await bytes("o") == pattern(120, 2), "other bytes than the last ones")
    }

    func failedPart() async throws {
        let id = try await store.createUpload(prefix + "o", metadata: StoredMetadata())
        let good = try await putPart("o", id, 1, pattern(50))
        for body in [FailingBody([pattern(40)], then: .source("gone")), BytesReader(pattern(40))] as [any BodyReader] {
            try await expect(.bodyFailed, "part") { () async throws(StoreError) in
                _ = try await store.putPart(prefix + "o", uploadID: id, number: 1, length: 60, body: body)
            }
        }
        _ = try await store.completeUpload(prefix + "o", uploadID: id, parts: [good])
        try expect(try await bytes("o") == pattern(50), "other bytes than those of the part that succeeded")
    }

    func abort() async throws {
        let id = try await store.createUpload(prefix + "a/o", metadata: StoredMetadata())
        let part = try await putPart("a/o", id, 1, pattern(100))
        for _ in 0..<2 { try await store.abortUpload(prefix + "a/o", uploadID: id) }
        try await expect(.noSuchUpload, "a part after the abort") { () async throws(StoreError) in
            _ = try await putPart("a/o", id, 2, pattern(1))
        }
        try await expect(.noSuchUpload, "Complete after the abort") { () async throws(StoreError) in
            _ = try await store.completeUpload(prefix + "a/o", uploadID: id, parts: [part])
        }
        try expect(try await store.openUploads(prefix + "a/o").isEmpty, "the upload is still open")
        try expectNames(try await names(), [], "left")
    }

    func wrongParts() async throws {
        let id = try await store.createUpload(prefix + "o", metadata: StoredMetadata())
        let other = try await store.createUpload(prefix + "other", metadata: StoredMetadata())
        let part = try await putPart("o", id, 1, pattern(100))
        let foreign = try await putPart("other", other, 2, pattern(100, 7))
        for parts in [[part, foreign], [StoredPart(number: 1, etag: foreign.etag, size: 100)]] {
            try await expect(.rejected, "\(parts.count) parts") { () async throws(StoreError) in
                _ = try await store.completeUpload(prefix + "o", uploadID: id, parts: parts)
            }
        }
        try await expect(.noSuchKey, "after the refusal") { () async throws(StoreError) in
            _ = try await store.head(prefix + "o")
        }
        _ = try await store.completeUpload(prefix + "o", uploadID: id, parts: [part])
        try expect(try await bytes("o") == pattern(100), "other bytes")
        try await store.abortUpload(prefix + "other", uploadID: other)
    }

    func uploadListing() async throws {
        guard traits.listsUploads else { return }
        var open: [(key: String, id: String)] = []
        for name in ["u/a", "u/a", "u/ab", "v"] {
            open.append((name, try await store.createUpload(prefix + name, metadata: StoredMetadata())))
        }
        let ids = open.prefix(2).map(\.id).sorted()
        try expect(
            try await store.openUploads(prefix + "u/a").sorted() == ids, "of u/a: not the two of exactly this key")
        let below = try await store.listUploads(prefix: prefix + "u/")
        try expect(Set(below.map(\.uploadID)) == Set(open.prefix(3).map(\.id)), "below u/: \(below)")
        try expect(Set(below.map(\.key)) == [prefix + "u/a", prefix + "u/ab"], "below u/: \(below)")
        for (name, id) in open { try await store.abortUpload(prefix + name, uploadID: id) }
        try expect(try await store.listUploads(prefix: prefix).isEmpty, "still open after their aborts")
    }
}
