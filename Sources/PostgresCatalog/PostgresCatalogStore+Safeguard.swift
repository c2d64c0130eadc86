package import Catalog
import Postgres

extension PostgresCatalogStore: SafeguardLedger {
    package func safeguard(markers: [Epoch]) async throws(CatalogError) -> Safeguard {
        // A standby writes no log, so it has no timeline to tell.
        let rows = try await read(
            """
            SELECT epoch, system_identifier, timeline,
                CASE WHEN has_function_privilege('pg_control_system()', 'execute')
                    THEN (SELECT c.system_identifier::text FROM pg_control_system() c) END,
                CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END,
                (extract(epoch FROM halted_at) * 1000000)::bigint, evidence, token,
                (SELECT array_agg(e.number ORDER BY e.number) FROM epoch e WHERE e.number = ANY ($1)),
                (SELECT array_agg(e.nonce ORDER BY e.number) FROM epoch e WHERE e.number = ANY ($1)), agreed_epoch
            FROM safeguard
            """, [.int8s(markers.map(\.number))])
        guard rows.count == 1 else { throw .internalError(evidence: "the table safeguard has \(rows.count) rows") }
        func identity(_ system: Int, _ timeline: Int) -> DatabaseIdentity? {
            rows.optionalText(0, system).map {
                DatabaseIdentity(systemIdentifier: $0, timeline: rows.optionalText(0, timeline))
            }
        }
        let isKnown = !rows.isNull(0, 8)
        let known = isKnown ? zip(rows.int8s(0, 8), rows.texts(0, 9)).map { Epoch(number: $0, nonce: $1) } : []
        let agreed = rows.int8(0, 10)
        return Safeguard(
            epoch: rows.int8(0, 0), known: Set(markers.filter { known.contains($0) || $0.number <= agreed }),
            recorded: identity(1, 2), current: identity(3, 4),
            halt: rows.optionalInt8(0, 5).map {
                Safeguard.Halt(
                    since: $0, evidence: rows.optionalText(0, 6) ?? "", token: rows.optionalText(0, 7) ?? "")
            })
    }

    package func recordIdentity(_ identity: DatabaseIdentity) async throws(CatalogError) {
        _ = try await write(
            "UPDATE safeguard SET system_identifier = $1, timeline = $2 WHERE system_identifier IS NULL",
            [.text(identity.systemIdentifier), identity.timeline.map { .text($0) } ?? .null])
    }

    package func noteAlive() async throws(CatalogError) { _ = try await write("SELECT note_alive_v1()", []) }

    package func lifetimes() async throws(CatalogError) -> [CatalogLifetime] {
        let rows = try await read(
            """
            SELECT CASE WHEN since = '-infinity' THEN -9223372036854775808 ELSE (extract(epoch FROM since) * 1000000)::bigint END,
                (extract(epoch FROM until) * 1000000)::bigint FROM alive ORDER BY since
            """)
        return (0..<rows.count).map { CatalogLifetime(since: rows.int8($0, 0), until: rows.int8($0, 1)) }
    }

    package func raiseEpoch(minAge: Duration) async throws(CatalogError) -> Epoch? {
        let rows = try await write(
            "SELECT number_now, nonce_now FROM raise_epoch_v2($1)", [.int8(minAge.milliseconds)])
        return rows.count > 0 ? Epoch(number: rows.int8(0, 0), nonce: rows.text(0, 1)) : nil
    }

    package func halt(_ evidence: String, newestEpoch: Int64) async throws(CatalogError) {
        _ = try await write("SELECT halt_v2($1,$2)", [.text(String(evidence.prefix(500))), .int8(newestEpoch)])
    }

    package func confirmCatalog(token: String, identity: DatabaseIdentity?) async throws(CatalogError) -> Bool {
        try await write(
            "SELECT confirm_catalog_v3($1,$2,$3)",
            [
                .text(token), identity.map { .text($0.systemIdentifier) } ?? .null,
                identity?.timeline.map { .text($0) } ?? .null,
            ]
        ).bool(0, 0)
    }
}
