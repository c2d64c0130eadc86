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

    mutating func abandon(_ backend: BackendID, soleCopiesMax: Int64) -> AbandonOutcome {
        guard let record = backends[backend], record.phase == .draining, !record.isAbandoned else {
            return .notDraining
        }
        let sole = copies.values.count { row in
            row.copy.backend == backend && row.copy.state == .live && isSole(row.copy.version, on: backend)
        }
        guard sole <= soleCopiesMax else { return .refused(soleCopies: Int64(sole)) }
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
