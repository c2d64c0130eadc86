package import Catalog
import Postgres

extension PostgresCatalogStore: AdoptionLedger {
    package func known(_ version: VersionID) async throws(CatalogError) -> Version? {
        let rows = try await read(
            """
            SELECT \(PostgresCatalogStore.versionColumns), \(PostgresCatalogStore.copyColumns)
            FROM version v LEFT JOIN copy c ON false WHERE v.id = $1 AND v.committed_at IS NOT NULL
            """, [.uuid(version.raw.uuid)])
        return try PostgresCatalogStore.placedVersions(rows).first?.version
    }

    package func adopt(_ adoption: Adoption) async throws(CatalogError) -> AdoptionOutcome {
        let rows = try await write(
            "SELECT outcome, adopted FROM adopt_v2($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)",
            [
                .int4(adoption.object.bucket.raw), .text(adoption.object.key), .uuid(adoption.version.raw.uuid),
                .int8(adoption.size), .text(adoption.digests.etag),
                adoption.headers.contentType.map { .text($0) } ?? .null, FlatPairs.encode(adoption.headers.stored),
                FlatPairs.encode(adoption.headers.user), .int8(adoption.writtenAt),
                .uuids(adoption.copies.map(\.id.raw.uuid)), .int4s(adoption.copies.map(\.backend.raw)),
                .texts(adoption.copies.map(\.physicalKey)), .int8(adoption.readGrace.milliseconds),
            ])
        let count = Int(rows.int4(0, 1))
        switch rows.text(0, 0) {
        case "adopted": return .adopted(copies: count)
        case "copiesAdded": return .copiesAdded(count)
        case "outdated": return .outdated
        case "notOrphan": return .notOrphan
        case "differs": return .differs
        case "noSuchBucket": return .noSuchBucket
        case let other: throw .internalError(evidence: "adoption outcome \(other)")
        }
    }
}
