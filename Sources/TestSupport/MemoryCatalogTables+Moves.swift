package import Catalog

/// Claims, copies, dooms and deletions (`Migration003Movement`).
extension CatalogTables {
    package mutating func claim(
        _ scope: MoveScope, limit: Int, token: LeaseToken, lease: Duration
    ) -> [ClaimedVersion] {
        // Fresh versions first, then those that were put off, the longest due first.
        let wanted = wanted(scope)
        let again = wanted.filter { id in work[id].map(isDue) ?? false }
        let ordered =
            wanted.filter { work[$0] == nil }
            + again.sorted { a, b in (work[a]?.notBefore ?? 0, a) < (work[b]?.notBefore ?? 0, b) }
        return ordered.prefix(limit).compactMap { id in
            var row = work[id] ?? WorkRow(leaseUntil: now, notBefore: now)
            row.token = token
            row.leaseUntil = now + lease.microseconds
            work[id] = row
            guard let placed = placed(id, states: [.writing, .live]) else { return nil }
            return ClaimedVersion(
                placed: placed, bucketName: buckets[placed.version.object.bucket]?.name ?? "", attempts: row.attempts)
        }
    }

    private func wanted(_ scope: MoveScope) -> [VersionID] {
        switch scope {
        case .leaving(let backend):
            let there = copies.values.filter { $0.copy.backend == backend && $0.copy.state == .live }
            return Set(there.map(\.copy.version)).filter { versions[$0]?.committedAt != nil }.sorted()
        case .short(let bucket, let factor, let staying):
            return current(in: bucket).filter { version in
                held(version, on: staying).count < factor
                    || copies(of: version).contains {
                        $0.copy.state == .live && $0.copy.isSuspect && staying.contains($0.copy.backend)
                    }
            }
        case .movable(let from, let to, let sizeMax): return movable(from, to, sizeMax)
        case .surplus(let bucket, let factor, let staying):
            let delay = (revisions.last?.trimDelay ?? .zero).microseconds
            return current(in: bucket).filter { version in
                let held = held(version, on: staying)
                let since = held.map { max($0.since, presentSince($0.copy.backend)) } + [factors[bucket]?.since ?? 0]
                return held.count > factor && now - delay >= since.max() ?? 0
            }
        }
    }

    private func current(in bucket: BucketID) -> [VersionID] {
        objects.filter { $0.key.bucket == bucket }.sorted { $0.key < $1.key }.compactMap { $0.value.current }
    }

    private func held(_ version: VersionID, on staying: [BackendID]) -> [CopyRow] {
        copies(of: version).filter { $0.copy.state == .live && !$0.copy.isSuspect && staying.contains($0.copy.backend) }
    }

    /// A copy that comes back with its disk is surplus from then on, and not from when it was made.
    private func presentSince(_ backend: BackendID) -> Int64 {
        let identified = conditionRows.first {
            $0.subject == Subject(.backend, backends[backend]?.name ?? "") && $0.type == .identified
                && $0.status == .yes
        }
        return max(phaseSince[backend] ?? 0, identified?.lastTransitionAt ?? 0)
    }

    private func isDue(_ row: WorkRow) -> Bool {
        row.leaseUntil < now && (row.notBefore <= now || row.releasedAt < fleetChangedAt)
    }

    private var fleetChangedAt: Int64 {
        let identified = conditionRows.filter { $0.type == .identified && $0.status == .yes }
        return (phaseSince.values + identified.map(\.lastTransitionAt) + [revisions.last?.acceptedAt ?? 0]).max() ?? 0
    }

    package mutating func release(_ version: VersionID, token: LeaseToken, _ end: WorkEnd) {
        guard var row = work[version], row.token == token else { return }
        let pause: Duration
        switch end {
        case .finished:
            // Without a row it stands among the fresh ones again, if it is still in a scope.
            work[version] = nil
            return
        case .waiting(let time, let reason):
            pause = time
            row.lastError = reason
        case .failed(let time, let evidence):
            pause = time
            row.lastError = evidence
            row.attempts += 1
        }
        row.token = nil
        row.leaseUntil = Int64.min
        row.releasedAt = now
        row.notBefore = now + pause.microseconds
        work[version] = row
    }

    package mutating func renewClaims(_ token: LeaseToken, lease: Duration) -> Bool {
        let held = work.filter { $0.value.token == token && $0.value.leaseUntil >= now }.map(\.key)
        for version in held { work[version]?.leaseUntil = now + lease.microseconds }
        return !held.isEmpty
    }

    package mutating func intendCopy(
        _ candidate: CopyCandidate, of version: VersionID, token: LeaseToken, lease: Duration
    ) throws(CatalogError) -> CopyIntentOutcome {
        guard let row = versions[version], row.isRetained else { return .notRetained }
        if let why = refusal(candidate.backend, version, row.size) { return .refused(why) }
        try insert(
            CopyRow(
                copy: Copy(
                    id: candidate.id, version: version, backend: candidate.backend, physicalKey: candidate.physicalKey,
                    state: .writing),
                bytes: row.size, token: token, leaseUntil: now + lease.microseconds))
        return .admitted
    }

    package mutating func commitCopy(
        _ copy: UploadedCopy, of version: VersionID, token: LeaseToken
    ) throws(CatalogError) -> CopyCommitOutcome {
        guard let row = copies[copy.id], row.copy.version == version else { return .superseded }
        switch row.copy.state {
        case .doomed, .gone:
            guard ablations.contains(.commitWithoutFence), versions[version]?.isRetained == true else {
                return .superseded
            }
        case .live: return .live
        case .writing:
            guard versions[version]?.isRetained == true, row.token == token else {
                try doom(copy.id, after: .zero, isLate: false)
                return .superseded
            }
        }
        try step(copy.id, to: .live)
        copies[copy.id]?.copy.providerVersion = copy.providerVersion
        copies[copy.id]?.moveParts = [:]
        return .live
    }

    mutating func record(upload: String, of copy: CopyID, token: LeaseToken) -> Bool {
        guard let row = copies[copy], row.copy.state == .writing, row.token == token else { return false }
        copies[copy]?.backendUploadID = upload
        return true
    }

    mutating func record(_ part: MovedPart, of copy: CopyID, token: LeaseToken) -> Bool {
        guard let row = copies[copy], row.copy.state == .writing, row.token == token else { return false }
        copies[copy]?.moveParts[part.number] = part
        return true
    }

    /// Of buckets that are not declared any more an old one is kept; the fleet's holds for them. Fleets made from a picture have none.
    private func declaredFactor(_ bucket: BucketID) -> Int? {
        buckets[bucket]?.isServed == true ? factors[bucket]?.factor : nil
    }

    private func isResumable(_ row: CopyRow) -> Bool {
        guard let backend = backends[row.copy.backend], let until = row.leaseUntil else { return false }
        let version = row.copy.version
        let isLeaving = copies(of: version).contains {
            $0.copy.state == .live && backends[$0.copy.backend]?.phase == .draining
        }
        let factor = versions[version].flatMap { declaredFactor($0.object.bucket) } ?? .max
        guard isLeaving || heldSoundly(version) < factor else { return false }
        return row.backendUploadID != nil && row.upload == nil
            && until > now - Duration.seconds(isLeaving ? 86_400 : 900).microseconds && backend.phase == .active
            && backend.isDeclared && versions[version]?.isRetained == true
    }

    /// Copies that are where they are wanted and can be read, as was found last.
    private func heldSoundly(_ version: VersionID) -> Int {
        copies(of: version).count { row in
            guard let backend = backends[row.copy.backend] else { return false }
            let isAway = conditionRows.contains {
                $0.subject == Subject(.backend, backend.name) && $0.type == .identified && $0.status != .yes
            }
            return row.copy.state == .live && !row.copy.isSuspect && backend.phase == .active && backend.isDeclared
                && !isAway
        }
    }

    mutating func resumeCopy(of version: VersionID, token: LeaseToken, lease: Duration) -> MoveProgress? {
        let found = copies(of: version).first { row in
            row.copy.state == .writing && (row.leaseUntil ?? 0) < now && isResumable(row)
        }
        guard let found, let upload = found.backendUploadID else { return nil }
        copies[found.copy.id]?.token = token
        copies[found.copy.id]?.leaseUntil = now + lease.microseconds
        return MoveProgress(
            candidate: CopyCandidate(
                id: found.copy.id, backend: found.copy.backend, physicalKey: found.copy.physicalKey),
            uploadID: upload, parts: found.moveParts.values.sorted { $0.number < $1.number })
    }

    package mutating func doom(_ request: DoomRequest) throws(CatalogError) -> DoomOutcome {
        guard safeguardRow.halt == nil else { return .halted }
        guard let row = copies[request.copy], row.copy.state == .live else { return .notLive }
        let countable = copies(of: request.version).map(\.copy).filter { $0.state == .live && !$0.isSuspect }
        let others = countable.count { copy in
            copy.id != request.copy && request.counted.contains(copy.backend)
                && backends[copy.backend].map { $0.phase == .active && $0.isDeclared } ?? false
        }
        // A worker may go by a spec that was replaced since: of two factors the larger one is kept.
        let factor = versions[request.version].flatMap { declaredFactor($0.object.bucket) } ?? 0
        let required = max(1, min(max(request.factor, factor), countable.count))
        guard others >= required || ablations.contains(.doomWithoutRecount) else {
            return .kept(others: others, required: required)
        }
        guard noteDrop(request.hourlyMax) else { return .ceilingReached }
        try doom(request.copy, after: request.readGrace, isLate: false)
        return .doomed
    }

    // MARK: Deletion

    package mutating func claimDoomed(
        backend: BackendID, limit: Int, token: LeaseToken, lease: Duration
    ) -> [DoomedCopy] {
        guard safeguardRow.halt == nil else { return [] }
        let due = copies.values.filter { row in
            row.copy.backend == backend && row.copy.state == .doomed && (row.deleteNotBefore ?? 0) <= now
                && row.claimUntil.map { $0 < now } ?? true
        }
        let ordered = due.sorted { a, b in (a.deleteNotBefore ?? 0, a.copy.id) < (b.deleteNotBefore ?? 0, b.copy.id) }
        return ordered.prefix(limit).map { row in
            copies[row.copy.id]?.claimToken = token
            copies[row.copy.id]?.claimUntil = now + lease.microseconds
            return DoomedCopy(
                copy: row.copy, mayArriveLate: row.mayArriveLate, isSecondLook: row.seenAbsent, attempts: row.attempts)
        }
    }

    package mutating func settle(_ id: CopyID, token: LeaseToken, _ result: DeletionResult) throws(CatalogError) {
        guard let row = copies[id], row.copy.state == .doomed, row.claimToken == token else { return }
        copies[id]?.claimToken = nil
        copies[id]?.claimUntil = nil
        switch result {
        case .gone: try step(id, to: .gone)
        case .lookAgain(let after):
            copies[id]?.seenAbsent = true
            copies[id]?.attempts = 0
            copies[id]?.lastError = nil
            copies[id]?.deleteNotBefore = now + after.microseconds
        case .failed(let retryAfter, let evidence):
            copies[id]?.attempts += 1
            copies[id]?.lastError = evidence
            copies[id]?.deleteNotBefore = now + retryAfter.microseconds
        }
    }

    package mutating func reapExpiredWrites(limit: Int) throws(CatalogError) -> Int {
        let expired = copies.values.filter { row in
            row.copy.state == .writing && (row.leaseUntil ?? 0) < now && !isResumable(row)
        }
        let chosen = expired.map(\.copy.id).sorted().prefix(limit)
        for id in chosen { try doom(id, after: .zero, isLate: true) }
        for version in Set(chosen.compactMap { copies[$0]?.copy.version }) { endUnwritten(version) }
        return chosen.count
    }

    package mutating func forgetGone(limit: Int) -> Int {
        let gone = copies.values.filter { $0.copy.state == .gone }.map(\.copy.id).sorted().prefix(limit)
        for id in gone { remove(id) }
        let day = Duration.seconds(86_400).microseconds
        uploads = uploads.filter {
            !($0.value.state == .completed || $0.value.state == .aborted) || $0.value.changedAt >= now - day
        }
        let inUse = Set(objects.values.compactMap(\.current)).union(uploads.values.map(\.version))
        let old = versions.values.filter { row in
            row.supersededAt != nil && copiesByVersion[row.id] == nil && !inUse.contains(row.id)
        }.map(\.id).sorted().prefix(limit)
        for id in old { versions[id] = nil }
        let stale = now - Duration.seconds(900).microseconds
        work = work.filter { versions[$0.key] != nil && ($0.value.leaseUntil >= stale || $0.value.notBefore >= stale) }
        guard safeguardRow.halt == nil else { return gone.count + old.count }
        let empty = objects.filter { $0.value.current == nil && $0.value.deletedAt != nil }.keys.sorted().prefix(limit)
        for address in empty { objects[address] = nil }
        return gone.count + old.count + empty.count
    }
}
