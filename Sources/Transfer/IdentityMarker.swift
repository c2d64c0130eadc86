package import Catalog
import HTTP
package import S3

/// The object that says whose a backend is: written once, never overwritten.
package enum IdentityMarker {
    package enum Finding: Sendable, Equatable {
        case match
        case absent
        /// Somebody else's, or another backend of ours: nothing on it may be concluded or changed.
        case mismatch(found: String)
    }

    package static func key(_ keyPrefix: String) -> String { keyPrefix + ".sluice/identity" }

    private static func text(_ uid: ID128) -> String { "sluice-backend \(uid)\n" }

    package static func read(_ store: any ObjectReading, keyPrefix: String, uid: ID128) async throws(StoreError)
        -> Finding
    {
        let reading: StoreReading
        do throws(StoreError) {
            reading = try await store.get(key(keyPrefix), range: nil)
        } catch {
            if error.code == .noSuchKey { return .absent }
            throw error
        }
        do throws(BodyError) {
            let found = try await reading.body.collect(limit: 4096).text
            return found == text(uid) ? .match : .mismatch(found: String(found.prefix(80)))
        } catch {
            throw StoreError(.reset, mayArriveLate: false, evidence: "identity marker: \(error)")
        }
    }

    /// A marker that is there already is looked at, not overwritten; first by reading, since not every backend honours `ifAbsent`.
    package static func write(_ store: any ObjectStore, keyPrefix: String, uid: ID128) async throws(StoreError)
        -> Finding
    {
        let before = try await read(store, keyPrefix: keyPrefix, uid: uid)
        guard before == .absent else { return before }
        try await put(text(uid), as: key(keyPrefix), on: store)
        return try await read(store, keyPrefix: keyPrefix, uid: uid)
    }

    /// A small object that is written once. A name that is taken is left as it is; a service that knows no conditions (OpenStack
    /// Swift up to 2.35) is asked without one.
    static func put(_ text: String, as key: String, on store: any ObjectStore) async throws(StoreError) {
        let bytes = Bytes(text)
        func write(ifAbsent: Bool) async throws(StoreError) {
            _ = try await store.put(
                key, length: Int64(bytes.count), body: BytesReader(bytes),
                metadata: StoredMetadata(contentType: "text/plain"), ifAbsent: ifAbsent)
        }
        do throws(StoreError) {
            try await write(ifAbsent: true)
        } catch {
            if error.code == .notSupported { return try await write(ifAbsent: false) }
            guard error.code == .alreadyExists else { throw error }
        }
    }
}
