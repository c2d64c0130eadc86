import Catalog
import EventLoop
import Postgres
import PostgresCatalog
import Spec
import Synchronization
import TestSupport
import Testing

/// Random operations, with and without the database being killed under them; then the invariants of DESIGN §6.
@Suite struct PostgresCrashTests {
    /// What the client was told, per key: the versions that a reader may see now.
    private final class Acknowledged: Sendable {
        private let versions = Mutex<[String: Set<VersionID?>]>([:])
        var all: [String: Set<VersionID?>] { versions.withLock { $0 } }
        func may(_ key: String, also version: VersionID?) {
            versions.withLock { _ = $0[key, default: [nil]].insert(version) }
        }
        func mayNot(_ key: String, _ version: VersionID) { versions.withLock { _ = $0[key]?.remove(version) } }
        func must(_ key: String, _ version: VersionID?) { versions.withLock { $0[key] = [version] } }
    }

    private final class Flag: Sendable {
        private let value = Atomic<Bool>(false)
        var isSet: Bool { value.load(ordering: .acquiring) }
        func set() { value.store(true, ordering: .releasing) }
    }

    @Test(arguments: [1, 8841, 20_261_120] as [UInt64])
    func `after random operations the counters equal the rows and every acknowledged write is there`(_ seed: UInt64)
        async throws
    {
        try await PostgresCluster.shared().withCatalog { store, pool in
            let scene = try await CatalogScene.open(CatalogStores(store), seed: seed)
            let known = Acknowledged()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<6 {
                    group.addTask {
                        for _ in 0..<60 { try await PostgresCrashTests.step(worker, scene, known) }
                    }
                }
                try await group.waitForAll()
            }
            try await PostgresCrashTests.check(store, pool, scene, known.all, "seed \(seed)")
            // With faults stopped all comes to rest: nothing writing, nothing doomed, only what is current.
            while try await store.reapExpiredWrites(limit: 100) > 0 {}
            for key in 0..<12 {
                _ = try await store.delete(bucket: scene.bucket, [DeleteRequest(key: "k\(key)")], readGrace: .zero)
            }
            _ = try await pool.execute(
                "UPDATE copy SET claim_until = NULL, delete_not_before = now() WHERE state = 'doomed'")
            _ = try await pool.execute("UPDATE copy SET lease_until = now() - interval '1 s' WHERE state = 'writing'")
            while try await store.reapExpiredWrites(limit: 100) > 0 {}
            while try await scene.deleteDue() > 0 {}
            while try await store.forgetGone(limit: 1000) > 0 {}
            let rest = try await pool.execute(
                "SELECT (SELECT count(*) FROM copy), (SELECT count(*) FROM version), (SELECT count(*) FROM object)")
            #expect([rest.int8(0, 0), rest.int8(0, 1), rest.int8(0, 2)] == [0, 0, 0], "seed \(seed)")
        }
    }

    @Test func `killed again and again under load, Postgres comes back with every acknowledged write`() async throws {
        let cluster = try PostgresCluster(isDurable: true)
        let uri = try cluster.createDatabase()
        try await PostgresCluster.onLoop { _ in
            let pool = PostgresPool(uri: uri)
            defer { pool.closeCurrentLoop() }
            try await Migrations.run(pool)
            let store = PostgresCatalogStore(pool: pool)
            let scene = try await CatalogScene.open(CatalogStores(store), seed: 7)
            let known = Acknowledged()
            for round in 0..<3 {
                let killed = Flag()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for worker in 0..<6 {
                        group.addTask {
                            while !killed.isSet {
                                do { try await PostgresCrashTests.step(worker, scene, known) } catch is CatalogError {}
                            }
                        }
                    }
                    group.addTask {
                        try await EventLoop.sleep(for: .milliseconds(600))
                        cluster.kill()
                        killed.set()
                    }
                    try await group.waitForAll()
                }
                try cluster.start()
                while (try? await pool.execute("SELECT 1")) == nil { try await EventLoop.sleep(for: .milliseconds(20)) }
                while (try? await pool.execute("SELECT 1", lane: .shared)) == nil {
                    try await EventLoop.sleep(for: .milliseconds(20))
                }
                try await PostgresCrashTests.check(store, pool, scene, known.all, "round \(round)")
            }
        }
        cluster.stop()
    }

    // MARK: Steps

    /// One random operation of a worker on a key that only it writes.
    private static func step(_ worker: Int, _ scene: CatalogScene, _ known: Acknowledged) async throws {
        let stores = scene.stores
        let key = "k\(worker * 2 + Int(scene.ids.nextRandom() % 2))"
        let homes = [["a", "b"], ["b", "c"], ["a", "c"], ["a", "b", "c"]][Int(scene.ids.nextRandom() % 4)]
        switch scene.ids.nextRandom() % 10 {
        case 0..<5:
            let intent = try scene.intent(key, on: homes, size: Int64(scene.ids.nextRandom() % 1000))
            _ = try await stores.writes.intend(intent)
            known.may(key, also: intent.version)
            let failed = scene.ids.nextRandom() % 3 == 0 ? [intent.candidates[0].id: true] : [:]
            let uploaded = intent.candidates.map(\.id).filter { failed[$0] == nil }
            let outcome = try await stores.writes.commit(scene.commit(intent, uploaded: uploaded, failed: failed))
            if case .committed = outcome { known.must(key, intent.version) } else { known.mayNot(key, intent.version) }
        case 5:
            known.may(key, also: nil)
            _ = try await stores.writes.delete(bucket: scene.bucket, [DeleteRequest(key: key)], readGrace: .zero)
            known.must(key, nil)
        case 6:
            let intent = try scene.intent(key, on: homes)
            _ = try await stores.writes.intend(intent)
            try await stores.writes.giveUp(intent.version, token: intent.token, late: [intent.candidates[0].id])
        case 7:
            guard let placed = try await scene.current(key),
                let home = ["a", "b", "c"].first(where: { !scene.names(placed.copies).contains($0) })
            else { return }
            let candidate = try scene.candidate(home)
            let token = scene.ids.makeLeaseToken()
            guard
                try await stores.moves.intendCopy(candidate, of: placed.version.id, token: token, lease: .seconds(60))
                    == .admitted
            else { return }
            _ = try await stores.moves.commitCopy(
                UploadedCopy(id: candidate.id), of: placed.version.id, token: token, readGrace: .zero)
        case 8:
            guard let placed = try await scene.current(key), let copy = placed.copies.first else { return }
            _ = try await stores.moves.doom(
                DoomRequest(
                    copy: copy.id, version: placed.version.id, factor: 2, counted: try ["a", "b", "c"].map(scene.id),
                    readGrace: .zero))
        default:
            try await scene.deleteDue()
            _ = try await stores.deletions.forgetGone(limit: 20)
        }
    }

    // MARK: Invariants

    private static func check(
        _ store: PostgresCatalogStore, _ pool: PostgresPool, _ scene: CatalogScene, _ known: [String: Set<VersionID?>],
        _ context: String
    ) async throws {
        let drift = try await store.usageDrift()
        #expect(drift == [], "\(context)")
        for (key, may) in known {
            let placed = try await scene.current(key)
            #expect(may.contains(placed?.version.id), "\(context): \(key)")
            if let placed { #expect(!placed.copies.isEmpty, "\(context): \(key) has no live copy") }
        }
        let orphans = try await pool.execute(
            """
            SELECT (SELECT count(*) FROM object o WHERE o.current_version IS NOT NULL AND NOT EXISTS (
                    SELECT 1 FROM version v WHERE v.id = o.current_version AND v.committed_at IS NOT NULL AND v.superseded_at IS NULL)),
                (SELECT count(*) FROM copy c JOIN version v ON v.id = c.version_id WHERE c.state = 'live'
                    AND (v.committed_at IS NULL OR v.superseded_at IS NOT NULL))
            """)
        #expect(orphans.int8(0, 0) == 0, "\(context): objects that point to no retained version")
        #expect(orphans.int8(0, 1) == 0, "\(context): live copies of versions that are not retained")
    }
}
