import EventLoop
import Synchronization

/// Bounds of a pool.
package struct PoolLimits: Sendable {
    /// Connections per loop for statements that may wait for locks: one at a time on each.
    package var exclusiveMax = 16
    /// Connections per loop that reads share, pipelined.
    package var sharedMax = 2
    /// Statements under way on a shared connection before another one is opened.
    package var sharedLoadMax = 8
    /// Statements per loop that wait for a connection of their own; the next one is refused at once.
    package var waitersMax = 1024
    package var waitMax: Duration = .seconds(10)
    package var connectTimeout: Duration = .seconds(5)
    package var statementTimeout: Duration = .seconds(30)
    /// After a connection could not be opened, others are refused at once for so long; doubled with each failure in a row.
    package var backoffMin: Duration = .milliseconds(25)
    package var backoffMax: Duration = .milliseconds(800)
    package init() {}
}

/// Connections to one database, kept per loop. Callers must run on a loop.
package final class PostgresPool: Sendable {
    package enum Lane: Sendable {
        /// Reads that take no locks: many share a connection, pipelined.
        case shared
        /// Everything that writes or waits: a connection of its own for as long as it takes.
        case exclusive
    }

    /// What a statement that waits for a connection of its own is given: one, or the place to open one.
    private enum Grant {
        case idle(PostgresConnection)
        case place
    }

    private final class Turn: Sendable {
        let waiter = Waiter()
        let grant = Mutex<Grant?>(nil)
    }

    private struct LoopState {
        var idle: [PostgresConnection] = []
        /// Connections in use, idle or being opened.
        var exclusiveCount = 0
        var turns: [Turn] = []
        var shared: [PostgresConnection] = []
        var isOpeningShared = false
        /// Who waits for the first shared connection.
        var sharedWaiters: [Waiter] = []
        var failuresInARow = 0
        var refusedUntil: ContinuousClock.Instant?
        var lastFailure = ""
    }

    private let uri: String
    private let limits: PoolLimits
    private let loops = Mutex<[ObjectIdentifier: LoopState]>([:])

    package init(uri: String, limits: PoolLimits = PoolLimits()) {
        self.uri = uri
        self.limits = limits
    }

    package func execute(
        _ sql: String, _ parameters: [PostgresValue] = [], lane: Lane = .exclusive, within limit: Duration? = nil
    ) async throws(PostgresError) -> PostgresRows {
        guard let loop = EventLoop.current else { preconditionFailure("Postgres is used off a loop") }
        let limit = limit ?? limits.statementTimeout
        switch lane {
        case .shared:
            let connection = try await sharedConnection(loop)
            return try await connection.execute(sql, parameters, within: limit)
        case .exclusive:
            let connection = try await take(loop)
            do throws(PostgresError) {
                let rows = try await connection.execute(sql, parameters, within: limit)
                giveBack(connection, loop)
                return rows
            } catch {
                giveBack(connection, loop)
                throw error
            }
        }
    }

    /// A connection of its own for several statements, such as a transaction. One that is left open by `body` is rolled back,
    /// by closing the connection.
    package func withConnection<R>(
        _ body: (PostgresConnection) async throws(PostgresError) -> R
    ) async throws(PostgresError) -> R {
        guard let loop = EventLoop.current else { preconditionFailure("Postgres is used off a loop") }
        let connection = try await take(loop)
        defer {
            if connection.isInTransaction { connection.close() }
            giveBack(connection, loop)
        }
        return try await body(connection)
    }

    // MARK: Opening

    private func open(_ loop: EventLoop) async throws(PostgresError) -> PostgresConnection {
        let key = ObjectIdentifier(loop)
        let refusal: String? = loops.withLock { loops in
            guard let state = loops[key], let until = state.refusedUntil, until > .now else { return nil }
            return state.lastFailure
        }
        if let refusal { throw .unavailable(evidence: refusal) }
        do throws(PostgresError) {
            let opened = try await PostgresConnection.open(uri, on: loop, within: limits.connectTimeout)
            loops.withLock { $0[key]?.failuresInARow = 0 }
            return opened
        } catch {
            loops.withLock { loops in
                let failures = loops[key]?.failuresInARow ?? 0
                let pause = min(limits.backoffMax, limits.backoffMin * (1 << min(failures, 16)))
                loops[key]?.failuresInARow = failures + 1
                loops[key]?.refusedUntil = .now + pause
                if case .unavailable(let evidence) = error { loops[key]?.lastFailure = evidence }
            }
            throw error
        }
    }

    // MARK: Shared

    private enum SharedPlace {
        case use(PostgresConnection)
        case open
        case wait(Waiter)
    }

    private func sharedConnection(_ loop: EventLoop) async throws(PostgresError) -> PostgresConnection {
        let key = ObjectIdentifier(loop)
        let place: SharedPlace = loops.withLock { loops in
            var state = loops[key, default: LoopState()]
            defer { loops[key] = state }
            state.shared.removeAll { !$0.isUsable }
            let best = state.shared.min { $0.load < $1.load }
            if let best,
                state.isOpeningShared || best.load < limits.sharedLoadMax || state.shared.count >= limits.sharedMax
            {
                return .use(best)
            }
            if !state.isOpeningShared {
                state.isOpeningShared = true
                return .open
            }
            let waiter = Waiter()
            state.sharedWaiters.append(waiter)
            return .wait(waiter)
        }
        switch place {
        case .use(let connection): return connection
        case .open: return try await openShared(loop)
        case .wait(let waiter):
            // It ends with the connect, which has a deadline.
            _ = await waiter.wait()
            let found = loops.withLock { $0[key]?.shared.filter(\.isUsable).min { $0.load < $1.load } }
            if let found { return found }
            throw .unavailable(evidence: loops.withLock { $0[key]?.lastFailure ?? "closed" })
        }
    }

    private func openShared(_ loop: EventLoop) async throws(PostgresError) -> PostgresConnection {
        let key = ObjectIdentifier(loop)
        func ended(_ opened: PostgresConnection?) {
            let waiters: [Waiter] = loops.withLock { loops in
                loops[key]?.isOpeningShared = false
                if let opened { loops[key]?.shared.append(opened) }
                defer { loops[key]?.sharedWaiters = [] }
                return loops[key]?.sharedWaiters ?? []
            }
            for waiter in waiters { waiter.resume(.ready) }
        }
        do throws(PostgresError) {
            let opened = try await open(loop)
            ended(opened)
            return opened
        } catch {
            ended(nil)
            throw error
        }
    }

    // MARK: Exclusive

    private enum Place {
        case granted(Grant)
        case wait(Turn)
        case full
    }

    private func take(_ loop: EventLoop) async throws(PostgresError) -> PostgresConnection {
        let key = ObjectIdentifier(loop)
        let place: Place = loops.withLock { loops in
            var state = loops[key, default: LoopState()]
            defer { loops[key] = state }
            while let one = state.idle.popLast() {
                if one.isUsable { return .granted(.idle(one)) }
                state.exclusiveCount -= 1
            }
            if state.exclusiveCount < limits.exclusiveMax {
                state.exclusiveCount += 1
                return .granted(.place)
            }
            if state.turns.count >= limits.waitersMax { return .full }
            let turn = Turn()
            state.turns.append(turn)
            return .wait(turn)
        }
        switch place {
        case .granted(let grant): return try await redeem(grant, loop)
        case .full: throw .unavailable(evidence: "\(limits.waitersMax) statements wait for a database connection")
        case .wait(let turn): return try await redeem(try await wait(turn, key, loop), loop)
        }
    }

    private func wait(_ turn: Turn, _ key: ObjectIdentifier, _ loop: EventLoop) async throws(PostgresError) -> Grant {
        let timer = loop.timer(limits.waitMax) { turn.waiter.resume(.timedOut) }
        let outcome = await turn.waiter.wait()
        timer.cancel()
        guard outcome == .ready, let grant = turn.grant.withLock({ $0 }) else {
            loops.withLock { $0[key]?.turns.removeAll { $0 === turn } }
            throw .unavailable(evidence: "all \(limits.exclusiveMax) database connections of this loop are in use")
        }
        return grant
    }

    private func redeem(_ grant: Grant, _ loop: EventLoop) async throws(PostgresError) -> PostgresConnection {
        if case .idle(let connection) = grant, connection.isUsable { return connection }
        do throws(PostgresError) {
            return try await open(loop)
        } catch {
            release(ObjectIdentifier(loop), nil)
            throw error
        }
    }

    private func giveBack(_ connection: PostgresConnection, _ loop: EventLoop) {
        release(ObjectIdentifier(loop), connection.isUsable ? connection : nil)
    }

    /// Hands a connection, or the place of one that is gone, to the first who still waits; else keeps or gives it up.
    private func release(_ key: ObjectIdentifier, _ connection: PostgresConnection?) {
        let orphan: PostgresConnection? = loops.withLock { loops in
            // Closed meanwhile: nobody will ask for it any more.
            guard var state = loops[key] else { return connection }
            defer { loops[key] = state }
            while !state.turns.isEmpty {
                let turn = state.turns.removeFirst()
                turn.grant.withLock { $0 = connection.map { .idle($0) } ?? .place }
                if turn.waiter.resumed(.ready) { return nil }
            }
            if let connection { state.idle.append(connection) } else { state.exclusiveCount -= 1 }
            return nil
        }
        orphan?.close()
    }

    /// Closes every connection of the current loop; the others end with their loops.
    package func closeCurrentLoop() {
        guard let loop = EventLoop.current else { return }
        let state = loops.withLock { $0.removeValue(forKey: ObjectIdentifier(loop)) }
        guard let state else { return }
        for one in state.idle + state.shared { one.close() }
        for turn in state.turns { turn.waiter.resume(.closed) }
        for waiter in state.sharedWaiters { waiter.resume(.closed) }
    }
}
