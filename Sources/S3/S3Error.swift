/// The error codes of the S3 API that Sluice answers with, with their statuses
/// (AWS, "Amazon S3 API Reference", Error responses).
package enum S3ErrorCode: String, Sendable, CaseIterable {
    case accessControlListNotSupported = "AccessControlListNotSupported"
    case accessDenied = "AccessDenied"
    case accessForbidden = "AccessForbidden"
    case authorizationHeaderMalformed = "AuthorizationHeaderMalformed"
    case authorizationQueryParametersError = "AuthorizationQueryParametersError"
    case badDigest = "BadDigest"
    case badRequest = "BadRequest"
    case bucketAlreadyExists = "BucketAlreadyExists"
    case bucketAlreadyOwnedByYou = "BucketAlreadyOwnedByYou"
    case bucketNotEmpty = "BucketNotEmpty"
    case conditionalRequestConflict = "ConditionalRequestConflict"
    case entityTooLarge = "EntityTooLarge"
    case entityTooSmall = "EntityTooSmall"
    case illegalLocationConstraint = "IllegalLocationConstraintException"
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
    case invalidPolicyDocument = "InvalidPolicyDocument"
    case invalidStorageClass = "InvalidStorageClass"
    case invalidTag = "InvalidTag"
    case invalidURI = "InvalidURI"
    case keyTooLong = "KeyTooLongError"
    case malformedPOSTRequest = "MalformedPOSTRequest"
    case malformedTrailer = "MalformedTrailerError"
    case malformedXML = "MalformedXML"
    case maxPostPreDataLengthExceeded = "MaxPostPreDataLengthExceeded"
    case metadataTooLarge = "MetadataTooLarge"
    case methodNotAllowed = "MethodNotAllowed"
    case missingContentLength = "MissingContentLength"
    case missingSecurityHeader = "MissingSecurityHeader"
    case noSuchBucket = "NoSuchBucket"
    case noSuchBucketPolicy = "NoSuchBucketPolicy"
    case noSuchCORSConfiguration = "NoSuchCORSConfiguration"
    case noSuchEncryption = "ServerSideEncryptionConfigurationNotFoundError"
    case noSuchKey = "NoSuchKey"
    case noSuchLifecycleConfiguration = "NoSuchLifecycleConfiguration"
    case noSuchObjectLockConfiguration = "ObjectLockConfigurationNotFoundError"
    case noSuchPublicAccessBlock = "NoSuchPublicAccessBlockConfiguration"
    case noSuchReplicationConfiguration = "ReplicationConfigurationNotFoundError"
    case noSuchTagSet = "NoSuchTagSet"
    case noSuchUpload = "NoSuchUpload"
    case noSuchWebsiteConfiguration = "NoSuchWebsiteConfiguration"
    case notImplemented = "NotImplemented"
    case preconditionFailed = "PreconditionFailed"
    case requestTimeTooSkewed = "RequestTimeTooSkewed"
    case requestTimeout = "RequestTimeout"
    case serviceUnavailable = "ServiceUnavailable"
    case signatureDoesNotMatch = "SignatureDoesNotMatch"
    case slowDown = "SlowDown"
    case tooManyBuckets = "TooManyBuckets"
    case unexpectedContent = "UnexpectedContent"
    case unresolvableGrantByEmail = "UnresolvableGrantByEmailAddress"
    case contentSHA256Mismatch = "XAmzContentSHA256Mismatch"

    package var status: Int {
        switch self {
        case .accessDenied, .accessForbidden, .invalidAccessKeyID, .requestTimeTooSkewed, .signatureDoesNotMatch: 403
        case .noSuchBucket, .noSuchBucketPolicy, .noSuchCORSConfiguration, .noSuchEncryption, .noSuchKey,
            .noSuchLifecycleConfiguration, .noSuchObjectLockConfiguration, .noSuchPublicAccessBlock,
            .noSuchReplicationConfiguration, .noSuchTagSet, .noSuchUpload, .noSuchWebsiteConfiguration:
            404
        case .methodNotAllowed: 405
        case .bucketAlreadyExists, .bucketAlreadyOwnedByYou, .bucketNotEmpty, .conditionalRequestConflict: 409
        case .missingContentLength: 411
        case .preconditionFailed: 412
        case .invalidRange: 416
        case .internalError: 500
        case .notImplemented: 501
        case .serviceUnavailable, .slowDown: 503
        case .accessControlListNotSupported, .illegalLocationConstraint, .invalidPolicyDocument, .invalidStorageClass,
            .invalidTag,
            .malformedPOSTRequest, .maxPostPreDataLengthExceeded, .missingSecurityHeader, .tooManyBuckets,
            .unexpectedContent, .unresolvableGrantByEmail, .authorizationHeaderMalformed,
            .authorizationQueryParametersError, .badDigest, .badRequest, .entityTooLarge,
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
