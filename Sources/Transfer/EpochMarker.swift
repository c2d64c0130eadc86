import HTTP
package import S3

/// Names on a backend that say which epoch the catalog had reached when copies were deleted there: written once, so that a
/// catalog that was restored from before finds one that it does not know (DESIGN §6, Rewound catalog).
package enum EpochMarker {
    private static let digits = 16

    private static func prefix(_ keyPrefix: String) -> String { keyPrefix + ".sluice/epoch-" }

    package static func key(_ keyPrefix: String, _ epoch: Int64) -> String {
        let text = String(epoch)
        return prefix(keyPrefix) + String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }

    /// All there are, oldest first. There are few: the older ones go when one is written.
    package static func all(_ store: any ObjectReading, keyPrefix: String) async throws(StoreError) -> [Int64] {
        let start = prefix(keyPrefix)
        let page = try await store.list(prefix: start, after: nil, limit: 1000)
        return page.entries.compactMap { Int64($0.key.dropFirst(start.count)) }.sorted()
    }

    /// Writes the marker of this epoch and takes the older ones away.
    ///
    /// - Returns: the newest marker there, which another instance may have written
    package static func confirm(_ epoch: Int64, on store: any ObjectStore, keyPrefix: String) async throws(StoreError)
        -> Int64
    {
        do throws(StoreError) {
            _ = try await store.put(
                key(keyPrefix, epoch), length: 0, body: BytesReader(.empty), metadata: StoredMetadata(), ifAbsent: true)
        } catch {
            // A full backend takes no marker, and deleting is what makes room there: the markers that it has still tell of
            // most of its history.
            guard error.code == .alreadyExists || error.code == .noSpace else { throw error }
        }
        let found = try await all(store, keyPrefix: keyPrefix)
        let newest = found.last ?? epoch
        for old in found where old < epoch { try await store.delete(key(keyPrefix, old), providerVersion: nil) }
        return newest
    }

    package static func removeAll(_ store: any ObjectStore, keyPrefix: String) async throws(StoreError) {
        for epoch in try await all(store, keyPrefix: keyPrefix) {
            try await store.delete(key(keyPrefix, epoch), providerVersion: nil)
        }
    }
}
