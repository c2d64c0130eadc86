package import Catalog

/// Intents, commits, resolutions, deletes (`Migration002Writes`).
extension CatalogTables {
    package mutating func intend(_ intent: WriteIntent, upload: UploadID? = nil) throws(CatalogError) -> IntentOutcome {
        if intent.isAdditional {
            guard versions[intent.version] != nil else { throw .internalError(evidence: "there is no version \(intent.version)") }
        } else {
            guard versions[intent.version] == nil else { throw .internalError(evidence: "23505 version \(intent.version)") }
            versions[intent.version] = VersionRow(
                id: intent.version, object: intent.object, size: intent.size, headers: intent.headers, createdAt: now)
        }
        var outcome = IntentOutcome(admitted: [], refused: [:])
        for candidate in intent.candidates {
            if let why = refusal(candidate.backend, intent.version, intent.size) {
                outcome.refused[candidate.id] = why
                continue
            }
            try insert(
                CopyRow(
                    copy: Copy(
                        id: candidate.id, version: intent.version, backend: candidate.backend, physicalKey: candidate.physicalKey,
                        state: .writing),
                    bytes: intent.size, token: intent.token,
                    leaseUntil: upload == nil ? now + intent.lease.microseconds : Int64.max, upload: upload))
            outcome.admitted.append(candidate.id)
        }
        if outcome.admitted.isEmpty, !intent.isAdditional { versions[intent.version] = nil }
        return outcome
    }

    package mutating func commit(_ commit: WriteCommit) throws(CatalogError) -> CommitOutcome {
        let address = ObjectAddress(commit.object)
        var object = objects[address] ?? ObjectRow(name: commit.object)
        defer { objects[address] = object }
        guard var version = versions[commit.version] else { return .fenceLost }
        if let at = version.committedAt, let sequence = version.sequence { return .committed(committedAt: at, sequence: sequence) }
        let current = object.current.flatMap { versions[$0]?.digests?.etag }
        let late = Set(commit.failed.filter(\.value).keys)
        let verdict = commit.precondition.verdict(current: current)
        let matched = commit.uploaded.filter { one in
            guard let row = copies[one.id], row.copy.version == commit.version else { return false }
            return row.copy.state == .writing && row.token == commit.token || ablations.contains(.commitWithoutFence)
        }
        let isFenced = matched.count == commit.uploaded.count && !matched.isEmpty
        guard verdict == .passes, isFenced else {
            try doomWriting(commit.version, late: late)
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
        try doomWriting(commit.version, late: late)
        object.lastSequence += 1
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

    /// The writing copies of a version that does not come to be are due at once: nobody can read them.
    mutating func doomWriting(_ version: VersionID, late: Set<CopyID>? = nil) throws(CatalogError) {
        for row in copies(of: version) where row.copy.state == .writing {
            try doom(row.copy.id, after: .zero, isLate: late.map { $0.contains(row.copy.id) } ?? true)
        }
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
    }

    package mutating func delete(
        bucket: BucketID, _ requests: [DeleteRequest], readGrace: Duration
    ) throws(CatalogError) -> [DeleteOutcome] {
        var outcomes: [DeleteOutcome] = []
        for request in requests {
            let address = ObjectAddress(ObjectName(bucket: bucket, key: request.key))
            let current = objects[address]?.current
            switch request.precondition.verdict(current: current.flatMap { versions[$0]?.digests?.etag }) {
            case .failed: outcomes.append(.preconditionFailed)
            case .noSuchKey: outcomes.append(.noSuchKey)
            case .passes:
                outcomes.append(.deleted)
                guard let current else { continue }
                objects[address]?.current = nil
                try supersede(current, readGrace)
            }
        }
        return outcomes
    }
}
