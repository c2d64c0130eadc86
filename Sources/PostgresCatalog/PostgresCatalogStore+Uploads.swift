package import Catalog
import Postgres

extension PostgresCatalogStore: UploadLedger {
    package func create(_ intent: UploadIntent) async throws(CatalogError) -> IntentOutcome {
        let write = intent.write
        let rows = try await self.write(
            "SELECT copy_id, refusal FROM create_upload_v1($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)",
            [
                .uuid(intent.id.raw.uuid), intent.checksumAlgorithm.map { .text($0) } ?? .null,
                intent.checksumType.map { .text($0) } ?? .null, .int4(write.object.bucket.raw), .text(write.object.key),
                .uuid(write.version.raw.uuid), write.headers.contentType.map { .text($0) } ?? .null,
                FlatPairs.encode(write.headers.stored), FlatPairs.encode(write.headers.user),
                .uuids(write.candidates.map(\.id.raw.uuid)), .int4s(write.candidates.map(\.backend.raw)),
                .texts(write.candidates.map(\.physicalKey)), .uuid(write.token.raw.uuid),
            ])
        return try PostgresCatalogStore.intentOutcome(rows)
    }

    package func open(_ id: UploadID, backendUploadIDs: [CopyID: String]) async throws(CatalogError) -> Bool {
        let sorted = backendUploadIDs.sorted { $0.key < $1.key }
        let rows = try await write(
            "SELECT open_upload_v1($1,$2,$3)",
            [.uuid(id.raw.uuid), .uuids(sorted.map { $0.key.raw.uuid }), .texts(sorted.map { $0.value })])
        return rows.bool(0, 0)
    }

    private static let uploadColumns = """
        u.id, u.bucket_id, u.key, u.version_id, u.token, u.state, u.checksum_algorithm, u.checksum_type,
        (extract(epoch FROM u.created_at) * 1000000)::bigint, v.content_type, v.headers, v.metadata,
        c.id, c.backend_id, c.physical_key, c.backend_upload_id
        """

    /// Copies that were doomed no longer take part; those of a completed upload are live.
    private static let uploadJoins = """
        LEFT JOIN version v ON v.id = u.version_id
        LEFT JOIN copy c ON c.upload_id = u.id AND c.state IN ('writing', 'live')
        """

    private static func uploads(_ rows: PostgresRows) throws(CatalogError) -> [Upload] {
        var uploads: [Upload] = []
        for row in 0..<rows.count {
            let id = UploadID(ID128(rows.uuid(row, 0)))
            if uploads.last?.id != id {
                guard let state = Upload.State(rawValue: rows.text(row, 5)) else {
                    throw .internalError(evidence: "upload state \(rows.text(row, 5))")
                }
                uploads.append(
                    Upload(
                        id: id, object: ObjectName(bucket: BucketID(rows.int4(row, 1)), key: rows.text(row, 2)),
                        version: VersionID(ID128(rows.uuid(row, 3))), token: LeaseToken(ID128(rows.uuid(row, 4))),
                        state: state,
                        headers: ObjectHeaders(
                            contentType: rows.optionalText(row, 9), stored: FlatPairs.decode(rows.texts(row, 10)),
                            user: FlatPairs.decode(rows.texts(row, 11))),
                        checksumAlgorithm: rows.optionalText(row, 6), checksumType: rows.optionalText(row, 7),
                        copies: [],
                        createdAt: rows.int8(row, 8)))
            }
            guard let copy = rows.optionalUUID(row, 12) else { continue }
            uploads[uploads.count - 1].copies.append(
                UploadCopy(
                    copy: CopyID(ID128(copy)), backend: BackendID(rows.int4(row, 13)), physicalKey: rows.text(row, 14),
                    backendUploadID: rows.optionalText(row, 15)))
        }
        return uploads
    }

    package func find(_ id: UploadID, object: ObjectName) async throws(CatalogError) -> Upload? {
        let rows = try await read(
            """
            SELECT \(PostgresCatalogStore.uploadColumns) FROM upload u \(PostgresCatalogStore.uploadJoins)
            WHERE u.id = $1 AND u.bucket_id = $2 AND u.key = $3 ORDER BY c.backend_id
            """, [.uuid(id.raw.uuid), .int4(object.bucket.raw), .text(object.key)])
        return try PostgresCatalogStore.uploads(rows).first
    }

    package func reserve(_ bytes: Int64, for id: UploadID, keeping: Int) async throws(CatalogError) -> PartReservation {
        let rows = try await write(
            "SELECT outcome, dropped FROM reserve_part_v2($1,$2,$3)",
            [.uuid(id.raw.uuid), .int8(bytes), .int4(Int32(keeping))])
        switch rows.text(0, 0) {
        case "reserved": return .reserved(dropped: Set(rows.uuids(0, 1).map { CopyID(ID128($0)) }))
        case "noSuchUpload": return .noSuchUpload
        case "overQuota": return .overQuota
        case let other: throw .internalError(evidence: "reservation \(other)")
        }
    }

    package func record(
        _ part: UploadPart, of id: UploadID, reserved: Int64
    ) async throws(CatalogError) -> Bool {
        let etags = part.backendETags.sorted { $0.key < $1.key }
        let rows = try await write(
            "SELECT record_part_v2($1,$2,$3,$4,$5,$6,$7,$8,$9)",
            [
                .uuid(id.raw.uuid), .int4(Int32(part.number)), .uuid(part.attempt.raw.uuid), .int8(part.size),
                .text(part.etag),
                FlatPairs.encode(part.checksums), .uuids(etags.map { $0.key.raw.uuid }), .texts(etags.map { $0.value }),
                .int8(reserved),
            ])
        return rows.bool(0, 0)
    }

    private static let partColumns = """
        p.number, p.attempt, p.size, p.etag, p.checksums, p.copy_ids, p.backend_etags,
        (extract(epoch FROM p.modified_at) * 1000000)::bigint
        """

    private static func parts(_ rows: PostgresRows) -> [UploadPart] {
        (0..<rows.count).map { row in
            let copies = rows.uuids(row, 5).map { CopyID(ID128($0)) }
            return UploadPart(
                number: Int(rows.int4(row, 0)), attempt: LeaseToken(ID128(rows.uuid(row, 1))), size: rows.int8(row, 2),
                etag: rows.text(row, 3), checksums: FlatPairs.decode(rows.texts(row, 4)),
                backendETags: Dictionary(zip(copies, rows.texts(row, 6))) { first, _ in first },
                modifiedAt: rows.int8(row, 7))
        }
    }

    package func parts(_ id: UploadID, after: Int, limit: Int) async throws(CatalogError) -> [UploadPart] {
        let rows = try await read(
            "SELECT \(PostgresCatalogStore.partColumns) FROM upload_part p WHERE p.upload_id = $1 AND p.number > $2 ORDER BY p.number LIMIT $3",
            [.uuid(id.raw.uuid), .int4(Int32(after)), .int4(Int32(limit))])
        return PostgresCatalogStore.parts(rows)
    }

    package func beginComplete(
        _ id: UploadID, object: ObjectName, chosen: [ChosenPart]
    ) async throws(CatalogError) -> BeginCompleteOutcome {
        let rows = try await write(
            "SELECT outcome, number FROM begin_complete_v1($1,$2,$3,$4,$5)",
            [
                .uuid(id.raw.uuid), .int4(object.bucket.raw), .text(object.key),
                .int4s(chosen.map { Int32($0.number) }),
                .texts(chosen.map(\.etag)),
            ])
        switch rows.text(0, 0) {
        case "noSuchUpload": return .noSuchUpload
        case "invalidPart": return .invalidPart(number: Int(rows.int4(0, 1)))
        case "alreadyCompleted":
            let found = try await read(
                "SELECT \(PostgresCatalogStore.versionColumns) FROM upload u JOIN version v ON v.id = u.version_id WHERE u.id = $1",
                [.uuid(id.raw.uuid)])
            return found.count == 0 ? .noSuchUpload : .alreadyCompleted(PostgresCatalogStore.version(found, 0))
        case "proceed":
            guard let upload = try await find(id, object: object) else { return .noSuchUpload }
            let found = try await read(
                """
                SELECT \(PostgresCatalogStore.partColumns) FROM upload_part p
                WHERE p.upload_id = $1 AND p.number = ANY ($2) ORDER BY p.number
                """, [.uuid(id.raw.uuid), .int4s(chosen.map { Int32($0.number) })])
            return .proceed(upload, PostgresCatalogStore.parts(found))
        case let other: throw .internalError(evidence: "complete outcome \(other)")
        }
    }

    package func abort(_ id: UploadID, object: ObjectName) async throws(CatalogError) -> Bool {
        try await write(
            // The last argument: also one that is being completed.
            "SELECT abort_upload_v1($1,$2,$3,true)",
            [.uuid(id.raw.uuid), .int4(object.bucket.raw), .text(object.key)]
        ).bool(0, 0)
    }

    package func list(_ query: UploadQuery) async throws(CatalogError) -> [Upload] {
        let rows = try await read(
            """
            WITH page AS (
                SELECT * FROM upload WHERE bucket_id = $1 AND state IN ('open', 'completing') AND starts_with(key, $2)
                    AND ($3::text IS NULL OR key > $3 OR key = $3 AND $4::uuid IS NOT NULL AND id > $4)
                ORDER BY key, id LIMIT $5)
            SELECT \(PostgresCatalogStore.uploadColumns) FROM page u \(PostgresCatalogStore.uploadJoins) ORDER BY u.key, u.id, c.backend_id
            """,
            [
                .int4(query.bucket.raw), .text(query.prefix), query.afterKey.map { .text($0) } ?? .null,
                query.afterID.map { .uuid($0.raw.uuid) } ?? .null, .int4(Int32(query.limit)),
            ])
        return try PostgresCatalogStore.uploads(rows)
    }
}
