import Catalog
import HTTP
import S3
import Synchronization

/// What one backend was used for since it was last asked.
final class UsageMeter: Sendable {
    private let requests = Atomic<Int64>(0)
    private let egress = Atomic<Int64>(0)
    private let ingress = Atomic<Int64>(0)

    func count(egress out: Int64 = 0, ingress incoming: Int64 = 0) {
        requests.add(1, ordering: .relaxed)
        if out > 0 { egress.add(out, ordering: .relaxed) }
        if incoming > 0 { ingress.add(incoming, ordering: .relaxed) }
    }

    /// Gives what was counted, and begins anew.
    func take() -> MonthlyUsage {
        MonthlyUsage(
            requests: requests.exchange(0, ordering: .relaxed), egress: egress.exchange(0, ordering: .relaxed),
            ingress: ingress.exchange(0, ordering: .relaxed))
    }

    func giveBack(_ usage: MonthlyUsage) {
        requests.add(usage.requests, ordering: .relaxed)
        egress.add(usage.egress, ordering: .relaxed)
        ingress.add(usage.ingress, ordering: .relaxed)
    }
}

/// A backend whose calls and bytes are counted. A body counts as a whole when it begins: a reader that goes away early has had most
/// of it on the wire.
struct MeteredStore: ObjectStore {
    let store: any ObjectStore
    let meter: UsageMeter

    var capabilities: StoreCapabilities { store.capabilities }

    func get(_ key: String, range: ByteRange?) async throws(StoreError) -> StoreReading {
        do throws(StoreError) {
            let reading = try await store.get(key, range: range)
            meter.count(egress: reading.length)
            return reading
        } catch {
            meter.count()
            throw error
        }
    }
    func head(_ key: String) async throws(StoreError) -> StoredObject {
        meter.count()
        return try await store.head(key)
    }
    func list(prefix: String, after: String?, limit: Int) async throws(StoreError) -> StoreListing {
        meter.count()
        return try await store.list(prefix: prefix, after: after, limit: limit)
    }
    func put(
        _ key: String, length: Int64, body: any BodyReader, metadata: StoredMetadata, ifAbsent: Bool
    ) async throws(StoreError) -> StoredObject {
        meter.count(ingress: length)
        return try await store.put(key, length: length, body: body, metadata: metadata, ifAbsent: ifAbsent)
    }
    func copy(_ source: String, to key: String, metadata: StoredMetadata) async throws(StoreError) -> StoredObject {
        // And the look behind it.
        meter.count()
        meter.count()
        return try await store.copy(source, to: key, metadata: metadata)
    }
    func delete(_ key: String, providerVersion: String?) async throws(StoreError) {
        meter.count()
        try await store.delete(key, providerVersion: providerVersion)
    }
    func createUpload(_ key: String, metadata: StoredMetadata) async throws(StoreError) -> String {
        meter.count()
        return try await store.createUpload(key, metadata: metadata)
    }
    func putPart(
        _ key: String, uploadID: String, number: Int, length: Int64, body: any BodyReader
    ) async throws(StoreError) -> StoredPart {
        meter.count(ingress: length)
        return try await store.putPart(key, uploadID: uploadID, number: number, length: length, body: body)
    }
    func completeUpload(_ key: String, uploadID: String, parts: [StoredPart]) async throws(StoreError) -> StoredObject {
        meter.count()
        return try await store.completeUpload(key, uploadID: uploadID, parts: parts)
    }
    func abortUpload(_ key: String, uploadID: String) async throws(StoreError) {
        meter.count()
        try await store.abortUpload(key, uploadID: uploadID)
    }
    func openUploads(_ key: String) async throws(StoreError) -> [String] {
        meter.count()
        return try await store.openUploads(key)
    }
    func listUploads(prefix: String) async throws(StoreError) -> [OpenUpload] {
        meter.count()
        return try await store.listUploads(prefix: prefix)
    }
}
