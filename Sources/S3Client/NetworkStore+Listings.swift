import HTTP
package import S3
import Transport

extension NetworkStore {
    /// Pages that are asked for behind a page without any entry that counts.
    private static let emptyPagesMax = 100
    private static let versionRoundsMax = 10

    package func list(prefix: String, after: String?, limit: Int) async throws(StoreError) -> StoreListing {
        var token: String?
        for _ in 0..<NetworkStore.emptyPagesMax {
            var query = [("encoding-type", "url"), ("list-type", "2"), ("max-keys", String(limit)), ("prefix", prefix)]
            if let after { query.append(("start-after", after)) }
            if let token { query.append(("continuation-token", token)) }
            let response = try await read("ListObjectsV2", .get, nil, query: query)
            let body = try await document(response, isWrite: false)
            guard let page = ResponseDocuments.page(body) else {
                throw StoreError(
                    .serverError, mayArriveLate: false, evidence: "the answer to ListObjectsV2 is no listing")
            }
            var listing = page.listing
            try NetworkStore.clean(&listing, prefix: prefix, after: after)
            token = page.nextToken
            if !listing.entries.isEmpty || !listing.isTruncated || token == nil { return listing }
        }
        throw StoreError(
            .serverError, mayArriveLate: false,
            evidence: "\(NetworkStore.emptyPagesMax) pages without a key below \(prefix)")
    }

    /// Some servers do not know start-after, or begin with it; the order of a page is checked, since the next one begins
    /// behind its last key.
    private static func clean(_ listing: inout StoreListing, prefix: String, after: String?) throws(StoreError) {
        listing.entries.removeAll { entry in
            !entry.key.utf8.starts(with: prefix.utf8) || !(after.map { precedes($0, entry.key) } ?? true)
        }
        let isSorted = zip(listing.entries, listing.entries.dropFirst()).allSatisfy { precedes($0.key, $1.key) }
        if isSorted { return }
        guard !listing.isTruncated else {
            throw StoreError(.serverError, mayArriveLate: false, evidence: "a page of keys that are not in byte order")
        }
        listing.entries.sort { precedes($0.key, $1.key) }
    }

    private static func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }

    /// Every version and delete marker of exactly this key. Names are never reused, so that all of them are one copy's.
    func deleteVersions(_ key: String) async throws(StoreError) {
        for _ in 0..<NetworkStore.versionRoundsMax {
            let query = [("encoding-type", "url"), ("max-keys", "1000"), ("prefix", key), ("versions", "")]
            let response = try await read("ListObjectVersions", .get, nil, query: query)
            guard let versions = ResponseDocuments.versions(try await document(response, isWrite: false)) else {
                throw StoreError(
                    .serverError, mayArriveLate: false, evidence: "the answer to ListObjectVersions is no listing")
            }
            let ours = versions.filter { $0.key.utf8.elementsEqual(key.utf8) }
            if ours.isEmpty { return }
            for version in ours {
                await drain(try await write("DeleteObject", .delete, key, query: [("versionId", version.versionID)]))
            }
        }
        throw StoreError(.serverError, mayArriveLate: false, evidence: "\(key) still has versions")
    }
}
