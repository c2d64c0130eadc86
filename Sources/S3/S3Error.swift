/// The error codes of the S3 API that Sluice answers with, with their statuses
/// (AWS, "Amazon S3 API Reference", Error responses).
package enum S3ErrorCode: String, Sendable, CaseIterable {
    case accessDenied = "AccessDenied"
    case authorizationHeaderMalformed = "AuthorizationHeaderMalformed"
    case authorizationQueryParametersError = "AuthorizationQueryParametersError"
    case badDigest = "BadDigest"
    case bucketAlreadyOwnedByYou = "BucketAlreadyOwnedByYou"
    case bucketNotEmpty = "BucketNotEmpty"
    case conditionalRequestConflict = "ConditionalRequestConflict"
    case entityTooLarge = "EntityTooLarge"
    case entityTooSmall = "EntityTooSmall"
    case incompleteBody = "IncompleteBody"
    case internalError = "InternalError"
    case invalidAccessKeyID = "InvalidAccessKeyId"
    case invalidArgument = "InvalidArgument"
    case invalidBucketName = "InvalidBucketName"
    case invalidDigest = "InvalidDigest"
    case invalidPart = "InvalidPart"
    case invalidPartOrder = "InvalidPartOrder"
    case invalidRange = "InvalidRange"
    case invalidRequest = "InvalidRequest"
    case invalidURI = "InvalidURI"
    case keyTooLong = "KeyTooLongError"
    case malformedTrailer = "MalformedTrailerError"
    case malformedXML = "MalformedXML"
    case metadataTooLarge = "MetadataTooLarge"
    case methodNotAllowed = "MethodNotAllowed"
    case missingContentLength = "MissingContentLength"
    case noSuchBucket = "NoSuchBucket"
    case noSuchKey = "NoSuchKey"
    case noSuchUpload = "NoSuchUpload"
    case notImplemented = "NotImplemented"
    case preconditionFailed = "PreconditionFailed"
    case requestTimeTooSkewed = "RequestTimeTooSkewed"
    case requestTimeout = "RequestTimeout"
    case serviceUnavailable = "ServiceUnavailable"
    case signatureDoesNotMatch = "SignatureDoesNotMatch"
    case slowDown = "SlowDown"
    case contentSHA256Mismatch = "XAmzContentSHA256Mismatch"

    package var status: Int {
        switch self {
        case .accessDenied, .invalidAccessKeyID, .requestTimeTooSkewed, .signatureDoesNotMatch: 403
        case .noSuchBucket, .noSuchKey, .noSuchUpload: 404
        case .methodNotAllowed: 405
        case .bucketAlreadyOwnedByYou, .bucketNotEmpty, .conditionalRequestConflict: 409
        case .missingContentLength: 411
        case .preconditionFailed: 412
        case .invalidRange: 416
        case .internalError: 500
        case .notImplemented: 501
        case .serviceUnavailable, .slowDown: 503
        case .authorizationHeaderMalformed, .authorizationQueryParametersError, .badDigest, .entityTooLarge,
            .entityTooSmall, .incompleteBody, .invalidArgument, .invalidBucketName, .invalidDigest, .invalidPart,
            .invalidPartOrder, .invalidRequest, .invalidURI, .keyTooLong, .malformedTrailer, .malformedXML,
            .metadataTooLarge,
            .requestTimeout, .contentSHA256Mismatch:
            400
        }
    }
}

/// An error as a client sees it.
package struct S3Error: Error, Sendable, Equatable {
    package var code: S3ErrorCode
    package var message: String
    /// More elements of the XML body, such as `Region`.
    package var details: [String: String]

    package init(_ code: S3ErrorCode, _ message: String, details: [String: String] = [:]) {
        self.code = code
        self.message = message
        self.details = details
    }

    /// The XML body.
    package func document(resource: String, requestID: String) -> String {
        var writer = XMLWriter()
        writer.element("Error") { writer in
            writer.text("Code", code.rawValue)
            writer.text("Message", message)
            for (name, value) in details.sorted(by: { $0.key < $1.key }) { writer.text(name, value) }
            writer.text("Resource", resource)
            writer.text("RequestId", requestID)
        }
        return writer.document
    }
}
