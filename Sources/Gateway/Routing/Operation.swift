/// An object's address, as one parse of the target gave it: what is authorised is what is executed.
package struct ObjectAddress: Sendable, Equatable {
    package let bucket: String
    package let key: String
    package init(bucket: String, key: String) {
        self.bucket = bucket
        self.key = key
    }
}

package enum BucketOperation: String, Sendable, CaseIterable {
    case create = "CreateBucket"
    case delete = "DeleteBucket"
    case head = "HeadBucket"
    case location = "GetBucketLocation"
    case versioning = "GetBucketVersioning"
    case listV1 = "ListObjects"
    case listV2 = "ListObjectsV2"
    case listVersions = "ListObjectVersions"
    case listUploads = "ListMultipartUploads"
    case deleteObjects = "DeleteObjects"
    case postObject = "PostObject"
    case getACL = "GetBucketAcl"
    case putACL = "PutBucketAcl"
    case getCORS = "GetBucketCors"
    case putCORS = "PutBucketCors"
    case deleteCORS = "DeleteBucketCors"
    case getTagging = "GetBucketTagging"
    case putTagging = "PutBucketTagging"
    case deleteTagging = "DeleteBucketTagging"
    case getAccelerate = "GetBucketAccelerateConfiguration"
    case getEncryption = "GetBucketEncryption"
    case getLifecycle = "GetBucketLifecycleConfiguration"
    case getLogging = "GetBucketLogging"
    case getNotification = "GetBucketNotificationConfiguration"
    case getObjectLock = "GetObjectLockConfiguration"
    case getOwnershipControls = "GetBucketOwnershipControls"
    case getPolicy = "GetBucketPolicy"
    case getPolicyStatus = "GetBucketPolicyStatus"
    case getPublicAccessBlock = "GetPublicAccessBlock"
    case putPublicAccessBlock = "PutPublicAccessBlock"
    case deletePublicAccessBlock = "DeletePublicAccessBlock"
    case getReplication = "GetBucketReplication"
    case getRequestPayment = "GetBucketRequestPayment"
    case getWebsite = "GetBucketWebsite"
}

package enum ObjectOperation: Sendable, Equatable {
    case get(part: Int?)
    case head(part: Int?)
    case put
    case copy
    case delete
    case attributes
    case getTagging
    case putTagging
    case deleteTagging
    case getACL
    case putACL
    case createUpload
    case uploadPart(upload: String, number: Int)
    case uploadPartCopy(upload: String, number: Int)
    case completeUpload(upload: String)
    case abortUpload(upload: String)
    case listParts(upload: String)

    package var name: String {
        switch self {
        case .get: "GetObject"
        case .head: "HeadObject"
        case .put: "PutObject"
        case .copy: "CopyObject"
        case .delete: "DeleteObject"
        case .attributes: "GetObjectAttributes"
        case .getTagging: "GetObjectTagging"
        case .putTagging: "PutObjectTagging"
        case .deleteTagging: "DeleteObjectTagging"
        case .getACL: "GetObjectAcl"
        case .putACL: "PutObjectAcl"
        case .createUpload: "CreateMultipartUpload"
        case .uploadPart: "UploadPart"
        case .uploadPartCopy: "UploadPartCopy"
        case .completeUpload: "CompleteMultipartUpload"
        case .abortUpload: "AbortMultipartUpload"
        case .listParts: "ListParts"
        }
    }

    package var need: Need {
        switch self {
        case .get, .head, .attributes: .read
        // Not for everybody who may read: these are about the object, not of it.
        case .getTagging, .getACL, .listParts: .inspect
        case .putACL: .own
        case .put, .copy, .delete, .putTagging, .deleteTagging, .createUpload, .uploadPart, .uploadPartCopy,
            .completeUpload,
            .abortUpload:
            .write
        }
    }
}

/// Everything that Sluice does for an S3 client. What is not here is answered with 501, never with something similar.
package enum Operation: Sendable, Equatable {
    case listBuckets
    case bucket(String, BucketOperation)
    case object(ObjectAddress, ObjectOperation)

    /// AWS's name, for logs and metrics.
    package var name: String {
        switch self {
        case .listBuckets: "ListBuckets"
        case .bucket(_, let operation): operation.rawValue
        case .object(_, let operation): operation.name
        }
    }

    package var bucketName: String? {
        switch self {
        case .listBuckets: nil
        case .bucket(let name, _): name
        case .object(let address, _): address.bucket
        }
    }
}
