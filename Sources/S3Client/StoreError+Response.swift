import HTTP
import S3
import Transport

extension StoreError {
    /// What an error answer means. 404 is `noSuchKey` only with that very code; a code says more than its status.
    init(_ status: Int, _ document: ResponseDocuments.ErrorDocument?, isWrite: Bool) {
        let evidence = "status \(status)" + (document.map { " \($0.code): \($0.message.prefix(200))" } ?? "")
        let code = document.flatMap { StoreError.code(named: $0.code) } ?? StoreError.code(status: status)
        // What was refused with 4xx has ended; behind 5xx a server may still be at work.
        self.init(code, mayArriveLate: isWrite && (status >= 500 || status == 408), evidence: evidence)
    }

    /// Codes of AWS, and of MinIO, Ceph, Backblaze and Wasabi where they have their own.
    private static func code(named name: String) -> Code? {
        switch name {
        case "NoSuchKey", "NoSuchVersion": .noSuchKey
        case "NoSuchUpload": .noSuchUpload
        case "NoSuchBucket", "PermanentRedirect", "TemporaryRedirect", "Redirect", "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException", "InvalidBucketName":
            .wrongLocation
        case "PreconditionFailed": .alreadyExists
        case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "ExpiredToken",
            "InvalidToken", "AllAccessDisabled", "AccountProblem":
            .accessDenied
        case "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "TooManyRequests",
            "RequestLimitExceeded",
            "Throttling", "OperationAborted", "ConditionalRequestConflict":
            .throttled
        case "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull", "InsufficientStorage",
            "EntityTooLargeForQuota", "StorageQuotaExceeded":
            .noSpace
        case "InvalidRange": .invalidRange
        case "RequestTimeout": .timedOut
        case "NotImplemented", "MethodNotAllowed", "XNotImplemented": .notSupported
        case "BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest": .corrupt
        case "InternalError": .serverError
        default: nil
        }
    }

    private static func code(status: Int) -> Code {
        switch status {
        case 300..<400: .wrongLocation
        case 401, 403: .accessDenied
        case 405, 501: .notSupported
        case 408: .timedOut
        case 412: .alreadyExists
        case 416: .invalidRange
        case 429, 503: .throttled
        case 507: .noSpace
        case 500...: .serverError
        default: .rejected
        }
    }

    /// A read has no effect that could arrive late.
    init(_ error: ClientError, isWrite: Bool) {
        let evidence = "\(error)"
        switch error {
        case .unresolved, .connect, .tls: self.init(.unreachable, mayArriveLate: false, evidence: evidence)
        case .timedOut: self.init(.timedOut, mayArriveLate: isWrite, evidence: evidence)
        case .reset, .malformed: self.init(.reset, mayArriveLate: isWrite, evidence: evidence)
        // An incomplete body is never stored: its declared length did not arrive.
        case .bodyFailed(let cause): self.init(.bodyFailed, mayArriveLate: false, evidence: evidence, bodyError: cause)
        case .cancelled: self.init(.cancelled, mayArriveLate: isWrite, evidence: evidence)
        }
    }
}
