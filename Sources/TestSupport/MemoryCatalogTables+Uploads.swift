package import Catalog
import Spec

/// Multipart uploads (`Migration003Movement`).
extension CatalogTables {
    package mutating func createUpload(_ intent: UploadIntent) throws(CatalogError) -> IntentOutcome {
        guard uploads[intent.id] == nil else { throw .internalError(evidence: "23505 upload \(intent.id)") }
        let outcome = try intend(intent.write, upload: intent.id)
        guard !outcome.admitted.isEmpty else { return outcome }
        uploads[intent.id] = UploadRow(
            id: intent.id, object: intent.write.object, version: intent.write.version, token: intent.write.token,
            state: .creating,
            checksumAlgorithm: intent.checksumAlgorithm, checksumType: intent.checksumType, createdAt: now,
            changedAt: now)
        return outcome
    }

    mutating func change(_ id: UploadID, to state: Upload.State) {
        uploads[id]?.state = state
        uploads[id]?.changedAt = now
    }

    private func writing(_ id: UploadID) -> [CopyRow] {
        guard let version = uploads[id]?.version else { return [] }
        return copies(of: version).filter { $0.upload == id && $0.copy.state == .writing }
    }

    /// Dooms the writing copies that no longer take part.
    private mutating func drop(_ id: UploadID, keeping: Set<CopyID>) throws(CatalogError) {
        for row in writing(id) where !keeping.contains(row.copy.id) {
            try doom(row.copy.id, after: .zero, isLate: true)
        }
    }

    package mutating func openUpload(_ id: UploadID, _ backendUploadIDs: [CopyID: String]) throws(CatalogError) -> Bool
    {
        guard uploads[id]?.state == .creating else { return false }
        change(id, to: .open)
        for row in writing(id) {
            if let own = backendUploadIDs[row.copy.id] { copies[row.copy.id]?.backendUploadID = own }
        }
        try drop(id, keeping: Set(backendUploadIDs.keys))
        return !writing(id).isEmpty
    }

    package func find(_ id: UploadID, _ object: ObjectName) -> Upload? {
        guard let row = uploads[id], ObjectAddress(row.object) == ObjectAddress(object) else { return nil }
        return upload(row)
    }

    private func upload(_ row: UploadRow) -> Upload {
        let taking = copies(of: row.version).filter { one in
            one.upload == row.id && (one.copy.state == .writing || one.copy.state == .live)
        }
        return Upload(
            id: row.id, object: row.object, version: row.version, token: row.token, state: row.state,
            headers: versions[row.version]?.headers ?? ObjectHeaders(), checksumAlgorithm: row.checksumAlgorithm,
            checksumType: row.checksumType,
            copies: taking.sorted { $0.copy.backend < $1.copy.backend }.map { one in
                UploadCopy(
                    copy: one.copy.id, backend: one.copy.backend, physicalKey: one.copy.physicalKey,
                    backendUploadID: one.backendUploadID)
            }, createdAt: row.createdAt)
    }

    package mutating func reserve(_ bytes: Int64, for id: UploadID, keeping: Int) throws(CatalogError)
        -> PartReservation
    {
        guard let row = uploads[id], row.state == .open else { return .noSuchUpload }
        let all = writing(id)
        let full = all.filter { one in
            guard bytes > 0, let quota = backends[one.copy.backend]?.spec.quota else { return false }
            return (usage[one.copy.backend]?.occupied.value ?? 0) + bytes > quota.value
        }.map(\.copy.id)
        guard full.isEmpty || all.count - full.count >= max(1, keeping) else { return .overQuota }
        try drop(id, keeping: Set(all.map(\.copy.id)).subtracting(full))
        for one in writing(id) { try step(one.copy.id, to: .writing, bytes: max(0, one.bytes + bytes)) }
        return .reserved(dropped: Set(full))
    }

    package mutating func record(
        _ part: UploadPart, of id: UploadID, reserved: Int64
    ) throws(CatalogError) -> Bool {
        guard let row = uploads[id], row.state == .open else { return false }
        // A part that only backends took which are out already counts for nothing, and must not cost the others.
        guard writing(id).contains(where: { part.backendETags[$0.copy.id] != nil }) else { return false }
        let growth = part.size - (row.parts[part.number]?.size ?? 0)
        var part = part
        part.modifiedAt = now
        uploads[id]?.parts[part.number] = part
        try drop(id, keeping: Set(part.backendETags.keys))
        for one in writing(id) { try step(one.copy.id, to: .writing, bytes: max(0, one.bytes + growth - reserved)) }
        return true
    }

    package func parts(_ id: UploadID, after: Int, limit: Int) -> [UploadPart] {
        let parts = (uploads[id]?.parts ?? [:]).values.filter { $0.number > after }
        return Array(parts.sorted { $0.number < $1.number }.prefix(limit))
    }

    package mutating func beginComplete(_ id: UploadID, _ object: ObjectName, _ chosen: [ChosenPart])
        -> BeginCompleteOutcome
    {
        guard let row = uploads[id], ObjectAddress(row.object) == ObjectAddress(object) else { return .noSuchUpload }
        switch row.state {
        case .creating, .aborted: return .noSuchUpload
        case .completed where ablations.contains(.forgottenResults): return .noSuchUpload
        case .completed: return versions[row.version].map { .alreadyCompleted(version($0)) } ?? .noSuchUpload
        case .open, .completing: break
        }
        let wrong = chosen.filter { row.parts[$0.number]?.etag != $0.etag }.map(\.number).min()
        if let wrong { return .invalidPart(number: wrong) }
        // Once the backends may have completed with one list, another list is another object.
        if row.state == .completing, row.chosen.map(\.number) != chosen.map(\.number) { return .noSuchUpload }
        uploads[id]?.chosen = chosen
        change(id, to: .completing)
        let numbers = Set(chosen.map(\.number))
        let parts = row.parts.values.filter { numbers.contains($0.number) }.sorted { $0.number < $1.number }
        return find(id, object).map { .proceed($0, parts) } ?? .noSuchUpload
    }

    package mutating func abort(_ id: UploadID, _ object: ObjectName) throws(CatalogError) -> Bool {
        guard let row = uploads[id], ObjectAddress(row.object) == ObjectAddress(object) else { return false }
        switch row.state {
        case .creating, .open, .completing: break
        case .completed, .aborted: return false
        }
        change(id, to: .aborted)
        try drop(id, keeping: [])
        endUnwritten(row.version)
        return true
    }

    package mutating func abortStaleUploads(drainGrace: Duration, maxAge: Duration, limit: Int) throws(CatalogError)
        -> Int
    {
        let (drainLimit, ageLimit) = (now - drainGrace.microseconds, now - maxAge.microseconds)
        let stale = uploads.values.filter { row in
            switch row.state {
            case .creating, .open, .completing: break
            case .completed, .aborted: return false
            }
            // A Complete that has begun is given the grace of its own.
            let mayEnd = { (limit: Int64) in row.state != .completing || row.changedAt <= limit }
            if row.createdAt <= ageLimit, mayEnd(ageLimit) { return true }
            return mayEnd(drainLimit)
                && writing(row.id).contains { one in
                    guard let drain = drainRows[one.copy.backend] else { return false }
                    return backends[one.copy.backend]?.phase == .draining && drain.startedAt <= drainLimit
                }
        }
        var aborted = 0
        for row in stale.sorted(by: { $0.id < $1.id }).prefix(limit) where try abort(row.id, row.object) {
            aborted += 1
        }
        return aborted
    }

    package func list(_ query: UploadQuery) -> [Upload] {
        let open = uploads.values.filter { row in
            guard row.object.bucket == query.bucket, row.state == .open || row.state == .completing,
                row.object.key.utf8.starts(with: query.prefix.utf8)
            else { return false }
            guard let marker = query.afterKey else { return true }
            let (key, after) = (Array(row.object.key.utf8), Array(marker.utf8))
            if key == after { return query.afterID.map { $0 < row.id } ?? false }
            return after.lexicographicallyPrecedes(key)
        }
        let ordered = open.sorted { a, b in
            let (x, y) = (ObjectAddress(a.object), ObjectAddress(b.object))
            return x == y ? a.id < b.id : x < y
        }
        return ordered.prefix(query.limit).map(upload)
    }
}
