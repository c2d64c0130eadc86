import EventLoop
import Synchronization

/// Bounds of a pool.
package struct PoolLimits: Sendable {
    /// Connections per loop for statements that may wait for locks: one at a time on each.
    package var exclusiveMax = 16
    /// Connections per loop that reads share, pipelined.
    package var sharedMax = 2
    package var waitMax: Duration = .seconds(10)
    package var connectTimeout: Duration = .seconds(5)
    package var statementTimeout: Duration = .seconds(30)
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

    private struct LoopState {
        var idle: [PostgresConnection] = []
        var exclusiveCount = 0
        var waiting: [Waiter] = []
        var shared: [PostgresConnection] = []
        var isOpeningShared = false
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

    // MARK: Shared

    private func sharedConnection(_ loop: EventLoop) async throws(PostgresError) -> PostgresConnection {
        let key = ObjectIdentifier(loop)
        let (found, mayOpen): (PostgresConnection?, Bool) = loops.withLock { loops in
            var state = loops[key, default: LoopState()]
            state.shared.removeAll { !$0.isUsable }
            let best = state.shared.min { $0.load < $1.load }
            let wantsMore = best.map { $0.load >= 8 } ?? true
            let mayOpen = wantsMore && state.shared.count < limits.sharedMax && (best == nil || !state.isOpeningShared)
            if mayOpen { state.isOpeningShared = true }
            loops[key] = state
            return (best, mayOpen)
        }
        if let found, !mayOpen { return found }
        do throws(PostgresError) {
            let opened = try await PostgresConnection.open(uri, on: loop, within: limits.connectTimeout)
            loops.withLock { loops in
                loops[key]?.isOpeningShared = false
                // Others may have opened theirs meanwhile; a few more than the bound end when they break.
                loops[key]?.shared.append(opened)
            }
            return opened
        } catch {
            loops.withLock { $0[key]?.isOpeningShared = false }
            throw error
        }
    }

    // MARK: Exclusive

    private enum Place {
        case idle(PostgresConnection)
        case open
        case wait(Waiter)
    }

    private func take(_ loop: EventLoop) async throws(PostgresError) -> PostgresConnection {
        let key = ObjectIdentifier(loop)
        let deadline = ContinuousClock.now + limits.waitMax
        while true {
            let place: Place = loops.withLock { loops in
                var state = loops[key, default: LoopState()]
                defer { loops[key] = state }
                while let one = state.idle.popLast() {
                    if one.isUsable { return .idle(one) }
                    state.exclusiveCount -= 1
                }
                if state.exclusiveCount < limits.exclusiveMax {
                    state.exclusiveCount += 1
                    return .open
                }
                let waiter = Waiter()
                state.waiting.append(waiter)
                return .wait(waiter)
            }
            switch place {
            case .idle(let connection): return connection
            case .open:
                do throws(PostgresError) {
                    return try await PostgresConnection.open(uri, on: loop, within: limits.connectTimeout)
                } catch {
                    release(key, nil)
                    throw error
                }
            case .wait(let waiter):
                let timer = loop.timer(.zero + ContinuousClock.now.duration(to: deadline)) { waiter.resume(.timedOut) }
                let outcome = await waiter.wait()
                timer.cancel()
                if outcome != .ready {
                    loops.withLock { $0[key]?.waiting.removeAll { $0 === waiter } }
                    throw .unavailable(evidence: "all \(limits.exclusiveMax) database connections of this loop are in use")
                }
            }
        }
    }

    private func giveBack(_ connection: PostgresConnection, _ loop: EventLoop) {
        release(ObjectIdentifier(loop), connection.isUsable ? connection : nil)
    }

    /// Puts a connection back, or gives up the place of one that is gone, and wakes the next who waits.
    private func release(_ key: ObjectIdentifier, _ connection: PostgresConnection?) {
        let next: [Waiter] = loops.withLock { loops in
            if let connection { loops[key]?.idle.append(connection) } else { loops[key]?.exclusiveCount -= 1 }
            guard let waiting = loops[key]?.waiting, !waiting.isEmpty else { return [] }
            loops[key]?.waiting = []
            return waiting
        }
        // All are woken and the first on its loop gets it; a waiter that gave up must not swallow the turn.
        for waiter in next { waiter.resume(.ready) }
    }

    /// Closes every connection of the current loop; the others end with their loops.
    package func closeCurrentLoop() {
        guard let loop = EventLoop.current else { return }
        let all = loops.withLock { loops in
            defer { loops[ObjectIdentifier(loop)] = nil }
            return (loops[ObjectIdentifier(loop)]?.idle ?? []) + (loops[ObjectIdentifier(loop)]?.shared ?? [])
        }
        for one in all { one.close() }
    }
}
