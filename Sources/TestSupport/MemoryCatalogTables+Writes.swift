package import Catalog

/// Intents, commits, resolutions, deletes (`Migration002Writes`).
extension CatalogTables {
    package mutating func intend(_ intent: WriteIntent, upload: UploadID? = nil) throws(CatalogError) -> IntentOutcome {
        if intent.isAdditional {
            // The write is over: reaped, resolved or lost with a crash.
            guard let row = versions[intent.version], row.committedAt == nil, row.supersededAt == nil else {
                return IntentOutcome(
                    admitted: [],
                    refused: Dictionary(uniqueKeysWithValues: intent.candidates.map { ($0.id, .notActive) }))
            }
        } else {
            guard versions[intent.version] == nil else {
                throw .internalError(evidence: "23505 version \(intent.version)")
            }
            versions[intent.version] = VersionRow(
                id: intent.version, object: intent.object, size: intent.size, headers: intent.headers, createdAt: now)
        }
        var outcome = IntentOutcome(admitted: [], refused: [:])
        for candidate in intent.candidates.sorted(by: { $0.backend < $1.backend }) {
            if let why = refusal(candidate.backend, intent.version, intent.size) {
                outcome.refused[candidate.id] = why
                continue
            }
            try insert(
                CopyRow(
                    copy: Copy(
                        id: candidate.id, version: intent.version, backend: candidate.backend,
                        physicalKey: candidate.physicalKey,
                        state: .writing),
                    bytes: intent.size, token: intent.token,
                    leaseUntil: upload == nil ? now + intent.lease.microseconds : Int64.max, upload: upload))
            outcome.admitted.append(candidate.id)
        }
        outcome.admitted = intent.candidates.map(\.id).filter { outcome.refused[$0] == nil }
        if outcome.admitted.isEmpty, !intent.isAdditional { versions[intent.version] = nil }
        return outcome
    }

    package mutating func commit(_ commit: WriteCommit) throws(CatalogError) -> CommitOutcome {
        let address = ObjectAddress(commit.object)
        var object = objects[address] ?? ObjectRow(name: commit.object)
        defer {
            if object.current == nil { object.deletedAt = now }
            objects[address] = object
        }
        guard var version = versions[commit.version] else { return .fenceLost }
        if version.committedAt == nil, isDeleted(commit.object.bucket) {
            try doomWriting(
                commit.version, settled: Set(commit.uploaded.map(\.id)).union(commit.failed.filter { !$0.value }.keys))
            endUnwritten(commit.version)
            return .noSuchBucket
        }
        if let at = version.committedAt, let sequence = version.sequence {
            return .committed(committedAt: at, sequence: sequence)
        }
        let current = object.current.flatMap { versions[$0]?.digests?.etag }
        // Copies whose bytes are known to be there, or never to come.
        let settled = Set(commit.uploaded.map(\.id)).union(commit.failed.filter { !$0.value }.keys)
        let verdict = commit.precondition.verdict(current: current)
        let matched = commit.uploaded.filter { one in
            guard let row = copies[one.id], row.copy.version == commit.version else { return false }
            return row.copy.state == .writing && row.token == commit.token || ablations.contains(.commitWithoutFence)
        }
        let isFenced = matched.count == commit.uploaded.count && !matched.isEmpty
        guard verdict == .passes, isFenced else {
            try doomWriting(commit.version, settled: settled)
            endUnwritten(commit.version)
            if let upload = commit.upload { change(upload, to: .aborted) }
            switch verdict {
            case .passes: return .fenceLost
            case .failed: return .preconditionFailed
            case .noSuchKey: return .noSuchKey
            }
        }
        for one in commit.uploaded {
            try step(one.id, to: .live, bytes: commit.size)
            copies[one.id]?.copy.providerVersion = one.providerVersion
        }
        try doomWriting(commit.version, settled: settled)
        // Microseconds, so that numbers go up even after the object's row was forgotten.
        object.lastSequence = max(object.lastSequence + 1, now)
        object.deletedAt = nil
        version.committedAt = now
        version.sequence = object.lastSequence
        version.digests = commit.digests
        version.partSizes = commit.partSizes
        version.size = commit.size ?? version.size
        versions[commit.version] = version
        let replaced = object.current
        object.current = commit.version
        if let replaced { try supersede(replaced, commit.readGrace) }
        if let upload = commit.upload { change(upload, to: .completed) }
        return .committed(committedAt: now, sequence: object.lastSequence)
    }

    /// The writing copies of a version are due at once: nobody can read them. Those that are not known to be settled may arrive
    /// late.
    mutating func doomWriting(_ version: VersionID, settled: Set<CopyID> = []) throws(CatalogError) {
        for row in copies(of: version) where row.copy.state == .writing {
            try doom(row.copy.id, after: .zero, isLate: !settled.contains(row.copy.id))
        }
    }

    /// Marks a version that never came to be and of which nothing is written any more, so that nothing is added to it.
    mutating func endUnwritten(_ version: VersionID) {
        guard let row = versions[version], row.committedAt == nil, row.supersededAt == nil else { return }
        if copies(of: version).allSatisfy({ $0.copy.state != .writing }) { versions[version]?.supersededAt = now }
    }

    mutating func supersede(_ version: VersionID, _ grace: Duration) throws(CatalogError) {
        if versions[version]?.supersededAt == nil { versions[version]?.supersededAt = now }
        for row in copies(of: version) where row.copy.state == .writing || row.copy.state == .live {
            try doom(row.copy.id, after: grace, isLate: row.copy.state == .writing)
        }
    }

    package mutating func resolve(_ version: VersionID) throws(CatalogError) -> WriteResolution {
        if let row = versions[version], let at = row.committedAt, let sequence = row.sequence {
            return .committed(committedAt: at, sequence: sequence)
        }
        try doomWriting(version)
        endUnwritten(version)
        return .notCommitted
    }

    package mutating func renew(_ version: VersionID, token: LeaseToken, lease: Duration) -> Bool {
        var isRenewed = false
        for row in copies(of: version) where row.copy.state == .writing && row.token == token && row.upload == nil {
            copies[row.copy.id]?.leaseUntil = now + lease.microseconds
            isRenewed = true
        }
        return isRenewed
    }

    package mutating func giveUp(_ version: VersionID, token: LeaseToken, late: [CopyID]) throws(CatalogError) {
        for row in copies(of: version) where row.copy.state == .writing && row.token == token {
            try doom(row.copy.id, after: .zero, isLate: late.contains(row.copy.id))
        }
        endUnwritten(version)
    }

    package mutating func delete(
        bucket: BucketID, _ requests: [DeleteRequest], readGrace: Duration
    ) throws(CatalogError) -> [DeleteOutcome] {
        // All conditions are judged on what was there before.
        let current = requests.map { objects[ObjectAddress(ObjectName(bucket: bucket, key: $0.key))]?.current }
        var outcomes: [DeleteOutcome] = []
        for (request, current) in zip(requests, current) {
            switch request.precondition.verdict(current: current.flatMap { versions[$0] }.map(version)) {
            case .failed: outcomes.append(.preconditionFailed)
            case .noSuchKey: outcomes.append(.noSuchKey)
            case .passes:
                outcomes.append(.deleted)
                let name = ObjectName(bucket: bucket, key: request.key)
                let address = ObjectAddress(name)
                if safeguardRow.halt != nil, objects[address]?.current == nil {
                    objects[address, default: ObjectRow(name: name)].deletedAt = now
                }
                guard let current else { continue }
                objects[address]?.current = nil
                objects[address]?.deletedAt = now
                try supersede(current, readGrace)
            }
        }
        return outcomes
    }
}
