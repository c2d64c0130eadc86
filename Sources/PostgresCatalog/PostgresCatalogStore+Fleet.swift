package import Catalog
import Postgres
import Spec

extension PostgresCatalogStore: FleetLedger {
    /// One statement, so that all of it is of one moment: rows of three kinds.
    private static let snapshotSQL = """
        SELECT * FROM (
        SELECT 'revision' AS kind, 0, NULL::uuid, digest AS name, NULL, false, false, NULL, revision, (extract(epoch FROM accepted_at) * 1000000)::bigint,
            0, 0, 0, 0, 0, NULL AS owner, NULL::text[] AS settings, false AS abandoned, 0::bigint AS requests, 0::bigint AS egress, 0::bigint AS ingress FROM (SELECT * FROM spec_revision ORDER BY revision DESC LIMIT 1) r
        UNION ALL
        SELECT 'backend', b.id, b.uid, b.name, b.phase, b.declared, b.marked, b.spec, b.generation,
            sum(u.writing_copies)::bigint, sum(u.writing_bytes)::bigint, sum(u.live_copies)::bigint, sum(u.live_bytes)::bigint,
            sum(u.doomed_copies)::bigint, sum(u.doomed_bytes)::bigint, NULL, NULL, b.abandoned_at IS NOT NULL,
            coalesce(max(m.requests), 0), coalesce(max(m.egress), 0), coalesce(max(m.ingress), 0)
        FROM backend b JOIN backend_usage u ON u.backend_id = b.id
        LEFT JOIN backend_month m ON m.backend_id = b.id AND m.month = this_month() WHERE b.phase <> 'retired' GROUP BY b.id
        UNION ALL
        SELECT 'bucket', id, NULL, name, NULL, declared, false, NULL, factor::bigint, (extract(epoch FROM created_at) * 1000000)::bigint,
            0, 0, 0, 0, 0, owner, settings, false, 0, 0, 0 FROM bucket WHERE deleted_at IS NULL
        ) x ORDER BY kind, name COLLATE "C"
        """

    package func snapshot() async throws(CatalogError) -> FleetSnapshot {
        let rows = try await read(PostgresCatalogStore.snapshotSQL)
        var snapshot = FleetSnapshot(revision: 0, digest: "", acceptedAt: 0, backends: [], usage: [:], buckets: [])
        for row in 0..<rows.count {
            switch rows.text(row, 0) {
            case "revision":
                (snapshot.revision, snapshot.digest, snapshot.acceptedAt) = (
                    rows.int8(row, 8), rows.text(row, 3), rows.int8(row, 9)
                )
            case "bucket":
                snapshot.buckets.append(
                    BucketRecord(
                        id: BucketID(rows.int4(row, 1)), name: rows.text(row, 3), isDeclared: rows.bool(row, 5),
                        createdAt: rows.int8(row, 9), owner: rows.optionalText(row, 15),
                        settings: BucketSettings.decode(rows.texts(row, 16)), factor: Int(rows.int8(row, 8))))
            default: try PostgresCatalogStore.addBackend(rows, row, to: &snapshot)
            }
        }
        return snapshot
    }

    private static func addBackend(_ rows: PostgresRows, _ row: Int, to snapshot: inout FleetSnapshot)
        throws(CatalogError)
    {
        guard let phase = BackendPhase(rawValue: rows.text(row, 4)) else {
            throw .internalError(evidence: "phase \(rows.text(row, 4))")
        }
        let id = BackendID(rows.int4(row, 1))
        snapshot.backends.append(
            BackendRecord(
                id: id, uid: ID128(rows.uuid(row, 2)), name: rows.text(row, 3), phase: phase,
                isDeclared: rows.bool(row, 5),
                spec: try BackendSpecText.decode(rows.text(row, 7)), generation: rows.int8(row, 8),
                isMarked: rows.bool(row, 6), isAbandoned: rows.bool(row, 17)))
        func tally(_ column: Int) -> BackendUsage.Tally {
            BackendUsage.Tally(copies: rows.int8(row, column), bytes: ByteCount(rows.int8(row, column + 1)))
        }
        snapshot.monthly[id] = MonthlyUsage(
            requests: rows.int8(row, 18), egress: rows.int8(row, 19), ingress: rows.int8(row, 20))
        snapshot.usage[id] = BackendUsage(writing: tally(9), live: tally(11), doomed: tally(13))
    }

    package func accept(_ proposal: SpecProposal) async throws(CatalogError) -> SpecAcceptance {
        let backends = proposal.desired.backends
        // No quota is stored as null; int8s carries no nulls, so the largest value stands for it.
        let quotas = backends.map { $0.quota?.value ?? Int64.max }
        let buckets = proposal.desired.buckets
        let rows = try await write(
            """
            SELECT outcome, number, detail FROM accept_v3($1,$2,$3,$4,$5,$6,$7,$8,$9,
                array(SELECT gen_random_uuid() FROM generate_series(1, cardinality($6))),$10,$11,$12,$13)
            """,
            [
                .int8(proposal.parent), .text(proposal.digest), .text(proposal.redactedText),
                .text(proposal.acceptedBy),
                .bool(proposal.allowsRollback), .texts(backends.map(\.name)), .texts(backends.map(\.state.rawValue)),
                .texts(backends.map(BackendSpecText.encode)), .int8s(quotas), .texts(buckets.map(\.name)),
                .int4s(buckets.map { Int32(proposal.desired.replication(of: $0.name).factor) }),
                .int8(proposal.desired.fleet.safety.trimDelay.milliseconds),
                .int4(Int32(proposal.desired.fleet.replication.factor)),
            ])
        return try PostgresCatalogStore.acceptance(rows)
    }

    package func verdict(_ proposal: SpecProposal) async throws(CatalogError) -> SpecAcceptance {
        let backends = proposal.desired.backends
        return try PostgresCatalogStore.acceptance(
            try await read(
                "SELECT outcome, number, detail FROM verdict_v1($1,$2,$3,$4)",
                [
                    .text(proposal.digest), .bool(proposal.allowsRollback), .texts(backends.map(\.name)),
                    .texts(backends.map(\.state.rawValue)),
                ]))
    }

    private static func acceptance(_ rows: PostgresRows) throws(CatalogError) -> SpecAcceptance {
        let number = rows.int8(0, 1)
        switch rows.text(0, 0) {
        case "accepted": return .accepted(revision: number)
        case "unchanged": return .unchanged(revision: number)
        case "superseded": return .superseded(current: number, acceptedAs: Int64(rows.text(0, 2)) ?? 0)
        case "conflict": return .conflict(current: number)
        case "retired": return .refused(reason: .nameRetired(backend: rows.text(0, 2)))
        case "retiring": return .refused(reason: .retiringCannotReturn(backend: rows.text(0, 2)))
        case let other: throw .internalError(evidence: "acceptance \(other)")
        }
    }

    package func change(_ backend: BackendID, from: BackendPhase, to: BackendPhase, under revision: Int64?)
        async throws(CatalogError) -> PhaseOutcome
    {
        precondition(from.mayBecome(to), "no way from \(from) to \(to)")
        let rows = try await write(
            "SELECT outcome, phase_now, writing, live, uploads, doomed, waiting, dead FROM change_phase_v5($1,$2,$3,$4)",
            [
                .int4(backend.raw), .text(from.rawValue), .text(to.rawValue), revision.map { .int8($0) } ?? .null,
            ])
        switch rows.text(0, 0) {
        case "done": return .done
        case "residue": return .residue(PostgresCatalogStore.residue(rows, from: 2))
        default:
            guard let phase = BackendPhase(rawValue: rows.text(0, 1)) else {
                throw .internalError(evidence: "phase \(rows.text(0, 1))")
            }
            return .notFrom(phase)
        }
    }

    private static func residue(_ rows: PostgresRows, from column: Int) -> BackendResidue {
        BackendResidue(
            writing: rows.int8(0, column), live: rows.int8(0, column + 1), openUploads: rows.int8(0, column + 2),
            doomed: rows.int8(0, column + 3), waitingHorizon: rows.int8(0, column + 4),
            deadLetters: rows.int8(0, column + 5))
    }

    package func recordMarked(_ backend: BackendID) async throws(CatalogError) {
        _ = try await write("UPDATE backend SET marked = true WHERE id = $1", [.int4(backend.raw)])
    }

    package func residue(_ backend: BackendID) async throws(CatalogError) -> BackendResidue {
        let rows = try await read(
            "SELECT writing, live, uploads, doomed, waiting, dead FROM residue_v1($1)", [.int4(backend.raw)],
            lane: .exclusive)
        return PostgresCatalogStore.residue(rows, from: 0)
    }

    package func drains() async throws(CatalogError) -> [DrainRecord] {
        let rows = try await read(
            """
            SELECT backend_id, (extract(epoch FROM started_at) * 1000000)::bigint, (extract(epoch FROM finished_at) * 1000000)::bigint,
                total_copies, total_bytes FROM drain ORDER BY backend_id
            """)
        return (0..<rows.count).map { row in
            DrainRecord(
                backend: BackendID(rows.int4(row, 0)), startedAt: rows.int8(row, 1),
                finishedAt: rows.optionalInt8(row, 2),
                totalCopies: rows.int8(row, 3), totalBytes: ByteCount(rows.int8(row, 4)))
        }
    }

    package func abandon(_ backend: BackendID, soleCopiesMax: Int64) async throws(CatalogError) -> AbandonOutcome {
        // It looks at every copy there.
        let rows = try await write(
            "SELECT outcome, sole FROM abandon_v4($1,$2)", [.int4(backend.raw), .int8(soleCopiesMax)],
            within: .seconds(1800))
        switch rows.text(0, 0) {
        case "abandoned": return .abandoned(soleCopies: rows.int8(0, 1))
        case "refused": return .refused(soleCopies: rows.int8(0, 1))
        case "notDraining": return .notDraining
        case let other: throw .internalError(evidence: "abandon outcome \(other)")
        }
    }

    package func endAbandoned(_ backend: BackendID, limit: Int) async throws(CatalogError) -> Int {
        Int(
            try await write("SELECT end_abandoned_v2($1,$2)", [.int4(backend.raw), .int4(Int32(limit))]).int4(0, 0))
    }

    package func lostObjects(after: VersionID?, limit: Int) async throws(CatalogError) -> [LostObject] {
        let first = ID128(high: 0, low: 0)
        let rows = try await read(
            """
            SELECT bucket_id, key, version_id, size, coalesce(etag, ''), backend_id, (extract(epoch FROM lost_at) * 1000000)::bigint, in_doubt
            FROM lost_object WHERE version_id > $1 ORDER BY version_id LIMIT $2
            """, [.uuid((after?.raw ?? first).uuid), .int4(Int32(limit))])
        return (0..<rows.count).map { row in
            LostObject(
                bucket: BucketID(rows.int4(row, 0)), key: rows.text(row, 1),
                version: VersionID(ID128(rows.uuid(row, 2))), size: rows.int8(row, 3), etag: rows.text(row, 4),
                backend: BackendID(rows.int4(row, 5)), isInDoubt: rows.bool(row, 7), lostAt: rows.int8(row, 6))
        }
    }

    package func copyGroups() async throws(CatalogError) -> [CopyGroup] {
        let rows = try await read(
            """
            SELECT bucket_id, holders, suspects, count(*), sum(size)::bigint, max(size), min(key) FROM (
                SELECT v.bucket_id, v.key, v.size,
                    coalesce(array_agg(c.backend_id ORDER BY c.backend_id) FILTER (WHERE NOT c.suspect), '{}') AS holders,
                    coalesce(array_agg(c.backend_id ORDER BY c.backend_id) FILTER (WHERE c.suspect), '{}') AS suspects
                FROM object o JOIN version v ON v.id = o.current_version LEFT JOIN copy c ON c.version_id = v.id AND c.state = 'live'
                GROUP BY v.id) x
            GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
            """, lane: .exclusive, within: .seconds(600))
        return (0..<rows.count).map { row in
            CopyGroup(
                bucket: BucketID(rows.int4(row, 0)), holders: rows.int4s(row, 1).map { BackendID($0) },
                suspects: rows.int4s(row, 2).map { BackendID($0) }, versions: rows.int8(row, 3),
                bytes: ByteCount(rows.int8(row, 4)),
                largest: ByteCount(rows.int8(row, 5)), example: rows.text(row, 6))
        }
    }
}

extension PostgresCatalogStore: StatusLedger {
    package func conditions() async throws(CatalogError) -> [ConditionRecord] {
        let rows = try await read(
            """
            SELECT kind, name, type, status, reason, message, observed_generation, (extract(epoch FROM last_transition_at) * 1000000)::bigint
            FROM condition ORDER BY kind, name, type
            """)
        var found: [ConditionRecord] = []
        for row in 0..<rows.count {
            // A newer release may have written a type or a reason that this one does not know: it is left out.
            guard let kind = Subject.Kind(rawValue: rows.text(row, 0)),
                let type = ConditionType(rawValue: rows.text(row, 2)),
                let status = ConditionStatus(rawValue: rows.text(row, 3)),
                let reason = Reason(rawValue: rows.text(row, 4))
            else { continue }
            found.append(
                ConditionRecord(
                    Subject(kind, rows.text(row, 1)), type, status, reason, rows.text(row, 5),
                    observedGeneration: rows.int8(row, 6),
                    lastTransitionAt: rows.int8(row, 7)))
        }
        return found
    }

    package func publish(_ conditions: [ConditionRecord], events: [EventRecord]) async throws(CatalogError) {
        _ = try await write(
            "SELECT publish_v1($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)",
            [
                .texts(conditions.map(\.subject.kind.rawValue)), .texts(conditions.map(\.subject.name)),
                .texts(conditions.map(\.type.rawValue)), .texts(conditions.map(\.status.rawValue)),
                .texts(conditions.map(\.reason.rawValue)), .texts(conditions.map { String($0.message.prefix(1024)) }),
                .int8s(conditions.map(\.observedGeneration)), .texts(events.map(\.subject.kind.rawValue)),
                .texts(events.map(\.subject.name)), .texts(events.map(\.reason.rawValue)),
                .bools(events.map(\.isWarning)),
                .texts(events.map { String($0.message.prefix(1024)) }),
            ])
    }

    /// The text of the spec in force, without secrets; empty before the first.
    package func acceptedText() async throws(CatalogError) -> String {
        let rows = try await read("SELECT redacted_text FROM spec_revision ORDER BY revision DESC LIMIT 1", [])
        return rows.count > 0 ? rows.text(0, 0) : ""
    }

    package func events(limit: Int) async throws(CatalogError) -> [EventRecord] {
        let rows = try await read(
            """
            SELECT kind, name, reason, is_warning, message, (extract(epoch FROM last_at) * 1000000)::bigint, count
            FROM event ORDER BY last_at DESC, kind, name, reason LIMIT $1
            """, [.int4(Int32(limit))])
        return (0..<rows.count).compactMap { row in
            guard let kind = Subject.Kind(rawValue: rows.text(row, 0)), let reason = Reason(rawValue: rows.text(row, 2))
            else { return nil }
            return EventRecord(
                Subject(kind, rows.text(row, 1)), isWarning: rows.bool(row, 3), reason, rows.text(row, 4),
                lastAt: rows.int8(row, 5),
                count: rows.int8(row, 6))
        }
    }
}
