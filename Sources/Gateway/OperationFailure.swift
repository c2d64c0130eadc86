package import Catalog
package import HTTP
package import S3

/// Why an operation gave no answer of its own: the evidence, before it becomes a code for the client.
package enum OperationFailure: Error, Sendable, Equatable {
    case s3(S3Error)
    case catalog(CatalogError)
    case transfer(TransferFailure)
    case body(BodyError)
    /// The server has not accepted a spec yet.
    case notReady

    package static func refused(
        _ code: S3ErrorCode, _ message: String, _ details: [String: String] = [:]
    ) -> OperationFailure {
        .s3(S3Error(code, message, details: details))
    }
}

/// What a client is told about a failure, and how it is counted.
package struct FailureAnswer: Sendable, Equatable {
    package var error: S3Error
    package var retryAfterSeconds: Int?
    /// The client hung up: nobody reads the answer, and nobody else is to blame (S3.md 26).
    package var isClientGone: Bool
    /// For the log, never for the client.
    package var evidence: String?

    init(_ error: S3Error, retry: Bool = false, isClientGone: Bool = false, evidence: String? = nil) {
        self.error = error
        retryAfterSeconds = retry ? GatewayLimits.retryAfterSeconds : nil
        self.isClientGone = isClientGone
        self.evidence = evidence
    }
}

/// The one place where internal errors become S3's codes (STYLE, Errors).
extension OperationFailure {
    package var answer: FailureAnswer {
        switch self {
        case .s3(let error): FailureAnswer(error)
        case .catalog(let error): OperationFailure.answer(error)
        case .body(let error): OperationFailure.answer(error)
        case .transfer(let error): OperationFailure.answer(error)
        case .notReady:
            FailureAnswer(
                S3Error(.serviceUnavailable, "The server is starting: no spec has been accepted yet."), retry: true)
        }
    }

    private static func answer(_ error: CatalogError) -> FailureAnswer {
        let away = S3Error(.serviceUnavailable, "The catalog's database is not available. Please try again.")
        switch error {
        case .unavailable(let evidence), .timedOut(let evidence):
            return FailureAnswer(away, retry: true, evidence: evidence)
        case .readOnly(let evidence):
            let message = "The catalog's database accepts no writes now. Please try again."
            return FailureAnswer(S3Error(.serviceUnavailable, message), retry: true, evidence: evidence)
        case .unknownOutcome(let evidence):
            return FailureAnswer(unknown, evidence: evidence)
        case .cancelled:
            return FailureAnswer(away, retry: true, isClientGone: true, evidence: "cancelled")
        case .internalError(let evidence):
            return FailureAnswer(
                S3Error(.internalError, "We encountered an internal error. Please try again."), evidence: evidence)
        }
    }

    private static let unknown = S3Error(
        .internalError,
        "The outcome is not known: the request may or may not have taken effect. Please look, then try again.")

    private static func answer(_ error: BodyError) -> FailureAnswer {
        switch error {
        case .truncated:
            FailureAnswer(
                S3Error(
                    .incompleteBody,
                    "You did not provide the number of bytes specified by the Content-Length HTTP header."),
                isClientGone: true)
        case .tooSlow:
            FailureAnswer(
                S3Error(
                    .requestTimeout,
                    "Your socket connection to the server was not read from or written to within the timeout period."))
        case .tooLong: FailureAnswer(S3Error(.incompleteBody, "The request body has more bytes than were declared."))
        case .malformed(let what):
            FailureAnswer(S3Error(.invalidRequest, "The request body's framing is malformed: \(what)."))
        case .contentMismatch(let code, let message):
            FailureAnswer(S3Error(S3ErrorCode(rawValue: code) ?? .invalidRequest, message))
        case .source(let evidence):
            FailureAnswer(
                S3Error(.internalError, "The source of the bytes failed. Please try again."), evidence: evidence)
        case .cancelled:
            FailureAnswer(S3Error(.requestTimeout, "The request was cancelled."), isClientGone: true)
        }
    }

    private static func answer(_ error: TransferFailure) -> FailureAnswer {
        func unavailable(_ message: String, _ evidence: String? = nil) -> FailureAnswer {
            FailureAnswer(S3Error(.serviceUnavailable, message), retry: true, evidence: evidence)
        }
        switch error {
        case .catalog(let error): return answer(error)
        case .body(let error): return answer(error)
        case .noEligibleBackend: return unavailable("No backend accepts writes now. Please try again.")
        case .overQuota: return unavailable("The backends' quotas leave no room for an object of this size.")
        case .tooFewCopies(let stored, let required, let evidence):
            return unavailable(
                "Only \(stored) of \(required) copies could be made. Nothing was stored. Please try again.", evidence)
        case .preconditionFailed: return FailureAnswer(preconditionFailed)
        case .noSuchKey: return FailureAnswer(S3Error(.noSuchKey, "The specified key does not exist."))
        case .noSuchBucket: return FailureAnswer(S3Error(.noSuchBucket, "The specified bucket does not exist."))
        case .fenceLost: return unavailable("The write was interrupted and nothing was stored. Please try again.")
        case .unknownOutcome: return FailureAnswer(unknown)
        case .unreadable(let evidence):
            return unavailable("No copy of the object can be read at the moment. Please try again.", evidence)
        case .noSuchUpload: return FailureAnswer(noSuchUpload)
        case .invalidPart(let number): return FailureAnswer(invalidPart(number))
        }
    }

    static let preconditionFailed = S3Error(
        .preconditionFailed, "At least one of the pre-conditions you specified did not hold")
    static let noSuchUpload = S3Error(
        .noSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )
    static func invalidPart(_ number: Int) -> S3Error {
        S3Error(
            .invalidPart,
            "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity "
                + "tag may not match the part's entity tag.",
            details: ["PartNumber": "\(number)"])
    }
}

/// Runs a call to the catalog.
func catalogCall<T: Sendable>(
    _ body: () async throws(CatalogError) -> T
) async throws(OperationFailure) -> T {
    do throws(CatalogError) { return try await body() } catch { throw .catalog(error) }
}

/// Runs a call that moves bytes.
func transferCall<T: Sendable>(
    _ body: () async throws(TransferFailure) -> T
) async throws(OperationFailure) -> T {
    do throws(TransferFailure) { return try await body() } catch { throw .transfer(error) }
}

/// Runs what refuses in S3's own words.
func refusing<T>(_ body: () throws(S3Error) -> T) throws(OperationFailure) -> T {
    do throws(S3Error) { return try body() } catch { throw .s3(error) }
}
