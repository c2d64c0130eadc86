import HTTP
import S3
import S3Client
import TestSupport
import Testing

/// The contract of backends, kept by other people's S3 servers through our client.
@Suite struct S3ContractTests {
    /// A server of files: no `a` beside `a/b`, no empty segments; multipart uploads lose metadata and have no gaps.
    private static var rclone: ObjectStoreContract.Traits {
        var traits = ObjectStoreContract.Traits()
        traits.takesAnyName = false
        traits.keepsMultipartMetadata = false
        traits.partNumbers = [1, 2, 3]
        return traits
    }

    /// rclone streams parts on as they come: one that was sent cannot be replaced (501), and a refused Complete ends the upload. A
    /// delete takes the emptied folder away under a put beside it (500).
    private static let ofRclone = ObjectStoreContract.Promise.allCases.filter {
        ![.resentPart, .wrongParts, .racingNeighbours].contains($0)
    }
    /// moto answers 500 to a part of an upload that is not there, which `abort` asks for.
    private static let ofMoto = ObjectStoreContract.Promise.allCases.filter { $0 != .abort }

    @Test(arguments: ofRclone)
    func `rclone's S3 server keeps the contract`(promise: ObjectStoreContract.Promise) async throws {
        try await S3Harness.run { harness in
            let store = try await harness.freshStore(S3ServerProcess.shared(.rclone))
            try await ObjectStoreContract(store: store, prefix: "p/", traits: S3ContractTests.rclone).check(promise)
        }
    }

    @Test(arguments: ofMoto)
    func `moto keeps the contract, conditional creates included`(promise: ObjectStoreContract.Promise) async throws {
        try await S3Harness.run { harness in
            let store = try await harness.freshStore(S3ServerProcess.shared(.moto))
            let found = try await store.probe(keyPrefix: "p/")
            #expect(found.conditionalCreate && !found.versioned && store.capabilities == found)
            var traits = ObjectStoreContract.Traits()
            traits.takesLineBreaks = false
            try await ObjectStoreContract(store: store, prefix: "p/", traits: traits).check(promise)
        }
    }
}

/// What real servers show of our client beyond the contract.
@Suite struct S3ServerTests {
    private static func put(_ store: NetworkStore, _ key: String, _ text: String) async throws -> StoredObject {
        try await store.put(
            key, length: Int64(text.utf8.count), body: BytesReader(Bytes(text)), metadata: StoredMetadata(),
            ifAbsent: false)
    }

    @Test func `a probe finds what rclone lacks, and leaves nothing`() async throws {
        try await S3Harness.run { harness in
            let store = try await harness.freshStore(S3ServerProcess.shared(.rclone))
            let found = try await store.probe(keyPrefix: "p/")
            #expect(!found.conditionalCreate && !found.versioned)
            #expect(try await store.list(prefix: "", after: nil, limit: 1000).entries.isEmpty)
        }
    }

    @Test func `where versions are kept, a delete leaves none of its name, and no other is touched`() async throws {
        try await S3Harness.run { harness in
            let server = try S3ServerProcess.shared(.moto)
            let store = try await harness.freshStore(server, isVersioned: true)
            #expect(try await store.probe(keyPrefix: "p/").versioned)
            let first = try await S3ServerTests.put(store, "p/a", "one")
            #expect(first.providerVersion != nil && store.capabilities.versioned)
            _ = try await S3ServerTests.put(store, "p/a", "two")
            _ = try await S3ServerTests.put(store, "p/ab", "other")
            try await store.delete("p/a", providerVersion: first.providerVersion)
            #expect(try await store.head("p/a").size == 3, "the newer version is there")
            for _ in 0..<2 { try await store.delete("p/a", providerVersion: nil) }
            let versions = try await harness.call(.get, server.port, "/\(store.bucket)?versions=").text
            #expect(!versions.contains("<Key>p/a</Key>") && versions.contains("<Key>p/ab</Key>"))
            #expect(!versions.contains(".sluice/"), "the probe left nothing")
        }
    }

    @Test(arguments: S3ServerProcess.Kind.allCases)
    func `a bucket that is not there is wrongLocation, for every call`(kind: S3ServerProcess.Kind) async throws {
        try await S3Harness.run { harness in
            let server = try S3ServerProcess.shared(kind)
            let store = harness.store(port: server.port, bucket: "absent-bucket")
            let calls: [(String, () async throws(StoreError) -> Void)] = [
                ("get", { () async throws(StoreError) in _ = try await store.get("a", range: nil) }),
                ("head", { () async throws(StoreError) in _ = try await store.head("a") }),
                ("list", { () async throws(StoreError) in _ = try await store.list(prefix: "", after: nil, limit: 1) }),
                ("delete", { () async throws(StoreError) in try await store.delete("a", providerVersion: nil) }),
                (
                    "upload",
                    { () async throws(StoreError) in _ = try await store.createUpload("a", metadata: StoredMetadata()) }
                ),
                (
                    "put",
                    { () async throws(StoreError) in
                        _ = try await store.put(
                            "a", length: 1, body: BytesReader(Bytes("x")), metadata: StoredMetadata(), ifAbsent: false)
                    }
                ),
            ]
            for (name, call) in calls { await expectCode(.wrongLocation, "\(kind.rawValue) \(name)", call) }
        }
    }

    @Test func `a wrong secret is accessDenied, and nothing is repeated`() async throws {
        try await S3Harness.run { harness in
            let server = try S3ServerProcess.shared(.rclone)
            let store = harness.store(port: server.port, bucket: "any", secret: "wrong")
            await expectCode(.accessDenied, "get") { () async throws(StoreError) in
                _ = try await store.get("a", range: nil)
            }
            await expectCode(.accessDenied, "head") { () async throws(StoreError) in _ = try await store.head("a") }
            #expect(harness.observed == ["GetObject 4xx", "HeadObject 4xx"])
        }
    }

    @Test func `a server that went away is unreachable, and surely took nothing`() async throws {
        try await S3Harness.run { harness in
            let server = try S3ServerProcess(.rclone)
            let store = try await harness.freshStore(server)
            _ = try await S3ServerTests.put(store, "a", "one")
            server.stop()
            do throws(StoreError) {
                _ = try await store.put(
                    "b", length: 3, body: BytesReader(Bytes("two")), metadata: StoredMetadata(), ifAbsent: false)
                Issue.record("a put on a server that has gone succeeded")
            } catch {
                #expect(error.code == .unreachable && !error.mayArriveLate, "\(error)")
            }
        }
    }
}

/// The call must fail with `code`.
func expectCode(_ code: StoreError.Code, _ what: String, _ call: () async throws(StoreError) -> Void) async {
    do throws(StoreError) {
        try await call()
        Issue.record("\(what): no error instead of \(code)")
    } catch {
        #expect(error.code == code, "\(what): \(error)")
    }
}
