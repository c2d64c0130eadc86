import Catalog
import HTTP
import S3

/// A backend whose answers teach the health board. Reads are reported by who reads them, since they may fail in the middle.
struct ObservedStore: ObjectStore {
    private let store: any ObjectStore
    private let id: BackendID
    private let health: HealthBoard

    init(_ store: any ObjectStore, id: BackendID, health: HealthBoard) {
        self.store = store
        self.id = id
        self.health = health
    }

    private func observed<Answer>(_ call: () async throws(StoreError) -> Answer) async throws(StoreError) -> Answer {
        do throws(StoreError) {
            let answer = try await call()
            health.record(id, nil)
            return answer
        } catch {
            health.record(id, error)
            throw error
        }
    }

    var capabilities: StoreCapabilities { store.capabilities }

    func get(_ key: String, range: ByteRange?) async throws(StoreError) -> StoreReading {
        try await store.get(key, range: range)
    }
    func head(_ key: String) async throws(StoreError) -> StoredObject {
        try await observed { () async throws(StoreError) in try await store.head(key) }
    }
    func list(prefix: String, after: String?, limit: Int) async throws(StoreError) -> StoreListing {
        try await observed { () async throws(StoreError) in
            try await store.list(prefix: prefix, after: after, limit: limit)
        }
    }
    func put(
        _ key: String, length: Int64, body: any BodyReader, metadata: StoredMetadata, ifAbsent: Bool
    ) async throws(StoreError) -> StoredObject {
        try await observed { () async throws(StoreError) in
            try await store.put(key, length: length, body: body, metadata: metadata, ifAbsent: ifAbsent)
        }
    }
    /// What a service cannot do says nothing about its health.
    func copy(_ source: String, to key: String, metadata: StoredMetadata) async throws(StoreError) -> StoredObject {
        try await store.copy(source, to: key, metadata: metadata)
    }
    func delete(_ key: String, providerVersion: String?) async throws(StoreError) {
        try await observed { () async throws(StoreError) in
            try await store.delete(key, providerVersion: providerVersion)
        }
    }
    func createUpload(_ key: String, metadata: StoredMetadata) async throws(StoreError) -> String {
        try await observed { () async throws(StoreError) in try await store.createUpload(key, metadata: metadata) }
    }
    func putPart(
        _ key: String, uploadID: String, number: Int, length: Int64, body: any BodyReader
    ) async throws(StoreError) -> StoredPart {
        try await observed { () async throws(StoreError) in
            try await store.putPart(key, uploadID: uploadID, number: number, length: length, body: body)
        }
    }
    func completeUpload(_ key: String, uploadID: String, parts: [StoredPart]) async throws(StoreError) -> StoredObject {
        try await observed { () async throws(StoreError) in
            try await store.completeUpload(key, uploadID: uploadID, parts: parts)
        }
    }
    func abortUpload(_ key: String, uploadID: String) async throws(StoreError) {
        try await observed { () async throws(StoreError) in try await store.abortUpload(key, uploadID: uploadID) }
    }
    func openUploads(_ key: String) async throws(StoreError) -> [String] {
        try await observed { () async throws(StoreError) in try await store.openUploads(key) }
    }
    func listUploads(prefix: String) async throws(StoreError) -> [OpenUpload] {
        try await observed { () async throws(StoreError) in try await store.listUploads(prefix: prefix) }
    }
}
