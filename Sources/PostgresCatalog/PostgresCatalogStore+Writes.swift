package import Catalog
import Postgres

extension PostgresCatalogStore: WriteLedger {
    package func intend(_ intent: WriteIntent) async throws(CatalogError) -> IntentOutcome {
        let rows = try await write(
            "SELECT copy_id, refusal FROM intend_v1($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,NULL)",
            [
                .int4(intent.object.bucket.raw), .text(intent.object.key), .uuid(intent.version.raw.uuid),
                .int8(intent.size),
                intent.headers.contentType.map { .text($0) } ?? .null, FlatPairs.encode(intent.headers.stored),
                FlatPairs.encode(intent.headers.user), .uuids(intent.candidates.map(\.id.raw.uuid)),
                .int4s(intent.candidates.map(\.backend.raw)), .texts(intent.candidates.map(\.physicalKey)),
                .uuid(intent.token.raw.uuid), .int8(intent.lease.milliseconds), .bool(intent.isAdditional),
            ])
        return try PostgresCatalogStore.intentOutcome(rows)
    }

    static func intentOutcome(_ rows: PostgresRows) throws(CatalogError) -> IntentOutcome {
        var outcome = IntentOutcome(admitted: [], refused: [:])
        for row in 0..<rows.count {
            let id = CopyID(ID128(rows.uuid(row, 0)))
            guard let refusal = rows.optionalText(row, 1) else {
                outcome.admitted.append(id)
                continue
            }
            guard let reason = IntentRefusal(rawValue: refusal) else {
                throw .internalError(evidence: "refusal \(refusal)")
            }
            outcome.refused[id] = reason
        }
        return outcome
    }

    package func commit(_ commit: WriteCommit) async throws(CatalogError) -> CommitOutcome {
        let late = commit.failed.filter { $0.value }.map { $0.key }.sorted()
        let rows = try await write(
            "SELECT outcome, committed_us, seq FROM commit_v2($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18)",
            [
                .int4(commit.object.bucket.raw), .text(commit.object.key), .uuid(commit.version.raw.uuid),
                .uuid(commit.token.raw.uuid), .uuids(commit.uploaded.map(\.id.raw.uuid)),
                .optionalTexts(commit.uploaded.map(\.providerVersion)),
                .uuids(commit.failed.keys.sorted().map(\.raw.uuid)),
                .uuids(late.map(\.raw.uuid)), .text(commit.digests.etag), FlatPairs.encode(commit.digests.checksums),
                commit.digests.checksumType.map { .text($0) } ?? .null, .int8s(commit.partSizes),
                commit.precondition.ifMatch.map { .texts($0.texts) } ?? .null,
                commit.precondition.ifNoneMatch.map { .texts($0.texts) } ?? .null, .int8(commit.readGrace.milliseconds),
                commit.upload.map { .uuid($0.raw.uuid) } ?? .null, commit.size.map { .int8($0) } ?? .null,
                .texts(commit.digests.partChecksums),
            ])
        switch rows.text(0, 0) {
        case "committed": return .committed(committedAt: rows.int8(0, 1), sequence: rows.int8(0, 2))
        case "failed": return .preconditionFailed
        case "noSuchKey": return .noSuchKey
        case "noSuchBucket": return .noSuchBucket
        case "fenceLost": return .fenceLost
        case let other: throw .internalError(evidence: "commit outcome \(other)")
        }
    }

    package func resolve(_ version: VersionID, readGrace: Duration) async throws(CatalogError) -> WriteResolution {
        let rows = try await write("SELECT committed_us, seq FROM resolve_v1($1)", [.uuid(version.raw.uuid)])
        return rows.count == 0 ? .notCommitted : .committed(committedAt: rows.int8(0, 0), sequence: rows.int8(0, 1))
    }

    package func renew(_ version: VersionID, token: LeaseToken, lease: Duration) async throws(CatalogError) -> Bool {
        let rows = try await write(
            """
            UPDATE copy SET lease_until = clock_timestamp() + make_interval(secs => $3 / 1000.0)
            WHERE version_id = $1 AND lease_token = $2 AND state = 'writing' AND upload_id IS NULL
            """,
            [.uuid(version.raw.uuid), .uuid(token.raw.uuid), .int8(lease.milliseconds)])
        return rows.affected > 0
    }

    package func giveUp(_ version: VersionID, token: LeaseToken, late: [CopyID]) async throws(CatalogError) {
        _ = try await write(
            "SELECT give_up_v1($1,$2,$3)",
            [.uuid(version.raw.uuid), .uuid(token.raw.uuid), .uuids(late.map(\.raw.uuid))])
    }

    package func delete(
        bucket: BucketID, _ requests: [DeleteRequest], readGrace: Duration
    ) async throws(CatalogError) -> [DeleteOutcome] {
        func list(_ match: WritePrecondition.Match?) -> String? { match?.texts.joined(separator: "\n") }
        let rows = try await write(
            "SELECT deleted_key, outcome FROM delete_v3($1,$2,$3,$4,$5,$6,$7)",
            [
                .int4(bucket.raw), .texts(requests.map(\.key)),
                .optionalTexts(requests.map { list($0.precondition.ifMatch) }),
                .optionalTexts(requests.map { list($0.precondition.ifNoneMatch) }),
                // int8s carries no nulls; no size and no time is negative.
                .int8s(requests.map { $0.precondition.ifSize ?? -1 }),
                // A time before 1970 is no version's, and must not be taken for the absence of a condition.
                .int8s(requests.map { $0.precondition.ifModifiedAt.map { max($0, 0) } ?? -1 }),
                .int8(readGrace.milliseconds),
            ])
        var outcomes: [DeleteOutcome] = []
        for row in 0..<rows.count {
            switch rows.text(row, 1) {
            case "passes": outcomes.append(.deleted)
            case "failed": outcomes.append(.preconditionFailed)
            case "noSuchKey": outcomes.append(.noSuchKey)
            case let other: throw .internalError(evidence: "delete outcome \(other)")
            }
        }
        return outcomes
    }
}
