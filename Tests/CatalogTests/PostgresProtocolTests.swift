import Catalog
import EventLoop
import Postgres
import PostgresCatalog
import Spec
import TestSupport
import Testing

/// What only a real database can show: locks, triggers, crashes, lost replies.
@Suite struct PostgresProtocolTests {
    let cluster: PostgresCluster
    init() throws { cluster = try PostgresCluster.shared() }

    @Test func `instances that start together migrate once`() async throws {
        try await cluster.withDatabase { pool, uri in
            let others = (0..<3).map { _ in PostgresPool(uri: uri) }
            defer { for other in others { other.closeCurrentLoop() } }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for one in others + [pool] { group.addTask { try await Migrations.run(one) } }
                try await group.waitForAll()
            }
            try await Migrations.run(pool)
            let rows = try await pool.execute("SELECT count(*), max(number) FROM schema_migration")
            #expect(rows.int8(0, 0) == Int64(Migrations.newest) && rows.int4(0, 1) == Int32(Migrations.newest))
        }
    }

    @Test func `the gate is found to work`() async throws {
        try await cluster.withCatalog { store, _ in
            let isHolding = try await store.verifyGate()
            #expect(isHolding)
        }
    }

    @Test(arguments: [
        "UPDATE copy SET state = 'live' WHERE state = 'doomed'",
        "UPDATE copy SET state = 'writing' WHERE state = 'live'",
        "UPDATE copy SET state = 'gone' WHERE state = 'live'",
        "UPDATE copy SET state = 'gone' WHERE state = 'writing'",
        "UPDATE copy SET physical_key = 'other' WHERE state = 'live'",
        "UPDATE copy SET backend_id = 99 WHERE state = 'live'",
        "UPDATE copy SET version_id = gen_random_uuid() WHERE state = 'live'",
        "DELETE FROM copy WHERE state = 'live'",
        "DELETE FROM copy WHERE state = 'doomed'",
        "TRUNCATE copy CASCADE",
    ])
    func `the database itself refuses what must not happen to a copy`(_ sql: String) async throws {
        try await cluster.withCatalog { store, pool in
            let scene = try await CatalogScene.open(CatalogStores(store))
            try await scene.put("k", on: ["a", "b"])
            try await scene.put("k", on: ["b", "c"])
            _ = try await store.intend(try scene.intent("l", on: ["a"]))
            do throws(PostgresError) {
                _ = try await pool.execute(sql)
                Issue.record("it was done")
            } catch {
                #expect(error.sqlState == SQLState("23000"))
            }
        }
    }

    @Test func `a physical name is given once, and a version has one unsuspected copy on a backend`() async throws {
        try await cluster.withCatalog { store, _ in
            let scene = try await CatalogScene.open(CatalogStores(store))
            let first = try await scene.put("k", on: ["a"])
            var second = try scene.intent("l", on: ["a"])
            second.candidates = [
                CopyCandidate(
                    id: scene.ids.makeCopyID(), backend: second.candidates[0].backend,
                    physicalKey: first.candidates[0].physicalKey)
            ]
            do throws(CatalogError) {
                _ = try await store.intend(second)
                Issue.record("a name was given twice")
            } catch {
                guard case .internalError = error else { throw error }
            }
        }
    }

    @Test func `a drain waits for an intent that is open, and sees it; later ones are refused`() async throws {
        try await cluster.withCatalog { store, pool in
            let scene = try await CatalogScene.open(CatalogStores(store))
            let backend = try scene.id("a")
            let order = Order()
            try await withThrowingTaskGroup(of: Void.self) { group in
                let intent = try scene.intent("k", on: ["a"])
                try await pool.withConnection { (connection) throws(PostgresError) in
                    _ = try await connection.execute("BEGIN")
                    _ = try await connection.execute(
                        "SELECT * FROM intend_v1($1,'k',$2,10,NULL,'{}','{}',$3,$4,$5,$6,60000,false,NULL)",
                        [
                            .int4(scene.bucket.raw), .uuid(uuid(intent.version.raw)),
                            .uuids([uuid(intent.candidates[0].id.raw)]),
                            .int4s([backend.raw]), .texts([intent.candidates[0].physicalKey]),
                            .uuid(uuid(intent.token.raw)),
                        ])
                    group.addTask {
                        let outcome = try await store.change(backend, from: .active, to: .draining, under: nil)
                        #expect(outcome == .done)
                        await order.add("draining")
                    }
                    // Until the drain waits for the gate, a newcomer must not pass it either.
                    while try await pool.execute(
                        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                    ).int8(0, 0) == 0 {}
                    await order.add("intent")
                    _ = try await connection.execute("COMMIT")
                }
                try await group.waitForAll()
                #expect(await order.words == ["intent", "draining"])
                #expect(try await store.residue(backend).writing == 1)
                let late = try scene.intent("l", on: ["a"])
                #expect(try await store.intend(late).refused.values.map(\.self) == [.notActive])
                guard case .committed = try await store.commit(scene.commit(intent)) else {
                    Issue.record("a write that began before the drain could not finish")
                    return
                }
            }
        }
    }

    @Test func `a commit whose session is ended resolves one way, and stays so`() async throws {
        try await cluster.withDatabase { pool, uri in
            try await Migrations.run(pool)
            let store = PostgresCatalogStore(pool: pool)
            let killer = PostgresPool(uri: uri)
            defer { killer.closeCurrentLoop() }
            let scene = try await CatalogScene.open(CatalogStores(store))
            var (committed, lost) = (0, 0)
            for round in 0..<60 {
                let intent = try await patiently {
                    let intent = try scene.intent("k", on: ["a", "b"])
                    _ = try await store.intend(intent)
                    return intent
                }
                async let outcome: Result<CommitOutcome, CatalogError> = {
                    do throws(CatalogError) {
                        return .success(try await store.commit(scene.commit(intent)))
                    } catch {
                        return .failure(error)
                    }
                }()
                // At every moment of the commit: before it begins, in the middle, after.
                for _ in 0..<(round % 6) { _ = try await killer.execute("SELECT 1") }
                _ = try await killer.execute(
                    """
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE query LIKE 'SELECT outcome, committed_us%' AND state = 'active' AND datname = current_database()
                    """)
                switch await outcome {
                case .success(.committed): committed += 1
                case .success(let other): Issue.record("round \(round): \(other)")
                case .failure(.unavailable): break
                case .failure(.unknownOutcome):
                    lost += 1
                    let resolution = try await patiently { try await store.resolve(intent.version, readGrace: .zero) }
                    let isCurrent = try await scene.current("k")?.version.id == intent.version
                    if case .committed = resolution { #expect(isCurrent) } else { #expect(!isCurrent) }
                    let again = try await patiently { try await store.resolve(intent.version, readGrace: .zero) }
                    #expect(again == resolution)
                case .failure(let error): throw error
                }
                let drift = try await patiently { try await store.usageDrift() }
                #expect(drift == [])
            }
            print("of 60 commits \(committed) were answered and \(lost) lost their reply")
        }
    }

    /// Again and again while the reply is lost or there is no connection: for calls that may be repeated.
    private func patiently<R>(_ body: () async throws -> R) async throws -> R {
        for _ in 0..<50 {
            do {
                return try await body()
            } catch let error as CatalogError {
                switch error {
                case .unavailable, .unknownOutcome: try await EventLoop.sleep(for: .milliseconds(10))
                case .readOnly, .timedOut, .cancelled, .internalError: throw error
                }
            }
        }
        return try await body()
    }

    @Test func `a resolution waits for a commit that is under way, and is right about it`() async throws {
        try await cluster.withCatalog { store, pool in
            let scene = try await CatalogScene.open(CatalogStores(store))
            for ending in ["COMMIT", "ROLLBACK"] {
                let intent = try scene.intent("k", on: ["a"])
                _ = try await store.intend(intent)
                try await withThrowingTaskGroup(of: WriteResolution.self) { group in
                    try await pool.withConnection { (connection) throws(PostgresError) in
                        _ = try await connection.execute("BEGIN")
                        let outcome = try await connection.execute(
                            "SELECT outcome FROM commit_v1($1,'k',$2,$3,$4,$5,'{}','{}','etag','{}',NULL,'{}',NULL,NULL,0,NULL,NULL)",
                            [
                                .int4(scene.bucket.raw), .uuid(uuid(intent.version.raw)), .uuid(uuid(intent.token.raw)),
                                .uuids([uuid(intent.candidates[0].id.raw)]), .optionalTexts([nil]),
                            ])
                        #expect(outcome.text(0, 0) == "committed")
                        group.addTask { try await store.resolve(intent.version, readGrace: .zero) }
                        while try await pool.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").int8(0, 0) == 0
                        {}
                        _ = try await connection.execute(ending)
                    }
                    let resolution = try #require(try await group.next())
                    if case .committed = resolution {
                        #expect(ending == "COMMIT")
                    } else {
                        #expect(ending == "ROLLBACK")
                    }
                }
                #expect(try await store.commit(scene.commit(intent)) == .fenceLost || ending == "COMMIT")
            }
        }
    }

    @Test(arguments: [1, 200])
    func `sixteen writers that overwrite neither deadlock nor crawl`(_ keys: Int) async throws {
        try await cluster.withCatalog { store, pool in
            let scene = try await CatalogScene.open(CatalogStores(store))
            let rounds = 40
            let began = ContinuousClock.now
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<16 {
                    group.addTask {
                        for _ in 0..<rounds {
                            let key = "k\(scene.ids.nextRandom() % UInt64(keys))"
                            try await scene.put(key, on: scene.ids.nextRandom() % 2 == 0 ? ["a", "b"] : ["c", "b"])
                        }
                    }
                }
                try await group.waitForAll()
            }
            let took = ContinuousClock.now - began
            let rate = Double(16 * rounds) / (Double(took / .milliseconds(1)) / 1000)
            print("\(keys) keys: \(Int(rate)) overwrites a second")
            #expect(rate > 50)
            _ = try await pool.execute("SELECT pg_stat_force_next_flush()")
            let deadlocks = try await pool.execute(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            ).int8(0, 0)
            #expect(deadlocks == 0)
            #expect(try await store.usageDrift() == [])
        }
    }

    private actor Order {
        var words: [String] = []
        func add(_ word: String) { words.append(word) }
    }
}

func uuid(_ id: ID128) -> PostgresUUID { PostgresUUID(high: id.high, low: id.low) }
