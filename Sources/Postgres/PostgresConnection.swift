import CPostgres
package import EventLoop
import Synchronization

/// One libpq connection in pipeline mode on one loop. Each statement is followed by its own sync, and is so a transaction of its
/// own; several may be under way, and their replies come in order.
///
/// `@unchecked Sendable`: everything but `isUsable` is touched on the loop's thread only, which each entry checks; libpq's calls
/// never suspend, so no two of them interleave.
package final class PostgresConnection: @unchecked Sendable {
    /// A statement whose reply is awaited, up to its sync.
    private final class Pending {
        let waiter = Waiter()
        /// Of the statement; a success counts only once its sync has come.
        var outcome: Result<PostgresRows, PostgresError>?
        let sql: String
        let name: String
        /// Whether the first result to come is that of the prepare which goes before the statement.
        var awaitsPrepare: Bool
        init(sql: String, name: String, awaitsPrepare: Bool) {
            self.sql = sql
            self.name = name
            self.awaitsPrepare = awaitsPrepare
        }
    }

    private let loop: EventLoop
    private let connection: OpaquePointer
    private let descriptor: Descriptor
    private var pending: [Pending] = []
    /// Names by statement. A name is never used again: a statement that fails stays prepared nevertheless.
    private var prepared: [String: String] = [:]
    private var namesGiven = 0
    private var failure: String?

    private init(loop: EventLoop, connection: OpaquePointer, descriptor: Descriptor) {
        self.loop = loop
        self.connection = connection
        self.descriptor = descriptor
    }

    deinit {
        descriptor.close()
        PQfinish(connection)
    }

    /// False once it is broken; it is then to be dropped.
    package var isUsable: Bool { failure == nil }

    package var load: Int { pending.count }

    /// PQtransactionStatus: between BEGIN and COMMIT, or unknown.
    package var isInTransaction: Bool { PQtransactionStatus(connection) != PQTRANS_IDLE }

    // MARK: Opening

    /// PQconnectStart and PQconnectPoll, without blocking the loop. On the loop's thread.
    package static func open(
        _ uri: String, on loop: EventLoop, within limit: Duration
    ) async throws(PostgresError) -> PostgresConnection {
        loop.checkIsolated()
        // Before the URI, which may say otherwise: a server that is gone without a word is noticed in half a minute, whatever a statement
        // may take.
        let keepalives = [
            "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "4", "tcp_user_timeout": "30000",
        ].sorted { $0.key < $1.key }
        let keys = keepalives.map(\.key) + ["dbname", "fallback_application_name", "options"]
        // READ COMMITTED whatever the server's default; times as microseconds need no zone. A statement whose client has
        // gone is ended by the server within a second, so that it does not keep its locks.
        let options = [
            "-c default_transaction_isolation=read\\ committed", "-c timezone=UTC",
            "-c client_connection_check_interval=1000", "-c client_min_messages=warning",
        ]
        let values = keepalives.map(\.value) + [uri, "sluice", options.joined(separator: " ")]
        let connection = withCStrings(keys) { keys in
            withCStrings(values) { values in PQconnectStartParams(keys, values, 1) }
        }
        guard let connection else { throw .unavailable(evidence: "out of memory") }
        let deadline = ContinuousClock.now + limit
        do throws(PostgresError) {
            try await poll(connection, loop, deadline)
            guard PQsetnonblocking(connection, 1) == 0, PQenterPipelineMode(connection) == 1,
                let descriptor = try? loop.watch(PQsocket(connection), .oneShot, owning: false)
            else { throw .unavailable(evidence: message(connection)) }
            let opened = PostgresConnection(loop: loop, connection: connection, descriptor: descriptor)
            loop.spawn { [weak opened] in
                await PostgresConnection.read(opened?.descriptor) { opened?.received() ?? false }
            }
            return opened
        } catch {
            PQfinish(connection)
            throw error
        }
    }

    private static func poll(
        _ connection: OpaquePointer, _ loop: EventLoop, _ deadline: ContinuousClock.Instant
    ) async throws(PostgresError) {
        guard PQstatus(connection) != CONNECTION_BAD else { throw .unavailable(evidence: message(connection)) }
        var needsRead = false
        while true {
            // libpq may change its socket between two polls, so it is watched anew each time.
            guard let descriptor = try? loop.watch(PQsocket(connection), .oneShot, owning: false) else {
                throw .unavailable(evidence: message(connection))
            }
            defer { descriptor.close() }
            do throws(WaitError) {
                if needsRead {
                    try await descriptor.readable(deadline: deadline)
                } else {
                    try await descriptor.writable(deadline: deadline)
                }
            } catch {
                throw .unavailable(evidence: "no answer while connecting")
            }
            descriptor.close()
            switch PQconnectPoll(connection) {
            case PGRES_POLLING_OK: return
            case PGRES_POLLING_READING: needsRead = true
            case PGRES_POLLING_WRITING: needsRead = false
            default: throw .unavailable(evidence: message(connection))
            }
        }
    }

    private static func message(_ connection: OpaquePointer) -> String {
        let text = String(cString: PQerrorMessage(connection))
        return text.split(separator: "\n").joined(separator: " ")
    }

    // MARK: Statements

    /// Sends one statement and waits for its reply. Not cancelled in the middle: a statement that was sent has an outcome.
    package func execute(
        _ sql: String, _ parameters: [PostgresValue] = [], within limit: Duration = .seconds(30)
    ) async throws(PostgresError) -> PostgresRows {
        loop.checkIsolated()
        let one = try await exchange(sql, parameters, within: limit)
        guard case .failure(let error)? = one.outcome, error.sqlState == .invalidStatementName else {
            return try PostgresConnection.reply(one)
        }
        // It went out behind a prepare of the same text that failed, and so was not run. Now it brings its own.
        forget(one)
        return try PostgresConnection.reply(try await exchange(sql, parameters, within: limit, preparingAnew: true))
    }

    private func exchange(
        _ sql: String, _ parameters: [PostgresValue], within limit: Duration, preparingAnew: Bool = false
    ) async throws(PostgresError) -> Pending {
        if let failure { throw .unavailable(evidence: failure) }
        let one = try send(sql, parameters, preparingAnew)
        let waiter = one.waiter
        let timer = loop.timer(limit) { waiter.resume(.timedOut) }
        let outcome = await waiter.wait()
        timer.cancel()
        if outcome == .timedOut { fail("no reply within \(limit)") }
        return one
    }

    private static func reply(_ one: Pending) throws(PostgresError) -> PostgresRows {
        guard let outcome = one.outcome else { throw .lostReply(evidence: "no reply in time") }
        return try outcome.get()
    }

    private func forget(_ one: Pending) {
        if prepared[one.sql] == one.name { prepared[one.sql] = nil }
    }

    private func send(
        _ sql: String, _ parameters: [PostgresValue], _ preparingAnew: Bool
    ) throws(PostgresError) -> Pending {
        let known = preparingAnew ? nil : prepared[sql]
        let name = known ?? "s\(namesGiven)"
        if known == nil {
            namesGiven += 1
            let types = parameters.map(\.typeID)
            guard PQsendPrepare(connection, name, sql, CInt(types.count), types) == 1 else { throw broken() }
            prepared[sql] = name
        }
        let values = parameters.map(\.encoded)
        let sent = PostgresConnection.withValues(values) { pointers, lengths, formats in
            PQsendQueryPrepared(connection, name, CInt(values.count), pointers, lengths, formats, 1)
        }
        guard sent == 1, PQpipelineSync(connection) == 1 else { throw broken() }
        let one = Pending(sql: sql, name: name, awaitsPrepare: known == nil)
        pending.append(one)
        flush()
        return one
    }

    private func broken() -> PostgresError {
        let evidence = PostgresConnection.message(connection)
        fail(evidence)
        return .unavailable(evidence: evidence)
    }

    private func flush() {
        guard PQflush(connection) == 1 else { return }
        loop.spawn { [weak self] in
            while let self, self.isUsable {
                do throws(WaitError) { try await self.descriptor.writable() } catch { return }
                if PQflush(self.connection) != 1 { return }
            }
        }
    }

    // MARK: Replies

    /// Runs until the descriptor is closed.
    private static func read(_ descriptor: Descriptor?, _ received: @escaping () -> Bool) async {
        guard let descriptor else { return }
        while true {
            do throws(WaitError) { try await descriptor.readable() } catch { return }
            if !received() { return }
        }
    }

    /// Takes what has come; false if the connection is over.
    private func received() -> Bool {
        guard PQconsumeInput(connection) == 1 else {
            fail(PostgresConnection.message(connection))
            return false
        }
        while !pending.isEmpty, PQisBusy(connection) == 0 {
            // A null divides the results of two statements; a sync ends ours.
            guard let result = PQgetResult(connection) else { continue }
            take(result)
        }
        if PQstatus(connection) == CONNECTION_BAD {
            fail(PostgresConnection.message(connection))
            return false
        }
        return true
    }

    private func take(_ result: OpaquePointer) {
        guard let first = pending.first else { return PQclear(result) }
        switch PQresultStatus(result) {
        case PGRES_PIPELINE_SYNC:
            PQclear(result)
            pending.removeFirst()
            if first.outcome == nil { first.outcome = .failure(.lostReply(evidence: "a reply without a result")) }
            first.waiter.resume(.ready)
        case PGRES_TUPLES_OK:
            first.outcome = .success(PostgresRows(result))
        case PGRES_COMMAND_OK where first.awaitsPrepare:
            first.awaitsPrepare = false
            PQclear(result)
        case PGRES_COMMAND_OK:
            first.outcome = .success(PostgresRows(result))
        case PGRES_PIPELINE_ABORTED:
            PQclear(result)
        default:
            if first.awaitsPrepare { forget(first) }
            first.outcome = .failure(PostgresConnection.serverError(result))
            PQclear(result)
        }
    }

    private static func serverError(_ result: OpaquePointer) -> PostgresError {
        func field(_ code: CInt) -> String? { PQresultErrorField(result, code).map { String(cString: $0) } }
        // The codes are characters: PG_DIAG_SQLSTATE 'C', MESSAGE_PRIMARY 'M', CONSTRAINT_NAME 'n'.
        // Severity 'V': after FATAL or PANIC the session is over, and nobody says whether COMMIT came before it.
        guard let state = field(67), field(86) == "ERROR" else {
            let text = String(cString: PQresultErrorMessage(result))
            return .lostReply(evidence: text.split(separator: "\n").joined(separator: " "))
        }
        return .server(SQLState(state), message: field(77) ?? "", constraint: field(110))
    }

    /// Nobody gets an answer from here on any more; what was sent may have happened.
    private func fail(_ evidence: String) {
        guard failure == nil else { return }
        failure = evidence.isEmpty ? "connection closed" : evidence
        descriptor.close()
        let waiting = pending
        pending = []
        for one in waiting {
            // Rows may come before the commit: only the sync behind them proves it. What was refused stays refused.
            switch one.outcome {
            case nil, .success: one.outcome = .failure(.lostReply(evidence: evidence))
            case .failure: break
            }
            one.waiter.resume(.closed)
        }
    }

    package func close() { fail("closed") }

    // MARK: C arrays

    private static func withCStrings<R>(_ strings: [String], _ body: ([UnsafePointer<CChar>?]) -> R) -> R {
        let copies = strings.map { strdupSwift($0) }
        defer { for copy in copies { copy.deallocate() } }
        return body(copies.map { UnsafePointer($0) } + [nil])
    }

    private static func strdupSwift(_ text: String) -> UnsafeMutablePointer<CChar> {
        let bytes = text.utf8CString
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
        bytes.withUnsafeBufferPointer { copy.initialize(from: $0.baseAddress.unsafelyUnwrapped, count: bytes.count) }
        return copy
    }

    /// One block for all values; the pointers are valid inside `body`.
    private static func withValues<R>(
        _ values: [[UInt8]?], _ body: ([UnsafePointer<CChar>?], [CInt], [CInt]) -> R
    ) -> R {
        let block = values.reduce(into: [UInt8]()) { $0 += $1 ?? [] } + [0]
        return block.withUnsafeBytes { block in
            var pointers: [UnsafePointer<CChar>?] = []
            var offset = 0
            for value in values {
                // An empty value is not null: its pointer must not be.
                pointers.append(
                    value == nil
                        ? nil
                        : block.baseAddress.unsafelyUnwrapped.advanced(by: offset).assumingMemoryBound(to: CChar.self))
                offset += value?.count ?? 0
            }
            return body(pointers, values.map { CInt($0?.count ?? 0) }, values.map { _ in 1 })
        }
    }
}
