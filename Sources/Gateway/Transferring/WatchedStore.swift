package import Catalog
package import HTTP
package import S3

/// A backend whose calls tell the health board how they ended. Reads are reported by who reads, since they may fail in the middle.
package struct WatchedStore: ObjectStore {
    private let store: any ObjectStore
    private let backend: BackendID
    private let board: HealthBoard

    package init(_ store: any ObjectStore, _ backend: BackendID, _ board: HealthBoard) {
        self.store = store
        self.backend = backend
        self.board = board
    }

    package var capabilities: StoreCapabilities { store.capabilities }

    private func watched<Answer: Sendable>(
        _ call: () async throws(StoreError) -> Answer
    ) async throws(StoreError) -> Answer {
        do throws(StoreError) {
            let answer = try await call()
            board.record(backend, nil)
            return answer
        } catch {
            board.record(backend, error)
            throw error
        }
    }

    package func get(_ key: String, range: ByteRange?) async throws(StoreError) -> StoreReading {
        try await store.get(key, range: range)
    }
    package func head(_ key: String) async throws(StoreError) -> StoredObject {
        try await watched { () async throws(StoreError) in try await store.head(key) }
    }
    package func list(prefix: String, after: String?, limit: Int) async throws(StoreError) -> StoreListing {
        try await watched { () async throws(StoreError) in
            try await store.list(prefix: prefix, after: after, limit: limit)
        }
    }
    package func put(
        _ key: String, length: Int64, body: any BodyReader, metadata: StoredMetadata, ifAbsent: Bool
    ) async throws(StoreError) -> StoredObject {
        try await watched { () async throws(StoreError) in
            try await store.put(key, length: length, body: body, metadata: metadata, ifAbsent: ifAbsent)
        }
    }
    package func delete(_ key: String, providerVersion: String?) async throws(StoreError) {
        try await watched { () async throws(StoreError) in
            try await store.delete(key, providerVersion: providerVersion)
        }
    }
    package func createUpload(_ key: String, metadata: StoredMetadata) async throws(StoreError) -> String {
        try await watched { () async throws(StoreError) in try await store.createUpload(key, metadata: metadata) }
    }
    package func putPart(
        _ key: String, uploadID: String, number: Int, length: Int64, body: any BodyReader
    ) async throws(StoreError) -> StoredPart {
        try await watched { () async throws(StoreError) in
            try await store.putPart(key, uploadID: uploadID, number: number, length: length, body: body)
        }
    }
    package func completeUpload(
        _ key: String, uploadID: String, parts: [StoredPart]
    ) async throws(StoreError) -> StoredObject {
        try await watched { () async throws(StoreError) in
            try await store.completeUpload(key, uploadID: uploadID, parts: parts)
        }
    }
    package func abortUpload(_ key: String, uploadID: String) async throws(StoreError) {
        try await watched { () async throws(StoreError) in try await store.abortUpload(key, uploadID: uploadID) }
    }
    package func openUploads(_ key: String) async throws(StoreError) -> [String] {
        try await watched { () async throws(StoreError) in try await store.openUploads(key) }
    }
    package func listUploads(prefix: String) async throws(StoreError) -> [OpenUpload] {
        try await watched { () async throws(StoreError) in try await store.listUploads(prefix: prefix) }
    }
}
