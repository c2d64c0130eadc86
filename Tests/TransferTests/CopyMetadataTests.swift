import Catalog
import S3
import TestSupport
import Testing
import Transfer

@Suite struct CopyMetadataTests {
    private static let version = VersionID(ID128(high: 1, low: 2))

    private func cost(_ metadata: StoredMetadata) -> Int {
        metadata.entries.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
    }

    @Test func `a copy describes itself`() {
        let headers = ObjectHeaders(
            contentType: "image/png", standard: ["cache-control": "max-age=1, \"x\"", "expires": ""],
            user: ["who": "Jürgen\n", "empty": "", "odd name": "é%"])
        let made = CopyMetadata.make(
            bucket: "photos", key: "a/ü ~%\n", version: Self.version, size: 12, headers: headers)
        #expect(made.entries.allSatisfy { $0.value.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } || $0.value.isEmpty })
        #expect(
            CopyMetadata.parse(made)
                == .init(
                    bucket: "photos", key: "a/ü ~%\n", version: Self.version, size: 12, headers: headers,
                    isTruncated: false))
    }

    @Test func `bucket, key, version and size fit with the longest key there is`() {
        for piece in ["x", "é", "日", "😀", "%", "/"] {
            let key = String(repeating: piece, count: 1_024 / piece.utf8.count)
            let bucket = String(repeating: "b", count: 63)
            let made = CopyMetadata.make(
                bucket: bucket, key: key, version: Self.version, size: 5 << 40,
                headers: ObjectHeaders(user: ["long": String(repeating: "v", count: 2_000)]))
            #expect(cost(made) <= CopyMetadata.bytesMax)
            // What OpenStack Swift takes.
            #expect(made.entries.allSatisfy { $0.value.utf8.count <= 256 && $0.key.utf8.count <= 128 })
            #expect(made.entries["sluice-format"] == "2", "an older release must not take a piece for the whole")
            let read = CopyMetadata.parse(made)
            #expect(read?.key == key && read?.bucket == bucket && read?.isTruncated == true)
        }
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func `what does not fit is left out and said so`(seed: UInt64) {
        var random = SimulatedRandom(seed: seed)
        for _ in 0..<300 {
            var user: [String: String] = [:]
            for index in 0..<random.below(12) {
                user["name-\(index)"] = String(repeating: "ü", count: random.below(120))
            }
            let made = CopyMetadata.make(
                bucket: "b", key: "k", version: Self.version, size: 1, headers: ObjectHeaders(user: user))
            let read = CopyMetadata.parse(made)
            #expect(cost(made) <= CopyMetadata.bytesMax, "seed \(seed)")
            #expect(read?.isTruncated == (read?.headers.user != user), "seed \(seed)")
        }
    }

    @Test func `metadata that is not ours is not read`() {
        #expect(CopyMetadata.parse(StoredMetadata(entries: ["sluice-format": "2", "sluice-bucket": "b"])) == nil)
        #expect(CopyMetadata.parse(StoredMetadata(entries: [:])) == nil)
    }
}

@Suite struct IdentityMarkerTests {
    private let mine = ID128(high: 1, low: 1)

    @Test func `a marker is written once and recognised`() async throws {
        let store = MemoryStore()
        #expect(try await IdentityMarker.read(store, keyPrefix: "p/", uid: mine) == .absent)
        #expect(try await IdentityMarker.write(store, keyPrefix: "p/", uid: mine) == .match)
        #expect(try await IdentityMarker.read(store, keyPrefix: "p/", uid: mine) == .match)
    }

    @Test func `another backend's marker stays as it is`() async throws {
        let store = MemoryStore()
        _ = try await IdentityMarker.write(store, keyPrefix: "p/", uid: ID128(high: 9, low: 9))
        let before = store.stored(IdentityMarker.key("p/"))
        guard case .mismatch = try await IdentityMarker.write(store, keyPrefix: "p/", uid: mine) else {
            Issue.record("a foreign marker was taken for ours")
            return
        }
        #expect(store.stored(IdentityMarker.key("p/")) == before)
    }

    @Test func `a backend without conditional writes keeps another's marker too`() async throws {
        let store = MemoryStore(
            capabilities: StoreCapabilities(conditionalCreate: false, versioned: false, lateArrivalHorizon: .zero))
        _ = try await IdentityMarker.write(store, keyPrefix: "p/", uid: ID128(high: 9, low: 9))
        let before = store.stored(IdentityMarker.key("p/"))
        guard case .mismatch = try await IdentityMarker.write(store, keyPrefix: "p/", uid: mine) else {
            Issue.record("a foreign marker was overwritten")
            return
        }
        #expect(store.stored(IdentityMarker.key("p/")) == before)
    }
}
