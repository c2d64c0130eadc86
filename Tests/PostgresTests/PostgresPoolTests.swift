import EventLoop
import Postgres
import Synchronization
import TestSupport
import Testing

/// libpq as the rest sees it, against a real server.
@Suite struct PostgresPoolTests {
    let cluster: PostgresCluster
    init() throws { cluster = try PostgresCluster.shared() }

    @Test func `values of every type come back as they went`() async throws {
        try await cluster.withDatabase { pool, _ in
            let uuid = PostgresUUID(high: 0x0123_4567_89AB_CDEF, low: .max)
            let rows = try await pool.execute(
                """
                SELECT $1::int4, $2::int8, $3::bool, $4::text, $5::uuid, $6::int4[], $7::int8[], $8::text[], $9::uuid[],
                    $10::text, octet_length($11::bytea), $12::bool[] = '{t,f}', $13::text[] IS NOT DISTINCT FROM '{a,NULL}'
                """,
                [
                    .int4(-7), .int8(.min), .bool(true), .text("ključ 𐀀\u{10FFFF}"), .uuid(uuid), .int4s([1, -2]),
                    .int8s([]),
                    .texts(["", "b,{}\"\\"]), .uuids([uuid, uuid]), .null, .bytes([0, 255, 0]), .bools([true, false]),
                    .optionalTexts(["a", nil]),
                ])
            #expect(rows.count == 1)
            #expect(rows.int4(0, 0) == -7)
            #expect(rows.int8(0, 1) == .min)
            #expect(rows.bool(0, 2))
            #expect(rows.text(0, 3) == "ključ 𐀀\u{10FFFF}")
            #expect(rows.uuid(0, 4) == uuid)
            #expect(rows.int4s(0, 5) == [1, -2])
            #expect(rows.int8s(0, 6) == [])
            #expect(rows.texts(0, 7) == ["", "b,{}\"\\"])
            #expect(rows.uuids(0, 8) == [uuid, uuid])
            #expect(rows.optionalText(0, 9) == nil)
            #expect(rows.int4(0, 10) == 3)
            #expect(rows.bool(0, 11))
            #expect(rows.bool(0, 12))
        }
    }

    /// Postgres sends the rows of a statement before it commits its transaction.
    @Test func `rows whose transaction is not known to be over are no success`() async throws {
        let relay = try CuttingRelay(before: cluster.socketPath)
        defer { relay.close() }
        let database = try cluster.createDatabase()
        let uri = database.replacing(
            cluster.socketPath.replacing("/.s.PGSQL.5432", with: "").replacing("/", with: "%2F"),
            with: relay.folder.replacing("/", with: "%2F"))
        #expect(uri != database)
        try await PostgresCluster.onLoop { _ in
            let pool = PostgresPool(uri: uri)
            defer { pool.closeCurrentLoop() }
            _ = try await pool.execute("CREATE TABLE t (a int)")
            relay.arm()
            await #expect(throws: PostgresError.self) {
                try await pool.execute("INSERT INTO t VALUES (1) RETURNING a")
            }
            #expect(relay.cutCount == 1)
            #expect(
                try await pool.execute("SELECT count(*) FROM t").int8(0, 0) == 1, "it happened, and nobody was told")
        }
    }

    @Test func `a null parameter and an empty text are two things`() async throws {
        try await cluster.withDatabase { pool, _ in
            let sql = "SELECT $1::text IS NULL, $2::text = ''"
            for _ in 1...2 {
                let rows = try await pool.execute(sql, [.null, .text("")])
                #expect(rows.bool(0, 0) && rows.bool(0, 1))
            }
        }
    }

    @Test func `a refused statement tells its SQLSTATE and constraint, and harms no other`() async throws {
        try await cluster.withDatabase(limits: one) { pool, _ in
            _ = try await pool.execute("CREATE TABLE t (a int CONSTRAINT positive CHECK (a > 0))")
            let insert = "INSERT INTO t VALUES ($1)"
            // The same statement fails at its first use, works, fails and works: what was prepared stays usable.
            for value in [-1, 1, -1, 2] as [Int32] {
                do throws(PostgresError) {
                    let rows = try await pool.execute(insert, [.int4(value)])
                    #expect(value > 0 && rows.affected == 1)
                } catch {
                    #expect(value < 0)
                    guard case .server(let state, _, let constraint) = error else { throw error }
                    #expect(state == SQLState("23514") && constraint == "positive")
                }
                _ = try await pool.execute("SELECT \(value)", [])
            }
            #expect(try await pool.execute("SELECT count(*) FROM t").int8(0, 0) == 2)
        }
    }

    @Test func `a statement that cannot be prepared fails alone and may be mended`() async throws {
        try await cluster.withDatabase(limits: one) { pool, _ in
            for _ in 1...2 {
                await #expect(throws: PostgresError.self) { try await pool.execute("SELECT * FROM missing") }
                #expect(try await pool.execute("SELECT 1").int4(0, 0) == 1)
            }
            _ = try await pool.execute("CREATE TABLE missing AS SELECT 5 AS five")
            #expect(try await pool.execute("SELECT * FROM missing").int4(0, 0) == 5)
        }
    }

    @Test func `pipelined reads get each their own answer, also beside failing ones`() async throws {
        try await cluster.withDatabase { pool, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in Int32(0)..<500 {
                    group.addTask {
                        do throws(PostgresError) {
                            let rows = try await pool.execute(
                                "SELECT 1000 / $1, $1", [.int4(number % 10)], lane: .shared)
                            #expect(number % 10 != 0 && rows.int4(0, 1) == number % 10)
                        } catch {
                            #expect(number % 10 == 0 && error.sqlState == SQLState("22012"))
                        }
                    }
                }
                try await group.waitForAll()
            }
            let connections =
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sluice' AND datname = current_database()"
            #expect(try await pool.execute(connections, lane: .shared).int8(0, 0) <= 2)
        }
    }

    @Test func `a statement that fails to prepare does not fail the same text sent right behind it`() async throws {
        try await cluster.withDatabase { pool, _ in
            for round in 1...3 {
                try await withThrowingTaskGroup(of: SQLState?.self) { group in
                    for _ in 1...10 {
                        group.addTask {
                            do throws(PostgresError) {
                                _ = try await pool.execute("SELECT * FROM missing\(round)", lane: .shared)
                                return nil
                            } catch {
                                return error.sqlState
                            }
                        }
                    }
                    for try await state in group { #expect(state == SQLState("42P01")) }
                }
            }
        }
    }

    @Test func `a result larger than every buffer arrives whole`() async throws {
        try await cluster.withDatabase { pool, _ in
            let rows = try await pool.execute(
                "SELECT repeat('x', 1000) || i FROM generate_series(1, 20000) i", lane: .shared)
            #expect(rows.count == 20000)
            #expect(rows.text(19999, 0).hasSuffix("x20000"))
            let long = String(repeating: "y", count: 8 << 20)
            #expect(try await pool.execute("SELECT length($1)", [.text(long)]).int4(0, 0) == 8 << 20)
        }
    }

    @Test func `writes wait for a free connection and go on`() async throws {
        var limits = PoolLimits()
        limits.exclusiveMax = 2
        try await cluster.withDatabase(limits: limits) { pool, _ in
            _ = try await pool.execute("CREATE TABLE t (a int)")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in Int32(0)..<50 {
                    group.addTask { _ = try await pool.execute("INSERT INTO t VALUES ($1)", [.int4(number)]) }
                }
                try await group.waitForAll()
            }
            #expect(try await pool.execute("SELECT count(*) FROM t").int8(0, 0) == 50)
            let connections =
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sluice' AND datname = current_database()"
            #expect(try await pool.execute(connections).int8(0, 0) <= 2)
        }
    }

    @Test func `who waits too long for a connection is told so, and the pool recovers`() async throws {
        var limits = one
        limits.waitMax = .milliseconds(100)
        try await cluster.withDatabase(limits: limits) { pool, _ in
            async let slow = pool.execute("SELECT pg_sleep(0.6)")
            try await EventLoop.sleep(for: .milliseconds(50))
            do throws(PostgresError) {
                _ = try await pool.execute("SELECT 1")
                Issue.record("two on one connection")
            } catch {
                guard case .unavailable = error else { throw error }
            }
            _ = try await slow
            #expect(try await pool.execute("SELECT 1").int4(0, 0) == 1)
        }
    }

    @Test func `a statement that takes too long has an unknown outcome and costs its connection only`() async throws {
        try await cluster.withDatabase(limits: one) { pool, _ in
            do throws(PostgresError) {
                _ = try await pool.execute("SELECT pg_sleep(30)", within: .milliseconds(200))
                Issue.record("it did not end")
            } catch {
                guard case .lostReply = error else { throw error }
            }
            #expect(try await pool.execute("SELECT 1").int4(0, 0) == 1)
            // The server ends it too, within a second or so.
            let running =
                "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND datname = current_database()"
            let deadline = ContinuousClock.now + .seconds(10)
            while try await pool.execute(running).int8(0, 0) > 0, ContinuousClock.now < deadline {
                try await EventLoop.sleep(for: .milliseconds(50))
            }
            #expect(ContinuousClock.now < deadline)
        }
    }

    @Test func `a terminated session leaves the outcome open, and the next statement gets a new connection`()
        async throws
    {
        try await cluster.withDatabase { pool, uri in
            let other = PostgresPool(uri: uri)
            defer { other.closeCurrentLoop() }
            let pid = try await pool.execute("SELECT pg_backend_pid()").int4(0, 0)
            async let killed: Void = {
                do throws(PostgresError) {
                    _ = try await pool.execute("SELECT pg_sleep(30)")
                    Issue.record("it slept to the end")
                } catch {
                    guard case .lostReply = error else { throw error }
                }
            }()
            while try await other.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND pid = $1", [.int4(pid)]
            )
            .int8(0, 0) == 0 {}
            _ = try await other.execute("SELECT pg_terminate_backend($1)", [.int4(pid)])
            try await killed
            #expect(try await pool.execute("SELECT 1").int4(0, 0) == 1)
        }
    }

    @Test func `an error at commit is an error, though the statement itself had succeeded`() async throws {
        try await cluster.withDatabase { pool, _ in
            _ = try await pool.execute("CREATE TABLE t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
            _ = try await pool.execute("INSERT INTO t VALUES (1)")
            do throws(PostgresError) {
                _ = try await pool.execute("INSERT INTO t VALUES (1) RETURNING a")
                Issue.record("a duplicate was committed")
            } catch {
                #expect(error.sqlState == .uniqueViolation)
            }
        }
    }

    @Test func `without a server each call fails soon, and succeeds once there is one`() async throws {
        let own = try PostgresCluster(isDurable: false)
        let uri = own.uri()
        try await PostgresCluster.onLoop { _ in
            let pool = PostgresPool(uri: uri)
            defer { pool.closeCurrentLoop() }
            _ = try await pool.execute("SELECT 1")
            _ = try await pool.execute("SELECT 1", lane: .shared)
            own.kill()
            for lane in [PostgresPool.Lane.exclusive, .shared] {
                await #expect(throws: PostgresError.self) { try await pool.execute("SELECT 1", lane: lane) }
                // Those that were broken are known by now: from here on nothing is sent.
                do throws(PostgresError) {
                    _ = try await pool.execute("SELECT 1", lane: lane)
                } catch {
                    guard case .unavailable = error else { throw error }
                }
            }
            try own.start()
            for lane in [PostgresPool.Lane.exclusive, .shared] {
                // The pool pauses after failures, for less than a second.
                while (try? await pool.execute("SELECT 1", lane: lane)) == nil {
                    try await EventLoop.sleep(for: .milliseconds(20))
                }
                #expect(try await pool.execute("SELECT 1", lane: lane).int4(0, 0) == 1)
            }
        }
        own.stop()
    }

    private var one: PoolLimits {
        var limits = PoolLimits()
        limits.exclusiveMax = 1
        return limits
    }
}
