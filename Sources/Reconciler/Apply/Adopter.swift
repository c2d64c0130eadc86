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
    /// It says nothing about itself that is ours.
    case notOurs
    /// The inventory has seen it in one round only.
    case seenOnce
    /// Its backend takes nothing back: it is not declared, or drained.
    case closed
    /// It is an orphan no more, or its backend has a copy of it.
    case notOrphan
    case unreadable(evidence: String)
    /// Its bytes are not those that they should be.
    case damaged(evidence: String)
    /// Copies of one version differ, and nothing says which is right: none is taken back.
    case conflict
    /// Nothing but itself vouches for its bytes, and these backends, which may have another copy, cannot be asked.
    case unproven(silent: [String])
}

/// Takes back objects that backends have and the catalog lost (DESIGN §6, Rewound catalog): each describes itself, is read in full, and
/// becomes a version again.
///
/// All copies of a version are read before one of them is believed: from a directory nothing but another copy, or what a repair wrote
/// beside its own, tells damaged bytes from good ones. Its ETag is the MD5 of the whole from then on, whatever it was, so that every later
/// read can be verified.
///
/// Nobody but an operator can know whether that is wanted: an object may have been deleted after the moment that the catalog went back
/// to. That is why nothing does this by itself.
package struct Adopter: Sendable {
    private let adoptions: any AdoptionLedger
    private let objects: any ObjectIndex
    private let context: TransferContext
    private let fleet: FleetSnapshot
    private let silent: [String]
    private let readGrace: Duration

    /// - Parameter silent: names of declared backends that cannot be asked now
    package init(
        adoptions: any AdoptionLedger, objects: any ObjectIndex, context: TransferContext, fleet: FleetSnapshot,
        silent: [String], readGrace: Duration
    ) {
        self.adoptions = adoptions
        self.objects = objects
        self.context = context
        self.fleet = fleet
        self.silent = silent
        self.readGrace = readGrace
    }

    /// An object as it describes itself.
    private struct Found {
        var orphan: Orphan
        var description: CopyMetadata.Description
        var object: ObjectName
        var stored: StoredObject
        var store: any ObjectStore
    }

    private struct Content: Hashable {
        var size: Int64
        var md5: String
    }

    /// - Parameters:
    ///   - orphans: all that are of one version, by their names
    ///   - changesNothing: only looks; bytes are not read
    /// - Returns: in the order of the orphans
    package func adopt(
        _ orphans: [Orphan], changesNothing: Bool
    ) async throws(CatalogError) -> [(Orphan, AdoptionResult)] {
        var results: [AdoptionResult?] = []
        var found: [(index: Int, found: Found)] = []
        for (index, orphan) in orphans.enumerated() {
            switch await examine(orphan) {
            case .success(let one):
                found.append((index, one))
                results.append(nil)
            case .failure(let failure): results.append(failure.result)
            }
        }
        if let first = found.first?.found {
            let known = try await adoptions.known(first.description.version)
            let current = changesNothing ? try await objects.current(first.object) : nil
            let decided: [AdoptionResult]
            if changesNothing {
                let isOlder = current.map { $0.version.id > first.description.version } ?? false
                decided = found.enumerated().map { place, one in
                    if known != nil { return Adopter.wouldAdd(one.found, current) }
                    return isOlder ? .outdated : place > 0 ? .copyAdded : .adopted
                }
            } else if let known {
                var added: [AdoptionResult] = []
                for one in found { added.append(try await addCopy(of: known, one.found)) }
                decided = added
            } else {
                decided = try await addVersion(found.map(\.found))
            }
            for (one, result) in zip(found, decided) { results[one.index] = result }
        }
        return zip(orphans, results).map { ($0, $1 ?? .notOurs) }
    }

    /// What would become of a copy of a version that the catalog has.
    private static func wouldAdd(_ found: Found, _ current: PlacedVersion?) -> AdoptionResult {
        guard let current, current.version.id == found.description.version else { return .outdated }
        let isHeld = current.copies.contains { $0.backend == found.orphan.backend && !$0.isSuspect }
        return isHeld ? .notOrphan : .copyAdded
    }

    private struct Failure: Error {
        var result: AdoptionResult
    }

    private func examine(_ orphan: Orphan) async -> Result<Found, Failure> {
        guard !orphan.isUpload, !orphan.isForeign, let backend = fleet.backend(orphan.backend),
            let parts = PhysicalName.parse(orphan.name, keyPrefix: backend.spec.keyPrefix)
        else { return .failure(Failure(result: .notOurs)) }
        guard orphan.sightings >= 2 else { return .failure(Failure(result: .seenOnce)) }
        guard let store = context.stores[orphan.backend] else {
            return .failure(Failure(result: .unreadable(evidence: "no connection is configured")))
        }
        let stored: StoredObject
        do throws(StoreError) {
            stored = try await store.head(orphan.name)
        } catch {
            return .failure(Failure(result: .unreadable(evidence: "\(error.code.rawValue) \(error.evidence)")))
        }
        guard let own = CopyMetadata.parse(stored.metadata), own.describes(parts) else {
            return .failure(Failure(result: .notOurs))
        }
        guard let bucket = fleet.bucket(own.bucket) else {
            return .failure(Failure(result: .noSuchBucket(own.bucket)))
        }
        if let size = own.size, size != stored.size {
            return .failure(
                Failure(result: .damaged(evidence: "\(stored.size) bytes, and \(size) by its own words")))
        }
        return .success(
            Found(
                orphan: orphan, description: own, object: ObjectName(bucket: bucket.id, key: own.key), stored: stored,
                store: store))
    }

    private func addCopy(of version: Version, _ found: Found) async throws(CatalogError) -> AdoptionResult {
        let copy = Copy(
            id: context.identifiers.makeCopyID(), version: version.id, backend: found.orphan.backend,
            physicalKey: found.orphan.name, state: .live)
        switch await CopyScrubber(context: context).verify(copy, of: version) {
        case .intact: break
        case .damaged(let evidence): return .damaged(evidence: evidence)
        case .unreadable(let error): return .unreadable(evidence: "\(error.code.rawValue) \(error.evidence)")
        }
        return try await record(found, Content(size: version.size, md5: version.digests.etag))
    }

    private func addVersion(_ all: [Found]) async throws(CatalogError) -> [AdoptionResult] {
        var results: [AdoptionResult?] = []
        var read: [(index: Int, found: Found, content: Content, isWitnessed: Bool)] = []
        for (index, found) in all.enumerated() {
            switch await content(found) {
            case .success(let (content, isWitnessed)):
                read.append((index, found, content, isWitnessed))
                results.append(nil)
            case .failure(let failure): results.append(failure.result)
            }
        }
        let contents = Set(read.map(\.content))
        let witnessed = Set(read.filter(\.isWitnessed).map(\.content))
        // What could not be read may be the one that is right.
        let isAlone = read.count == 1 && witnessed.isEmpty
        let unread = zip(all, results).compactMap { found, result -> String? in
            guard case .unreadable? = result else { return nil }
            return fleet.backend(found.orphan.backend)?.name
        }
        for one in read {
            if contents.count > 1, witnessed.count != 1 {
                results[one.index] = .conflict
            } else if contents.count > 1, witnessed.first != one.content {
                results[one.index] = .damaged(evidence: "other bytes than the copies that are vouched for")
            } else if isAlone, !(silent + unread).isEmpty {
                results[one.index] = .unproven(silent: (silent + unread).sorted())
            } else {
                results[one.index] = try await record(one.found, one.content)
            }
        }
        return results.map { $0 ?? .notOurs }
    }

    /// All of its bytes, and whether something beside them says that they are right: an MD5 that its backend or a repair took when it was
    /// stored.
    private func content(_ found: Found) async -> Result<(Content, isWitnessed: Bool), Failure> {
        func unreadable(_ evidence: String) -> Result<(Content, isWitnessed: Bool), Failure> {
            .failure(Failure(result: .unreadable(evidence: evidence)))
        }
        func damaged(_ evidence: String) -> Result<(Content, isWitnessed: Bool), Failure> {
            .failure(Failure(result: .damaged(evidence: evidence)))
        }
        let digest = Digest(.md5)
        var size: Int64 = 0
        do throws(StoreError) {
            let reading = try await found.store.get(found.orphan.name, range: nil)
            do throws(BodyError) {
                while let run = try await reading.body.next() {
                    unsafe run.withUnsafeBytes { unsafe digest.update($0) }
                    size += Int64(run.count)
                }
            } catch {
                return unreadable("\(error)")
            }
        } catch {
            return unreadable("\(error.code.rawValue) \(error.evidence)")
        }
        let md5 = Hex.encode(digest.finalize())
        guard size == found.stored.size else { return damaged("\(size) bytes instead of \(found.stored.size)") }
        let witnesses = [found.description.etag, found.stored.etag].compactMap { $0?.lowercased() }.filter(ETag.isMD5)
        if let other = witnesses.first(where: { $0 != md5 }) {
            return damaged("MD5 \(md5), and it was \(other) when it was stored")
        }
        return .success((Content(size: size, md5: md5), !witnesses.isEmpty))
    }

    private func record(_ found: Found, _ content: Content) async throws(CatalogError) -> AdoptionResult {
        let version = found.description.version
        let outcome = try await adoptions.adopt(
            Adoption(
                object: found.object, version: version, size: content.size, digests: ContentDigests(etag: content.md5),
                headers: found.description.headers, writtenAt: version.raw.milliseconds * 1000,
                copies: [
                    CopyCandidate(
                        id: context.identifiers.makeCopyID(), backend: found.orphan.backend,
                        physicalKey: found.orphan.name)
                ], readGrace: readGrace))
        switch outcome {
        case .adopted: return .adopted
        case .copiesAdded: return .copyAdded
        case .outdated: return .outdated
        case .differs: return .damaged(evidence: "other bytes than the catalog has of it")
        case .notOrphan:
            let backend = fleet.backend(found.orphan.backend)
            let isOpen = backend.map { $0.isDeclared && ($0.phase == .active || $0.phase == .draining) } ?? false
            return isOpen ? .notOrphan : .closed
        case .noSuchBucket: return .noSuchBucket(found.description.bucket)
        }
    }
}
