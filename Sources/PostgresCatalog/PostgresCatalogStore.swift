package import Catalog
package import Postgres

/// The catalog in Postgres: each call is one SQL function or statement, in a transaction of its own.
package struct PostgresCatalogStore: Sendable {
    let pool: PostgresPool
    let cursors = ClaimCursors()

    package init(pool: PostgresPool) { self.pool = pool }

    /// How often a transaction that lost a deadlock or a serialization conflict is made again.
    private static let conflictRetriesMax = 5

    /// A transaction that changes something.
    ///
    /// - Parameter limit: how long it may take; nil: as long as the pool allows
    func write(
        _ sql: String, _ parameters: [PostgresValue], within limit: Duration? = nil
    ) async throws(CatalogError) -> PostgresRows {
        var attempt = 0
        while true {
            do throws(PostgresError) {
                return try await pool.execute(sql, parameters, lane: .exclusive, within: limit)
            } catch {
                attempt += 1
                let isConflict = error.sqlState == .serializationFailure || error.sqlState == .deadlockDetected
                guard isConflict, attempt <= PostgresCatalogStore.conflictRetriesMax else { throw CatalogError(error) }
            }
        }
    }

    /// A statement that only reads; made once more when its connection broke, which is harmless.
    func read(
        _ sql: String, _ parameters: [PostgresValue] = [], lane: PostgresPool.Lane = .shared,
        within limit: Duration? = nil
    ) async throws(CatalogError) -> PostgresRows {
        do throws(PostgresError) {
            return try await pool.execute(sql, parameters, lane: lane, within: limit)
        } catch {
            guard case .lostReply = error else { throw CatalogError(error) }
        }
        do throws(PostgresError) {
            return try await pool.execute(sql, parameters, lane: lane, within: limit)
        } catch {
            if case .lostReply(let evidence) = error { throw .unavailable(evidence: evidence) }
            throw CatalogError(error)
        }
    }
}

extension CatalogError {
    /// A call is one statement in its own transaction: a lost reply is a lost COMMIT.
    package init(_ error: PostgresError) {
        switch error {
        case .unavailable(let evidence): self = .unavailable(evidence: evidence)
        case .lostReply(let evidence): self = .unknownOutcome(evidence: evidence)
        case .server(let state, let message, let constraint):
            let evidence = "\(state) \(message)" + (constraint.map { " (\($0))" } ?? "")
            if state == .readOnlyTransaction {
                self = .readOnly(evidence: evidence)
            } else if state == .queryCancelled || state == .lockNotAvailable {
                self = .timedOut(evidence: evidence)
            } else if state == .adminShutdown {
                // The server may say so between our COMMIT and its reply.
                self = .unknownOutcome(evidence: evidence)
            } else if state.isUnavailability || state == .serializationFailure || state == .deadlockDetected {
                self = .unavailable(evidence: evidence)
            } else {
                self = .internalError(evidence: evidence)
            }
        }
    }
}

// MARK: Values

extension ID128 {
    init(_ uuid: PostgresUUID) { self.init(high: uuid.high, low: uuid.low) }
    var uuid: PostgresUUID { PostgresUUID(high: high, low: low) }
}

extension Duration {
    var milliseconds: Int64 { Int64(self / .milliseconds(1)) }
}

/// Dictionaries as flat arrays: name, value, name, value, in order of names.
enum FlatPairs {
    static func encode(_ pairs: [String: String]) -> PostgresValue {
        .texts(pairs.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] })
    }

    static func decode(_ flat: [String]) -> [String: String] {
        var pairs: [String: String] = [:]
        for index in stride(from: 0, to: flat.count - 1, by: 2) { pairs[flat[index]] = flat[index + 1] }
        return pairs
    }
}

extension WritePrecondition.Match {
    /// `*` stands for any.
    var texts: [String] {
        switch self {
        case .any: ["*"]
        case .etags(let list): list
        }
    }
}
