package import Catalog
package import S3

/// Names on a backend that say which epoch the catalog had reached when copies were deleted there: written once, so that a
/// catalog that was restored from before finds one that it does not know (DESIGN §6, Rewound catalog).
package enum EpochMarker {
    private static let digits = 16

    private static func prefix(_ keyPrefix: String) -> String { keyPrefix + ".sluice/epoch-" }

    /// `.sluice/epoch-0000000000000042-1a2b3c4d`
    package static func key(_ keyPrefix: String, _ epoch: Epoch) -> String {
        let text = String(epoch.number)
        let zeros = String(repeating: "0", count: max(0, digits - text.utf8.count))
        return prefix(keyPrefix) + zeros + text + "-" + epoch.nonce
    }

    /// All there are, oldest first. There are few: the older ones go when one is written.
    package static func all(_ store: any ObjectReading, keyPrefix: String) async throws(StoreError) -> [Epoch] {
        let start = prefix(keyPrefix)
        let page = try await store.list(prefix: start, after: nil, limit: 1000)
        return page.entries.compactMap { entry in
            let parts = entry.key.dropFirst(start.count).split(separator: "-", maxSplits: 1)
            guard let first = parts.first, let number = Int64(first) else { return nil }
            return Epoch(number: number, nonce: parts.count == 2 ? String(parts[1]) : "")
        }.sorted { ($0.number, $0.nonce) < ($1.number, $1.nonce) }
    }

    /// Writes the marker of this epoch.
    ///
    /// - Returns: all that are there now, some of which another instance may have written
    package static func confirm(
        _ epoch: Epoch, on store: any ObjectStore, keyPrefix: String
    ) async throws(StoreError) -> [Epoch] {
        do throws(StoreError) {
            try await IdentityMarker.put("", as: key(keyPrefix, epoch), on: store)
        } catch {
            // A full backend takes no marker, and deleting is what makes room there: the markers that it has still tell of
            // most of its history.
            guard error.code == .noSpace else { throw error }
        }
        return try await all(store, keyPrefix: keyPrefix)
    }

    /// Takes away what is older than this one, which is there.
    package static func removeOlder(
        than epoch: Epoch, of found: [Epoch], on store: any ObjectStore, keyPrefix: String
    ) async throws(StoreError) {
        guard found.contains(epoch) else { return }
        for old in found where old.number < epoch.number {
            try await store.delete(key(keyPrefix, old), providerVersion: nil)
        }
    }

    package static func removeAll(_ store: any ObjectStore, keyPrefix: String) async throws(StoreError) {
        for epoch in try await all(store, keyPrefix: keyPrefix) {
            try await store.delete(key(keyPrefix, epoch), providerVersion: nil)
        }
    }
}
