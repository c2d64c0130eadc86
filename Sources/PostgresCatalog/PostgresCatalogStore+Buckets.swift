package import Catalog
import Postgres

extension PostgresCatalogStore: BucketLedger {
    package func bucket(_ name: String) async throws(CatalogError) -> BucketRecord? {
        try await record(name, condition: "AND (declared OR owner IS NOT NULL)")
    }

    private func record(_ name: String, condition: String) async throws(CatalogError) -> BucketRecord? {
        let rows = try await read(
            """
            SELECT id, name, declared, (extract(epoch FROM created_at) * 1000000)::bigint, owner, settings, factor
            FROM bucket WHERE name = $1 \(condition)
            """, [.text(name)])
        guard rows.count > 0 else { return nil }
        return BucketRecord(
            id: BucketID(rows.int4(0, 0)), name: rows.text(0, 1), isDeclared: rows.bool(0, 2),
            createdAt: rows.int8(0, 3),
            owner: rows.optionalText(0, 4), settings: BucketSettings.decode(rows.texts(0, 5)),
            factor: Int(rows.int4(0, 6)))
    }

    package func createBucket(
        _ name: String, owner: String, settings: [BucketSetting: String], limit: Int
    ) async throws(CatalogError) -> BucketCreationOutcome {
        let pairs = Dictionary(uniqueKeysWithValues: settings.map { ($0.key.rawValue, $0.value) })
        let rows = try await write(
            "SELECT create_bucket_v1($1,$2,$3,$4)",
            [.text(name), .text(owner), FlatPairs.encode(pairs), .int4(Int32(limit))])
        let outcome = rows.text(0, 0)
        if outcome == "tooMany" { return .tooMany(limit: limit) }
        // Deleted between the two statements: as if it never was.
        guard let found = try await record(name, condition: "") else {
            throw .unavailable(evidence: "bucket \(name) was deleted while it was made")
        }
        return outcome == "created" ? .created(found) : .exists(found)
    }

    package func deleteBucket(_ bucket: BucketID) async throws(CatalogError) -> BucketDeletionOutcome {
        switch try await write("SELECT delete_bucket_v1($1)", [.int4(bucket.raw)]).text(0, 0) {
        case "deleted": return .deleted
        case "notEmpty": return .notEmpty
        case "declared": return .declared
        case "noSuchBucket": return .noSuchBucket
        case let other: throw .internalError(evidence: "bucket deletion \(other)")
        }
    }

    package func set(_ setting: BucketSetting, _ value: String?, of bucket: BucketID) async throws(CatalogError) -> Bool
    {
        let rows = try await write(
            "UPDATE bucket SET settings = with_pair(settings, $2, $3) WHERE id = $1 AND owner IS NOT NULL AND NOT declared",
            [.int4(bucket.raw), .text(setting.rawValue), value.map { .text($0) } ?? .null])
        return rows.affected > 0
    }
}

enum BucketSettings {
    /// A setting of a newer release is left out.
    static func decode(_ flat: [String]) -> [BucketSetting: String] {
        var settings: [BucketSetting: String] = [:]
        for (name, value) in FlatPairs.decode(flat) {
            if let known = BucketSetting(rawValue: name) { settings[known] = value }
        }
        return settings
    }
}
