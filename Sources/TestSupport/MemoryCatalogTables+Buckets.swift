package import Catalog

/// Buckets that clients make (`Migration005Buckets`).
extension CatalogTables {
    /// A slash is in no bucket's name: a deleted one keeps its row under a name that nobody can ask for.
    func isDeleted(_ id: BucketID) -> Bool { buckets[id]?.name.contains("/") ?? false }

    package func bucket(_ name: String) -> BucketRecord? {
        buckets.values.first { $0.name == name && $0.isServed }
    }

    package mutating func createBucket(
        _ name: String, owner: String, settings: [BucketSetting: String], limit: Int
    ) -> BucketCreationOutcome {
        if let known = buckets.values.first(where: { $0.name == name }) { return .exists(known) }
        guard buckets.values.count(where: { $0.owner == owner }) < limit else { return .tooMany(limit: limit) }
        let id = BucketID((buckets.keys.map(\.raw).max() ?? 0) + 1)
        let made = BucketRecord(
            id: id, name: name, isDeclared: false, createdAt: now, owner: owner, settings: settings, factor: 1)
        buckets[id] = made
        factors[id] = FactorRow(factor: 1, since: now)
        return .created(made)
    }

    package mutating func deleteBucket(_ id: BucketID) throws(CatalogError) -> BucketDeletionOutcome {
        guard let known = buckets[id], !isDeleted(id), known.isServed else { return .noSuchBucket }
        if known.isDeclared { return .declared }
        if objects.values.contains(where: { $0.name.bucket == id && $0.current != nil }) { return .notEmpty }
        let open = uploads.values.filter { $0.object.bucket == id }.sorted { $0.id < $1.id }
        for upload in open { _ = try abort(upload.id, upload.object) }
        buckets[id] = BucketRecord(
            id: id, name: "\(known.name)/\(id.raw)", isDeclared: false, createdAt: known.createdAt)
        return .deleted
    }

    package mutating func set(_ setting: BucketSetting, _ value: String?, of id: BucketID) -> Bool {
        guard let known = buckets[id], known.owner != nil, !known.isDeclared else { return false }
        buckets[id]?.settings[setting] = value
        return true
    }
}
