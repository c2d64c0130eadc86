/// Query names that make another operation of a request (AWS, "Amazon S3 API Reference", all operations of 2025).
/// One that the route did not consume is refused, so that `PUT /bucket/key?acl` never stores its document as the object.
package enum SubResource {
    package static let names: Set<String> = [
        "abac", "accelerate", "acl", "analytics", "append", "attributes", "cors", "delete", "encryption",
        "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "location", "logging", "metadataConfiguration",
        "metadataInventoryTable", "metadataJournalTable", "metadataTable", "metrics", "notification", "object-lock",
        "ownershipControls", "partNumber", "policy", "policyStatus", "publicAccessBlock", "renameObject", "replication",
        "requestPayment", "restore", "retention", "select", "select-type", "session", "tagging", "torrent", "uploadId",
        "uploads", "versionId", "versioning", "versions", "website",
    ]

    /// Overrides of a GET's headers, and the header each sets.
    package static let responseOverrides: [(parameter: String, header: String)] = [
        ("response-cache-control", "Cache-Control"),
        ("response-content-disposition", "Content-Disposition"),
        ("response-content-encoding", "Content-Encoding"),
        ("response-content-language", "Content-Language"),
        ("response-content-type", "Content-Type"),
        ("response-expires", "Expires"),
    ]

    /// Names that say nothing about the operation: signatures, hoisted headers, and the label that SDKs add.
    package static func isNeutral(_ name: String) -> Bool {
        name == "x-id" || name.lowercased().hasPrefix("x-amz-")
    }
}
