/// Why a statement gave no rows.
package enum PostgresError: Error, Sendable, Equatable {
    /// No connection, or none in time: the statement was certainly not sent.
    case unavailable(evidence: String)
    /// The statement was sent and its reply never came: it may have happened.
    case lostReply(evidence: String)
    /// The server refused it; its transaction was rolled back.
    case server(SQLState, message: String, constraint: String?)

    package var sqlState: SQLState? {
        if case .server(let state, _, _) = self { state } else { nil }
    }
}

/// A SQLSTATE (PostgreSQL documentation, Appendix A).
package struct SQLState: Hashable, Sendable, CustomStringConvertible {
    package let code: String
    package init(_ code: String) { self.code = code }
    package static let serializationFailure = SQLState("40001")
    package static let deadlockDetected = SQLState("40P01")
    package static let readOnlyTransaction = SQLState("25006")
    package static let queryCancelled = SQLState("57014")
    package static let lockNotAvailable = SQLState("55P03")
    package static let adminShutdown = SQLState("57P01")
    package static let invalidStatementName = SQLState("26000")
    package static let uniqueViolation = SQLState("23505")
    package var description: String { code }
    /// Class 08 (connection), 53 (resources), 57P (operator intervention): nothing is wrong with the statement.
    package var isUnavailability: Bool { code.hasPrefix("08") || code.hasPrefix("53") || code.hasPrefix("57P") }
}
