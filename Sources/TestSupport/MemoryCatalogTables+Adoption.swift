package import Catalog

/// Objects that no row names become versions again (`Migration017Adoption`).
extension CatalogTables {
    mutating func adopt(_ adoption: Adoption) throws(CatalogError) -> AdoptionOutcome {
        guard let bucket = buckets[adoption.object.bucket], !isDeleted(bucket.id) else { return .noSuchBucket }
        let address = ObjectAddress(adoption.object)
        let current = objects[address]?.current
        let known = versions[adoption.version].flatMap { $0.committedAt == nil ? nil : $0 }
        if let known, !known.isRetained { return .outdated }
        if known == nil, let current, adoption.version < current { return .outdated }
        if known == nil, let there = current.flatMap({ versions[$0]?.committedAt }), there >= adoption.writtenAt {
            return .outdated
        }
        if known == nil, let deleted = objects[address]?.deletedAt, deleted > adoption.writtenAt { return .outdated }
        if let known, known.size != adoption.size || known.digests?.etag != adoption.digests.etag { return .differs }
        if known == nil, copies(of: adoption.version).contains(where: { $0.copy.state == .writing }) {
            return .notOrphan
        }
        let fits = adoption.copies.filter { one in
            let backend = backends[one.backend]
            let row = orphanRows.values.first {
                $0.orphan.backend == one.backend && $0.orphan.name.utf8.elementsEqual(one.physicalKey.utf8)
                    && !$0.orphan.isUpload
            }
            let isHeld = copies(of: adoption.version).contains {
                $0.copy.backend == one.backend && [.writing, .live].contains($0.copy.state) && !$0.copy.isSuspect
            }
            return backend?.isDeclared == true && [.active, .draining].contains(backend?.phase)
                && row.map { $0.orphan.sightings >= 2 && !$0.orphan.isForeign } ?? false
                && !isNamed(one.backend, Array(one.physicalKey.utf8)) && !isHeld
        }
        guard !fits.isEmpty else { return .notOrphan }
        for one in fits {
            orphanRows = orphanRows.filter { entry in
                entry.value.orphan.backend != one.backend || entry.value.orphan.isUpload
                    || !entry.value.orphan.name.utf8.elementsEqual(one.physicalKey.utf8)
            }
        }
        if known == nil {
            var object = objects[address] ?? ObjectRow(name: adoption.object)
            object.lastSequence = max(object.lastSequence + 1, now)
            object.deletedAt = nil
            object.current = adoption.version
            objects[address] = object
            var version = VersionRow(
                id: adoption.version, object: adoption.object, size: adoption.size, headers: adoption.headers,
                createdAt: adoption.writtenAt)
            version.committedAt = adoption.writtenAt
            version.sequence = object.lastSequence
            version.digests = adoption.digests
            versions[adoption.version] = version
            if let current { try supersede(current, adoption.readGrace) }
        }
        for one in fits {
            try insert(
                CopyRow(
                    copy: Copy(
                        id: one.id, version: adoption.version, backend: one.backend, physicalKey: one.physicalKey,
                        state: .live), bytes: adoption.size))
        }
        return known == nil ? .adopted(copies: fits.count) : .copiesAdded(fits.count)
    }
}

extension MemoryCatalog: AdoptionLedger {
    package func known(_ version: VersionID) async throws(CatalogError) -> Version? {
        try run(.adopt) { (tables) throws(CatalogError) in
            tables.versions[version].flatMap { $0.committedAt == nil ? nil : tables.version($0) }
        }
    }
    package func adopt(_ adoption: Adoption) async throws(CatalogError) -> AdoptionOutcome {
        try run(.adopt) { (tables) throws(CatalogError) in try tables.adopt(adoption) }
    }
}
