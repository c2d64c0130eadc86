import HTTP
import S3
import Transport

extension StoreError {
    /// What an error answer means. 404 is `noSuchKey` only with that very code.
    init(_ status: Int, _ document: ResponseDocuments.ErrorDocument?, isWrite: Bool) {
        let evidence = "status \(status)" + (document.map { " \($0.code): \($0.message.prefix(200))" } ?? "")
        let code: Code =
            switch (status, document?.code) {
            case (_, "NoSuchKey"): .noSuchKey
            case (_, "NoSuchUpload"): .noSuchUpload
            case (_, "NoSuchBucket"), (_, "PermanentRedirect"), (_, "TemporaryRedirect"), (300..<400, _), (_, "AuthorizationHeaderMalformed"),
                (_, "IllegalLocationConstraintException"):
                .wrongLocation
            case (401, _), (403, _): .accessDenied
            case (_, "QuotaExceeded"), (_, "EntityTooLargeForQuota"), (507, _): .noSpace
            case (416, _): .invalidRange
            case (412, _): .alreadyExists
            case (408, _): .timedOut
            case (429, _), (503, _), (_, "SlowDown"): .throttled
            case (501, _), (405, _): .notSupported
            case (500..<600, _): .serverError
            default: .rejected
            }
        self.init(code, mayArriveLate: isWrite && (status >= 500 || status == 408), evidence: evidence)
    }

    init(_ error: ClientError) {
        let evidence = "\(error)"
        switch error {
        case .unresolved, .connect, .tls: self.init(.unreachable, mayArriveLate: false, evidence: evidence)
        case .timedOut: self.init(.timedOut, mayArriveLate: true, evidence: evidence)
        case .reset, .malformed: self.init(.reset, mayArriveLate: true, evidence: evidence)
        // An incomplete body is never stored: its declared length did not arrive.
        case .bodyFailed(let cause): self.init(.bodyFailed, mayArriveLate: false, evidence: evidence, bodyError: cause)
        case .cancelled: self.init(.cancelled, mayArriveLate: true, evidence: evidence)
        }
    }
}
