/// Every bound of the gateway, by name and unit. AWS's own figures where S3 has one.
package enum GatewayLimits {
    /// UTF-8 bytes of a key (AWS, "Object key naming guidelines").
    package static let keyBytesMax = 1024
    /// A single PUT or part: 5 GiB.
    package static let objectBytesMax: Int64 = 5 * 1024 * 1024 * 1024
    /// Each part but the last: 5 MiB.
    package static let partBytesMin: Int64 = 5 * 1024 * 1024
    package static let partNumberMax = 10_000
    /// Of one access key, where clients may make buckets.
    package static let bucketsPerOwnerMax = 1000
    package static let bucketsPerPageMax = 10_000
    /// The fields of a POST form, without the file (AWS, "POST Object").
    package static let formFieldsBytesMax = 20 * 1024
    /// Forms up to this size are held in memory, so that fields may follow the file.
    package static let formBytesHeldMax = 1024 * 1024
    /// A body in HTTP's own chunked coding has no length, which backends need: it is held in memory up to this size.
    package static let unannouncedBytesMax = 1024 * 1024
    /// Names and values of user metadata together.
    package static let userMetadataBytesMax = 2048
    /// XML bodies: DeleteObjects with 1,000 long keys, CompleteMultipartUpload with 10,000 parts.
    package static let documentBytesMax = 2 * 1024 * 1024
    package static let listingKeysMax = 1000
    /// How often a read looks up the placement again when the copies it knew are gone.
    package static let readAttemptsMax = 3
    /// Complete and Copy answer 200 early after this, and then send white space, so that clients do not time out.
    package static let earlyAnswerAfter: Duration = .seconds(5)
    /// What `Retry-After` says with a 503.
    package static let retryAfterSeconds = 5
    /// This many suspect copies on one backend within the window mean a wrong bucket or an empty disk, not damage
    /// (DESIGN §6, Read).
    package static let suspectsMax = 20
    package static let suspectsWindow: Duration = .seconds(600)
}
