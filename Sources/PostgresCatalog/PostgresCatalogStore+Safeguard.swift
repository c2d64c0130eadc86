package import Catalog
import Postgres

extension PostgresCatalogStore: SafeguardLedger {
    package func safeguard() async throws(CatalogError) -> Safeguard {
        // A standby writes no log, so it has no timeline to tell.
        let rows = try await read(
            """
            SELECT epoch, system_identifier, timeline,
                CASE WHEN has_function_privilege('pg_control_system()', 'execute')
                    THEN (SELECT c.system_identifier::text FROM pg_control_system() c) END,
                CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END,
                (extract(epoch FROM halted_at) * 1000000)::bigint, evidence, token
            FROM safeguard
            """)
        guard rows.count == 1 else { throw .internalError(evidence: "the table safeguard has \(rows.count) rows") }
        func identity(_ system: Int, _ timeline: Int) -> DatabaseIdentity? {
            rows.optionalText(0, system).map {
                DatabaseIdentity(systemIdentifier: $0, timeline: rows.optionalText(0, timeline))
            }
        }
        return Safeguard(
            epoch: rows.int8(0, 0), recorded: identity(1, 2), current: identity(3, 4),
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

    package func raiseEpoch(minAge: Duration) async throws(CatalogError) -> Int64? {
        try await write("SELECT raise_epoch_v1($1)", [.int8(minAge.milliseconds)]).optionalInt8(0, 0)
    }

    package func halt(_ evidence: String, newestEpoch: Int64) async throws(CatalogError) {
        _ = try await write("SELECT halt_v1($1,$2)", [.text(String(evidence.prefix(500))), .int8(newestEpoch)])
    }

    package func confirmCatalog(token: String, identity: DatabaseIdentity?) async throws(CatalogError) -> Bool {
        try await write(
            "SELECT confirm_catalog_v1($1,$2,$3)",
            [
                .text(token), identity.map { .text($0.systemIdentifier) } ?? .null,
                identity?.timeline.map { .text($0) } ?? .null,
            ]
        ).bool(0, 0)
    }
}
