package import Catalog
import Postgres

extension PostgresCatalogStore: ObjectIndex {
    /// Columns of a version; the same order wherever one is read.
    static let versionColumns = """
        v.id, v.bucket_id, v.key, v.size, v.etag, v.checksums, v.checksum_type, v.content_type, v.headers, v.metadata,
        v.part_sizes, (extract(epoch FROM v.committed_at) * 1000000)::bigint, v.seq
        """
    static let copyColumns = "c.id, c.backend_id, c.physical_key, c.state, c.provider_version, c.suspect"

    package func current(_ object: ObjectName) async throws(CatalogError) -> PlacedVersion? {
        let rows = try await read(
            """
            SELECT \(PostgresCatalogStore.versionColumns), \(PostgresCatalogStore.copyColumns)
            FROM object o JOIN version v ON v.id = o.current_version
            LEFT JOIN copy c ON c.version_id = v.id AND c.state = 'live'
            WHERE o.bucket_id = $1 AND o.key = $2 ORDER BY c.backend_id
            """, [.int4(object.bucket.raw), .text(object.key)])
        return try PostgresCatalogStore.placedVersions(rows).first
    }

    static func version(_ rows: PostgresRows, _ row: Int) -> Version {
        Version(
            id: VersionID(ID128(rows.uuid(row, 0))),
            object: ObjectName(bucket: BucketID(rows.int4(row, 1)), key: rows.text(row, 2)), size: rows.int8(row, 3),
            digests: ContentDigests(
                etag: rows.optionalText(row, 4) ?? "", checksums: FlatPairs.decode(rows.texts(row, 5)),
                checksumType: rows.optionalText(row, 6)),
            headers: ObjectHeaders(
                contentType: rows.optionalText(row, 7), stored: FlatPairs.decode(rows.texts(row, 8)),
                user: FlatPairs.decode(rows.texts(row, 9))),
            partSizes: rows.int8s(row, 10), committedAt: rows.optionalInt8(row, 11) ?? 0,
            sequence: rows.optionalInt8(row, 12) ?? 0)
    }

    static func copy(_ rows: PostgresRows, _ row: Int, from column: Int, of version: VersionID) throws(CatalogError)
        -> Copy
    {
        guard let state = CopyState(rawValue: rows.text(row, column + 3)) else {
            throw .internalError(evidence: "copy state \(rows.text(row, column + 3))")
        }
        return Copy(
            id: CopyID(ID128(rows.uuid(row, column))), version: version, backend: BackendID(rows.int4(row, column + 1)),
            physicalKey: rows.text(row, column + 2), state: state, providerVersion: rows.optionalText(row, column + 4),
            isSuspect: rows.bool(row, column + 5))
    }

    /// Rows of a version's columns and a copy's, one row a copy; rows of a version stand together.
    static func placedVersions(_ rows: PostgresRows) throws(CatalogError) -> [PlacedVersion] {
        var placed: [PlacedVersion] = []
        for row in 0..<rows.count {
            let id = VersionID(ID128(rows.uuid(row, 0)))
            if placed.last?.version.id != id { placed.append(PlacedVersion(version: version(rows, row), copies: [])) }
            if !rows.isNull(row, 13) { placed[placed.count - 1].copies.append(try copy(rows, row, from: 13, of: id)) }
        }
        return placed
    }

    package func list(_ query: ListingQuery) async throws(CatalogError) -> ListingPage {
        var after: String?
        var past: String?
        switch query.position {
        case nil: break
        case .after(let key): after = key
        case .past(let prefix): past = prefix
        }
        let rows = try await read(
            """
            SELECT l.is_prefix, l.item, v.size, v.etag, (extract(epoch FROM v.committed_at) * 1000000)::bigint, v.checksums,
                v.checksum_type
            FROM list_v1($1,$2,$3,$4,$5,$6) l LEFT JOIN version v ON v.id = l.version_id ORDER BY l.item COLLATE "C"
            """,
            [
                .int4(query.bucket.raw), .text(query.prefix), query.delimiter.map { .text($0) } ?? .null,
                after.map { .text($0) } ?? .null, past.map { .text($0) } ?? .null, .int4(Int32(query.limit + 1)),
            ])
        var items: [ListingPage.Item] = []
        for row in 0..<min(rows.count, query.limit) {
            if rows.bool(row, 0) {
                items.append(.commonPrefix(rows.text(row, 1)))
            } else {
                items.append(
                    .object(
                        ListedObject(
                            key: rows.text(row, 1), size: rows.optionalInt8(row, 2) ?? 0,
                            etag: rows.optionalText(row, 3) ?? "",
                            committedAt: rows.optionalInt8(row, 4) ?? 0,
                            checksumAlgorithms: FlatPairs.decode(rows.texts(row, 5)).keys.sorted(),
                            checksumType: rows.optionalText(row, 6))))
            }
        }
        let next: ListingPosition? =
            switch items.last {
            case _ where rows.count <= query.limit: nil
            case nil: nil
            case .object(let object): .after(object.key)
            case .commonPrefix(let prefix): .past(prefix: prefix)
            }
        return ListingPage(items: items, next: next)
    }

    package func partChecksums(_ version: VersionID) async throws(CatalogError) -> [String] {
        let rows = try await read("SELECT part_checksums FROM version WHERE id = $1", [.uuid(version.raw.uuid)])
        return rows.count == 0 ? [] : rows.texts(0, 0)
    }

    package func annotate(_ object: ObjectName, _ annotation: ObjectAnnotation) async throws(CatalogError) -> VersionID?
    {
        let (name, value) =
            switch annotation {
            case .tagging(let text): (ObjectHeaders.taggingName, text)
            case .acl(let text): (ObjectHeaders.aclName, text)
            }
        let rows = try await write(
            "SELECT annotate_object_v1($1,$2,$3,$4)",
            [.int4(object.bucket.raw), .text(object.key), .text(name), value.map { .text($0) } ?? .null])
        return rows.optionalUUID(0, 0).map { VersionID(ID128($0)) }
    }

    package func markSuspect(_ copy: CopyID) async throws(CatalogError) -> Bool {
        try await write("UPDATE copy SET suspect = true WHERE id = $1 AND state = 'live'", [.uuid(copy.raw.uuid)])
            .affected > 0
    }
}

/// Tags and ACL stand among the stored headers, under the names that they come with.
extension ObjectHeaders {
    static let taggingName = "x-amz-tagging"
    static let aclName = "x-amz-acl"

    var stored: [String: String] {
        var all = standard
        all[ObjectHeaders.taggingName] = tagging
        all[ObjectHeaders.aclName] = acl
        return all
    }

    init(contentType: String?, stored: [String: String], user: [String: String]) {
        var standard = stored
        let tagging = standard.removeValue(forKey: ObjectHeaders.taggingName)
        let acl = standard.removeValue(forKey: ObjectHeaders.aclName)
        self.init(contentType: contentType, standard: standard, user: user, tagging: tagging, acl: acl)
    }
}
