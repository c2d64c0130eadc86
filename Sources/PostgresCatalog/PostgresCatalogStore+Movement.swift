package import Catalog
import Postgres

extension PostgresCatalogStore: MoveLedger {
    /// Keys that one look of a claim reads, and looks that one claim takes: beyond, the next claim goes on there.
    private static let claimWindow: Int32 = 20_000
    private static let claimWindowsMax = 25

    package func claim(
        _ scope: MoveScope, limit: Int, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> [ClaimedVersion] {
        switch scope {
        case .leaving(let backend):
            let rows = try await write(
                "SELECT version_id, attempts FROM claim_leaving_v1($1,$2,$3,$4)",
                [
                    .int4(backend.raw), .int4(Int32(limit)), .uuid(token.raw.uuid), .int8(lease.milliseconds),
                ])
            var found: [VersionID: Int] = [:]
            for row in 0..<rows.count { found[VersionID(ID128(rows.uuid(row, 0)))] = Int(rows.int4(row, 1)) }
            return try await claimed(found)
        case .short(let bucket, let factor, let staying):
            return try await claim(scope, "short", bucket, factor, staying, limit, token, lease)
        case .surplus(let bucket, let factor, let staying):
            return try await claim(scope, "surplus", bucket, factor, staying, limit, token, lease)
        case .movable(let from, let to, let sizeMax):
            return try await claimMovable(from, to, sizeMax, limit, token, lease)
        }
    }

    /// Through the copies of the one backend from the beginning; what is claimed by others or moved already costs a look at its index.
    private func claimMovable(
        _ from: BackendID, _ to: BackendID, _ sizeMax: Int64, _ limit: Int, _ token: LeaseToken, _ lease: Duration
    ) async throws(CatalogError) -> [ClaimedVersion] {
        var found: [VersionID: Int] = [:]
        var after = VersionID(ID128(high: 0, low: 0))
        for _ in 0..<PostgresCatalogStore.claimWindowsMax where found.count < limit {
            let rows = try await write(
                "SELECT version_id, attempts, next_after FROM claim_movable_v1($1,$2,$3,$4,$5,$6,$7,$8)",
                [
                    .int4(from.raw), .int4(to.raw), .int8(sizeMax), .uuid(after.raw.uuid),
                    .int4(PostgresCatalogStore.claimWindow), .int4(Int32(limit - found.count)), .uuid(token.raw.uuid),
                    .int8(lease.milliseconds),
                ])
            for row in 0..<rows.count where !rows.isNull(row, 0) {
                found[VersionID(ID128(rows.uuid(row, 0)))] = Int(rows.int4(row, 1))
            }
            guard !rows.isNull(0, 2) else { break }
            after = VersionID(ID128(rows.uuid(0, 2)))
        }
        return try await claimed(found)
    }

    /// Through the bucket's keys from where the last claim ended, once around at most; then those that failed before.
    private func claim(
        _ scope: MoveScope, _ name: String, _ bucket: BucketID, _ factor: Int, _ staying: [BackendID], _ limit: Int,
        _ token: LeaseToken, _ lease: Duration
    ) async throws(CatalogError) -> [ClaimedVersion] {
        let begin = cursors.position(of: scope)
        let common: [PostgresValue] = [
            .text(name), .int4(bucket.raw), .int4(Int32(factor)), .int4s(staying.map(\.raw)),
        ]
        var found: [VersionID: Int] = [:]
        var from = begin
        var isAround = begin.isEmpty
        for _ in 0..<PostgresCatalogStore.claimWindowsMax where found.count < limit {
            let rows = try await write(
                "SELECT version_id, attempts, next_from FROM claim_window_v1($1,$2,$3,$4,$5,$6,$7,$8,$9)",
                common + [
                    .text(from), .int4(PostgresCatalogStore.claimWindow), .int4(Int32(limit - found.count)),
                    .uuid(token.raw.uuid), .int8(lease.milliseconds),
                ])
            for row in 0..<rows.count where !rows.isNull(row, 0) {
                found[VersionID(ID128(rows.uuid(row, 0)))] = Int(rows.int4(row, 1))
            }
            guard let next = rows.optionalText(0, 2) else {
                from = ""
                if isAround { break }
                isAround = true
                continue
            }
            from = next
            if isAround, !begin.isEmpty, !next.utf8.lexicographicallyPrecedes(begin.utf8) { break }
        }
        cursors.set(scope, to: from)
        if found.count < limit {
            let rows = try await write(
                "SELECT version_id, attempts FROM claim_again_v1($1,$2,$3,$4,$5,$6,$7)",
                common + [.int4(Int32(limit - found.count)), .uuid(token.raw.uuid), .int8(lease.milliseconds)])
            for row in 0..<rows.count { found[VersionID(ID128(rows.uuid(row, 0)))] = Int(rows.int4(row, 1)) }
        }
        return try await claimed(found)
    }

    private func claimed(_ attempts: [VersionID: Int]) async throws(CatalogError) -> [ClaimedVersion] {
        guard !attempts.isEmpty else { return [] }
        let rows = try await read(
            """
            SELECT \(PostgresCatalogStore.versionColumns), \(PostgresCatalogStore.copyColumns), k.name
            FROM version v JOIN bucket k ON k.id = v.bucket_id
            LEFT JOIN copy c ON c.version_id = v.id AND c.state IN ('live', 'writing')
            WHERE v.id = ANY ($1) AND v.committed_at IS NOT NULL ORDER BY v.id, c.backend_id
            """, [.uuids(attempts.keys.sorted().map(\.raw.uuid))])
        var names: [VersionID: String] = [:]
        for row in 0..<rows.count { names[VersionID(ID128(rows.uuid(row, 0)))] = rows.text(row, 19) }
        return try PostgresCatalogStore.placedVersions(rows).map { placed in
            ClaimedVersion(
                placed: placed, bucketName: names[placed.version.id] ?? "", attempts: attempts[placed.version.id] ?? 0)
        }
    }

    package func release(
        _ version: VersionID, token: LeaseToken, _ end: WorkEnd
    ) async throws(CatalogError) {
        let (pause, text, failures): (Duration, String, Int32)
        switch end {
        case .finished:
            // Without a row it stands among the fresh ones again, if it is still in a scope.
            _ = try await write(
                "DELETE FROM work WHERE version_id = $1 AND token = $2",
                [.uuid(version.raw.uuid), .uuid(token.raw.uuid)])
            return
        case .waiting(let time, let reason): (pause, text, failures) = (time, reason, 0)
        case .failed(let time, let evidence): (pause, text, failures) = (time, evidence, 1)
        }
        _ = try await write(
            """
            UPDATE work SET token = NULL, lease_until = '-infinity', attempts = attempts + $5, released_at = clock_timestamp(),
                not_before = clock_timestamp() + make_interval(secs => $3 / 1000.0), last_error = left($4, 500)
            WHERE version_id = $1 AND token = $2
            """,
            [
                .uuid(version.raw.uuid), .uuid(token.raw.uuid), .int8(pause.milliseconds), .text(text), .int4(failures),
            ])
    }

    package func renewClaims(_ token: LeaseToken, lease: Duration) async throws(CatalogError) -> Bool {
        try await write(
            """
            UPDATE work SET lease_until = clock_timestamp() + make_interval(secs => $2 / 1000.0)
            WHERE token = $1 AND lease_until >= clock_timestamp() RETURNING true
            """, [.uuid(token.raw.uuid), .int8(lease.milliseconds)]
        ).count > 0
    }

    package func intendCopy(
        _ candidate: CopyCandidate, of version: VersionID, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> CopyIntentOutcome {
        let rows = try await write(
            "SELECT intend_copy_v1($1,$2,$3,$4,$5,$6)",
            [
                .uuid(candidate.id.raw.uuid), .uuid(version.raw.uuid), .int4(candidate.backend.raw),
                .text(candidate.physicalKey),
                .uuid(token.raw.uuid), .int8(lease.milliseconds),
            ])
        switch rows.text(0, 0) {
        case "admitted": return .admitted
        case "notRetained": return .notRetained
        case let other:
            guard let refusal = IntentRefusal(rawValue: other) else {
                throw .internalError(evidence: "copy intent \(other)")
            }
            return .refused(refusal)
        }
    }

    package func commitCopy(
        _ copy: UploadedCopy, of version: VersionID, token: LeaseToken, readGrace: Duration
    ) async throws(CatalogError) -> CopyCommitOutcome {
        let rows = try await write(
            "SELECT commit_copy_v2($1,$2,$3,$4,$5)",
            [
                .uuid(copy.id.raw.uuid), copy.providerVersion.map { .text($0) } ?? .null, .uuid(version.raw.uuid),
                .uuid(token.raw.uuid), .int8(readGrace.milliseconds),
            ])
        return rows.text(0, 0) == "live" ? .live : .superseded
    }

    package func record(upload: String, of copy: CopyID, token: LeaseToken) async throws(CatalogError) -> Bool {
        try await write(
            """
            UPDATE copy SET backend_upload_id = $2 WHERE id = $1 AND state = 'writing' AND lease_token = $3 RETURNING true
            """, [.uuid(copy.raw.uuid), .text(upload), .uuid(token.raw.uuid)]
        ).count > 0
    }

    package func record(_ part: MovedPart, of copy: CopyID, token: LeaseToken) async throws(CatalogError) -> Bool {
        try await write(
            "SELECT record_move_part_v1($1,$2,$3,$4,$5,$6)",
            [
                .uuid(copy.raw.uuid), .uuid(token.raw.uuid), .int4(Int32(part.number)), .int8(part.size),
                .text(part.md5), .text(part.etag),
            ]
        ).bool(0, 0)
    }

    package func resumeCopy(
        of version: VersionID, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> MoveProgress? {
        let taken = try await write(
            "SELECT copy_id, backend_id, physical_key, backend_upload_id FROM resume_copy_v1($1,$2,$3)",
            [.uuid(version.raw.uuid), .uuid(token.raw.uuid), .int8(lease.milliseconds)])
        guard taken.count > 0 else { return nil }
        let copy = CopyID(ID128(taken.uuid(0, 0)))
        let rows = try await read(
            "SELECT number, size, md5, etag FROM move_part WHERE copy_id = $1 ORDER BY number", [.uuid(copy.raw.uuid)])
        return MoveProgress(
            candidate: CopyCandidate(
                id: copy, backend: BackendID(taken.int4(0, 1)), physicalKey: taken.text(0, 2)),
            uploadID: taken.text(0, 3),
            parts: (0..<rows.count).map { row in
                MovedPart(
                    number: Int(rows.int4(row, 0)), size: rows.int8(row, 1), md5: rows.text(row, 2),
                    etag: rows.text(row, 3))
            })
    }

    package func doom(_ request: DoomRequest) async throws(CatalogError) -> DoomOutcome {
        let rows = try await write(
            "SELECT outcome, others, required FROM doom_v4($1,$2,$3,$4,$5,$6)",
            [
                .uuid(request.copy.raw.uuid), .uuid(request.version.raw.uuid), .int4(Int32(request.factor)),
                .int4s(request.counted.sorted().map(\.raw)), .int8(request.readGrace.milliseconds),
                request.hourlyMax.map { .int8($0) } ?? .null,
            ])
        switch rows.text(0, 0) {
        case "doomed": return .doomed
        case "notLive": return .notLive
        case "halted": return .halted
        case "ceiling": return .ceilingReached
        case "kept": return .kept(others: Int(rows.int4(0, 1)), required: Int(rows.int4(0, 2)))
        case let other: throw .internalError(evidence: "doom outcome \(other)")
        }
    }
}

extension PostgresCatalogStore: DeletionLedger {
    package func claimDoomed(
        backend: BackendID, limit: Int, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> [DoomedCopy] {
        let rows = try await write(
            """
            WITH due AS MATERIALIZED (
                SELECT id FROM copy WHERE backend_id = $1 AND state = 'doomed' AND delete_not_before <= clock_timestamp()
                    AND (claim_until IS NULL OR claim_until < clock_timestamp()) AND NOT halted()
                ORDER BY delete_not_before LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
            UPDATE copy c SET claim_token = $3, claim_until = clock_timestamp() + make_interval(secs => $4 / 1000.0)
            FROM due WHERE c.id = due.id
            RETURNING c.version_id, c.may_arrive_late, c.seen_absent, c.attempts, \(PostgresCatalogStore.copyColumns)
            """, [.int4(backend.raw), .int4(Int32(limit)), .uuid(token.raw.uuid), .int8(lease.milliseconds)])
        var doomed: [DoomedCopy] = []
        for row in 0..<rows.count {
            let copy = try PostgresCatalogStore.copy(rows, row, from: 4, of: VersionID(ID128(rows.uuid(row, 0))))
            doomed.append(
                DoomedCopy(
                    copy: copy, mayArriveLate: rows.bool(row, 1), isSecondLook: rows.bool(row, 2),
                    attempts: Int(rows.int4(row, 3))))
        }
        return doomed
    }

    package func settle(_ copy: CopyID, token: LeaseToken, _ result: DeletionResult) async throws(CatalogError) {
        let (name, after, evidence): (String, Duration, String) =
            switch result {
            case .gone: ("gone", .zero, "")
            case .lookAgain(let after): ("lookAgain", after, "")
            case .failed(let retryAfter, let evidence): ("failed", retryAfter, evidence)
            }
        _ = try await write(
            "SELECT settle_v1($1,$2,$3,$4,$5)",
            [.uuid(copy.raw.uuid), .uuid(token.raw.uuid), .text(name), .int8(after.milliseconds), .text(evidence)])
    }

    package func reapExpiredWrites(limit: Int) async throws(CatalogError) -> Int {
        Int(try await write("SELECT reap_writes_v3($1)", [.int4(Int32(limit))]).int4(0, 0))
    }

    package func forgetGone(limit: Int) async throws(CatalogError) -> Int {
        _ = try await write("SELECT forget_buckets_v1()", [])
        return Int(try await write("SELECT forget_gone_v1($1)", [.int4(Int32(limit))]).int4(0, 0))
    }

    package func abortStaleUploads(drainGrace: Duration, maxAge: Duration, limit: Int) async throws(CatalogError) -> Int
    {
        let rows = try await write(
            "SELECT abort_stale_uploads_v1($1,$2,$3)",
            [.int8(drainGrace.milliseconds), .int8(maxAge.milliseconds), .int4(Int32(limit))])
        return Int(rows.int4(0, 0))
    }
}
