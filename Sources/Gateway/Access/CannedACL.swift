import S3

/// The canned ACLs that Sluice keeps: who besides the owner may read or write (AWS, "Access control list (ACL) overview").
///
/// Only buckets that clients made have them; a declared bucket's grants stand in its spec.
package enum CannedACL: String, Sendable, CaseIterable {
    case isPrivate = "private"
    case publicRead = "public-read"
    case publicReadWrite = "public-read-write"
    case authenticatedRead = "authenticated-read"
    case bucketOwnerRead = "bucket-owner-read"
    case bucketOwnerFullControl = "bucket-owner-full-control"

    package static let allUsers = "http://acs.amazonaws.com/groups/global/AllUsers"
    package static let authenticatedUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"

    /// One owner stands for all in Sluice, so that what is the bucket owner's is private.
    package var isOwnersOnly: Bool {
        switch self {
        case .isPrivate, .bucketOwnerRead, .bucketOwnerFullControl: true
        case .publicRead, .publicReadWrite, .authenticatedRead: false
        }
    }

    package func allowsRead(_ principal: Principal) -> Bool {
        switch self {
        case .publicRead, .publicReadWrite: true
        case .authenticatedRead: principal != .anonymous
        case .isPrivate, .bucketOwnerRead, .bucketOwnerFullControl: false
        }
    }

    package var allowsAnyoneToWrite: Bool { self == .publicReadWrite }

    /// The groups that it grants something, beside the owner.
    package var grants: [(group: String, permission: String)] {
        switch self {
        case .publicRead: [(CannedACL.allUsers, "READ")]
        case .publicReadWrite: [(CannedACL.allUsers, "READ"), (CannedACL.allUsers, "WRITE")]
        case .authenticatedRead: [(CannedACL.authenticatedUsers, "READ")]
        case .isPrivate, .bucketOwnerRead, .bucketOwnerFullControl: []
        }
    }

    /// The canned ACL that says the same as a list of grants; nil if none does.
    package init?(grants: [(group: String, permission: String)]) {
        let wanted = Set(grants.map { "\($0.group) \($0.permission)" })
        let found = CannedACL.allCases.first { acl in Set(acl.grants.map { "\($0.group) \($0.permission)" }) == wanted }
        guard let found else { return nil }
        self = found
    }
}
