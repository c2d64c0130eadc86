import Catalog

/// Giving up a backend that is lost (`Migration008Abandon`).
extension CatalogTables {
    private func isSole(_ version: VersionID, on backend: BackendID) -> Bool {
        versions[version]?.isRetained == true
            && !copies(of: version).contains { row in
                row.copy.backend != backend && row.copy.state == .live && !row.copy.isSuspect
                    && backends[row.copy.backend]?.isAbandoned == false
            }
    }

    /// Versions that clients see and that have no other copy.
    func soleVersions(on backend: BackendID) -> Set<VersionID> {
        let live = copies.values.filter { $0.copy.backend == backend && $0.copy.state == .live }
        return Set(live.map(\.copy.version)).filter { isSole($0, on: backend) }
    }

    mutating func abandon(_ backend: BackendID, soleCopiesMax: Int64) throws(CatalogError) -> AbandonOutcome {
        guard safeguardRow.halt == nil, let record = backends[backend], record.phase == .draining, !record.isAbandoned
        else {
            return .notDraining
        }
        let sole = soleVersions(on: backend).count
        guard sole <= soleCopiesMax else { return .refused(soleCopies: Int64(sole)) }
        // Writes under way there end first: a commit that comes behind this has lost its copy.
        let open = copies.values.filter { $0.copy.backend == backend && $0.copy.state == .writing }.map(\.copy.id)
        if !ablations.contains(.abandonWithoutFence) {
            for copy in open.sorted() { try doom(copy, after: .zero, isLate: true) }
        }
        backends[backend]?.isAbandoned = true
        forgetInventory(backend)
        return .abandoned(soleCopies: Int64(sole))
    }

    mutating func endAbandoned(_ backend: BackendID, limit: Int) throws(CatalogError) -> Int {
        guard backends[backend]?.isAbandoned == true else { return 0 }
        let open = copies.values.filter { $0.copy.backend == backend && $0.copy.state != .gone }.map(\.copy)
        let ended = open.sorted { $0.id < $1.id }.prefix(limit)
        for copy in ended {
            if copy.state == .live, isSole(copy.version, on: backend), let row = versions[copy.version] {
                let isInDoubt = copies(of: copy.version).contains { other in
                    other.copy.backend != backend && other.copy.state == .live
                        && backends[other.copy.backend]?.isAbandoned == false
                }
                lostRows.append(
                    LostObject(
                        bucket: row.object.bucket, key: row.object.key, version: row.id, size: row.size,
                        etag: row.digests?.etag ?? "", backend: backend, isInDoubt: isInDoubt, lostAt: now))
                if !isInDoubt { endLost(row) }
            }
            if copy.state != .doomed { try step(copy.id, to: .doomed) }
            try step(copy.id, to: .gone)
            endUnwritten(copy.version)
        }
        return ended.count
    }

    private mutating func endLost(_ row: VersionRow) {
        let address = ObjectAddress(row.object)
        if objects[address]?.current == row.id {
            objects[address]?.current = nil
            objects[address]?.deletedAt = now
        }
        versions[row.id]?.supersededAt = now
    }
}
