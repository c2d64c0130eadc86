package import Catalog
import Crypto
import HTTP
import S3
import Spec
package import Transfer

/// What became of an orphan that was to be taken back.
package enum AdoptionResult: Sendable, Equatable {
    /// Its key has it now; or it would, where nothing may be changed.
    case adopted
    /// The catalog has its version; this is one more copy.
    case copyAdded
    /// Its key has a newer version, or was deleted since.
    case outdated
    /// The bucket is not declared.
    case noSuchBucket(String)
    /// It says nothing about itself that is ours, was seen just once, or is an orphan no more.
    case notOurs
    case unreadable(evidence: String)
    /// Its bytes are not those that they should be.
    case damaged(evidence: String)
}

/// Takes back objects that backends have and the catalog lost (DESIGN §6, Rewound catalog): each describes itself, is read in full, and
/// becomes a version again.
///
/// Nobody but an operator can know whether that is wanted: an object may have been deleted after the moment that the catalog went back
/// to. That is why nothing does this by itself.
package struct Adopter: Sendable {
    private let adoptions: any AdoptionLedger
    private let objects: any ObjectIndex
    private let context: TransferContext
    private let fleet: FleetSnapshot
    private let readGrace: Duration

    package init(
        adoptions: any AdoptionLedger, objects: any ObjectIndex, context: TransferContext, fleet: FleetSnapshot,
        readGrace: Duration
    ) {
        self.adoptions = adoptions
        self.objects = objects
        self.context = context
        self.fleet = fleet
        self.readGrace = readGrace
    }

    /// An object as it describes itself.
    private struct Found {
        var description: CopyMetadata.Description
        var object: ObjectName
        var stored: StoredObject
        var store: any ObjectStore
    }

    /// - Parameter changesNothing: only looks; bytes are not read
    package func adopt(_ orphan: Orphan, changesNothing: Bool) async throws(CatalogError) -> AdoptionResult {
        guard !orphan.isUpload, !orphan.isForeign, orphan.sightings >= 2,
            let backend = fleet.backend(orphan.backend), let store = context.stores[orphan.backend],
            let parts = PhysicalName.parse(orphan.name, keyPrefix: backend.spec.keyPrefix)
        else { return .notOurs }
        let stored: StoredObject
        do throws(StoreError) {
            stored = try await store.head(orphan.name)
        } catch {
            return .unreadable(evidence: "\(error.code.rawValue) \(error.evidence)")
        }
        guard let own = CopyMetadata.parse(stored.metadata), own.describes(parts) else { return .notOurs }
        guard let bucket = fleet.bucket(own.bucket) else { return .noSuchBucket(own.bucket) }
        if let size = own.size, size != stored.size {
            return .damaged(evidence: "\(stored.size) bytes, and \(size) by its own words")
        }
        let found = Found(
            description: own, object: ObjectName(bucket: bucket.id, key: own.key), stored: stored, store: store)
        let known = try await adoptions.known(own.version)
        if changesNothing {
            if known != nil { return .copyAdded }
            let current = try await objects.current(found.object)
            return current.map { $0.version.id > own.version } ?? false ? .outdated : .adopted
        }
        if let known { return try await addCopy(of: known, orphan, found) }
        return try await addVersion(orphan, found)
    }

    private func addCopy(
        of version: Version, _ orphan: Orphan, _ found: Found
    ) async throws(CatalogError) -> AdoptionResult {
        let copy = Copy(
            id: context.identifiers.makeCopyID(), version: version.id, backend: orphan.backend,
            physicalKey: orphan.name, state: .live)
        switch await CopyScrubber(context: context).verify(copy, of: version) {
        case .intact: break
        case .damaged(let evidence): return .damaged(evidence: evidence)
        case .unreadable(let error): return .unreadable(evidence: "\(error.code.rawValue) \(error.evidence)")
        }
        return try await record(orphan, found, size: version.size, etag: version.digests.etag)
    }

    private func addVersion(_ orphan: Orphan, _ found: Found) async throws(CatalogError) -> AdoptionResult {
        let digest = Digest(.md5)
        var size: Int64 = 0
        do throws(StoreError) {
            let reading = try await found.store.get(orphan.name, range: nil)
            do throws(BodyError) {
                while let run = try await reading.body.next() {
                    unsafe run.withUnsafeBytes { unsafe digest.update($0) }
                    size += Int64(run.count)
                }
            } catch {
                return .unreadable(evidence: "\(error)")
            }
        } catch {
            return .unreadable(evidence: "\(error.code.rawValue) \(error.evidence)")
        }
        let md5 = Hex.encode(digest.finalize())
        guard size == found.stored.size else {
            return .damaged(evidence: "\(size) bytes instead of \(found.stored.size)")
        }
        if let own = found.description.etag, ETag.isMD5(own), own != md5 {
            return .damaged(evidence: "MD5 \(md5), and \(own) by its own words")
        }
        if found.description.etag == nil, ETag.isMD5(found.stored.etag), found.stored.etag.lowercased() != md5 {
            return .damaged(evidence: "MD5 \(md5), and its backend has \(found.stored.etag)")
        }
        return try await record(orphan, found, size: size, etag: etag(found, md5))
    }

    /// As clients saw it where that can be known: an upload in parts has the ETag that an S3 service made of the same parts.
    private func etag(_ found: Found, _ md5: String) -> String {
        if let own = found.description.etag { return own }
        let halves = found.stored.etag.lowercased().split(separator: "-", omittingEmptySubsequences: false)
        let isOfParts = halves.count == 2 && ETag.isMD5(String(halves[0])) && Int(halves[1]) != nil
        return found.description.size == nil && isOfParts ? found.stored.etag.lowercased() : md5
    }

    private func record(
        _ orphan: Orphan, _ found: Found, size: Int64, etag: String
    ) async throws(CatalogError) -> AdoptionResult {
        let version = found.description.version
        let outcome = try await adoptions.adopt(
            Adoption(
                object: found.object, version: version, size: size, digests: ContentDigests(etag: etag),
                headers: found.description.headers, writtenAt: version.raw.milliseconds * 1000,
                copies: [
                    CopyCandidate(
                        id: context.identifiers.makeCopyID(), backend: orphan.backend, physicalKey: orphan.name)
                ], readGrace: readGrace))
        switch outcome {
        case .adopted: return .adopted
        case .copiesAdded: return .copyAdded
        case .outdated: return .outdated
        case .notOrphan: return .notOurs
        case .noSuchBucket: return .noSuchBucket(found.description.bucket)
        }
    }
}
