/// An object that was found on backends and that no row names, with all that can be known of it.
package struct Adoption: Sendable, Equatable {
    package var object: ObjectName
    package var version: VersionID
    package var size: Int64
    package var digests: ContentDigests
    package var headers: ObjectHeaders
    /// Microseconds since 1970: what clients are to see as its time.
    package var writtenAt: Int64
    /// Each is an orphan now.
    package var copies: [CopyCandidate]
    /// For the copies of the version that it replaces.
    package var readGrace: Duration
    package init(
        object: ObjectName, version: VersionID, size: Int64, digests: ContentDigests, headers: ObjectHeaders,
        writtenAt: Int64, copies: [CopyCandidate], readGrace: Duration
    ) {
        self.object = object
        self.version = version
        self.size = size
        self.digests = digests
        self.headers = headers
        self.writtenAt = writtenAt
        self.copies = copies
        self.readGrace = readGrace
    }
}

package enum AdoptionOutcome: Sendable, Equatable {
    /// It is what clients read under its key now.
    case adopted(copies: Int)
    /// The catalog has the version; it lacked these copies.
    case copiesAdded(Int)
    /// The key has a newer version, or one that was acknowledged after this one had begun, or this one was replaced or deleted as far
    /// as the catalog knows.
    case outdated
    /// The catalog has the version with another size or ETag.
    case differs
    /// None of its copies is an orphan on a declared backend any more.
    case notOrphan
    case noSuchBucket
}

/// Takes back what a catalog that went back in time does not know (DESIGN §6, Rewound catalog); each call is one transaction.
package protocol AdoptionLedger: Sendable {
    /// A version that was committed as far as the catalog knows; nil: it knows nothing of it, or no more than that it was begun.
    func known(_ version: VersionID) async throws(CatalogError) -> Version?
    /// The object's orphans become live copies of a committed version, which becomes current unless its key has a newer one, or one
    /// that was acknowledged after it had begun. Ids of versions are ordered by their time, by the clocks of gateways.
    func adopt(_ adoption: Adoption) async throws(CatalogError) -> AdoptionOutcome
}
