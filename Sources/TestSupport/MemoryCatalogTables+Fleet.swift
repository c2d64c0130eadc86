package import Catalog
import Spec

/// Specs, phases, status (`Migration004Fleet`).
extension CatalogTables {
    package func snapshot() -> FleetSnapshot {
        let last = revisions.last
        return FleetSnapshot(
            revision: last?.revision ?? 0, digest: last?.digest ?? "", acceptedAt: last?.acceptedAt ?? 0,
            backends: backends.values.filter { $0.phase != .retired }.sorted { $0.name < $1.name },
            usage: usage.filter { backends[$0.key]?.phase != .retired },
            buckets: buckets.values.filter { !isDeleted($0.id) }.sorted { $0.name < $1.name },
            monthly: monthlyRows)
    }

    private func backend(named name: String) -> BackendRecord? {
        backends.values.first { $0.name == name }
    }

    /// - Parameter uids: one for each new backend
    package mutating func accept(_ proposal: SpecProposal, uids: [ID128]) -> SpecAcceptance {
        let current = revisions.last?.revision ?? 0
        if revisions.last?.digest == proposal.digest { return .unchanged(revision: current) }
        if let before = revisions.last(where: { $0.digest == proposal.digest }), !proposal.allowsRollback {
            return .superseded(current: current, acceptedAs: before.revision)
        }
        guard current == proposal.parent else { return .conflict(current: current) }
        for spec in proposal.desired.backends where spec.state != .removed {
            switch backend(named: spec.name)?.phase {
            case .retired: return .refused(reason: .nameRetired(backend: spec.name))
            case .retiring: return .refused(reason: .retiringCannotReturn(backend: spec.name))
            case .active, .draining, .drained:
                if backend(named: spec.name)?.isAbandoned == true {
                    return .refused(reason: .retiringCannotReturn(backend: spec.name))
                }
            case nil: break
            }
        }
        let names = Set(proposal.desired.backends.map(\.name))
        for (id, backend) in backends where backend.phase != .retired && !names.contains(backend.name) {
            backends[id]?.isDeclared = false
        }
        for (spec, uid) in zip(proposal.desired.backends, uids) { declare(spec, uid) }
        declareBuckets(proposal.desired.buckets.map(\.name))
        for (id, bucket) in buckets where bucket.isDeclared {
            let factor = proposal.desired.replication(of: bucket.name).factor
            if factors[id]?.factor != factor { factors[id] = FactorRow(factor: factor, since: now) }
            buckets[id]?.factor = factor
        }
        revisions.append(
            RevisionRow(
                revision: current + 1, digest: proposal.digest, acceptedAt: now,
                trimDelay: proposal.desired.fleet.safety.trimDelay))
        return .accepted(revision: current + 1)
    }

    private mutating func declare(_ spec: BackendSpec, _ uid: ID128) {
        let spec = CatalogTables.withoutLiterals(spec)
        if var known = backend(named: spec.name) {
            if known.phase == .retired { return }
            known.generation += known.spec == spec ? 0 : 1
            known.spec = spec
            known.isDeclared = true
            backends[known.id] = known
        } else if spec.state != .removed {
            let id = BackendID((backends.keys.map(\.raw).max() ?? 0) + 1)
            backends[id] = BackendRecord(
                id: id, uid: uid, name: spec.name, phase: .active, isDeclared: true, spec: spec, generation: 1,
                isMarked: false)
            usage[id] = BackendUsage()
            phaseSince[id] = now
        }
    }

    /// Literal secrets are not kept.
    private static func withoutLiterals(_ spec: BackendSpec) -> BackendSpec {
        var spec = spec
        func kept(_ reference: SecretReference) -> SecretReference {
            if case .literal = reference { return .literal(Secret("")) }
            return reference
        }
        if let credentials = spec.credentials {
            spec.credentials = BackendCredentials(
                accessKeyID: kept(credentials.accessKeyID), secretAccessKey: kept(credentials.secretAccessKey))
        }
        return spec
    }

    package mutating func declareBuckets(_ names: [String]) {
        for (id, bucket) in buckets {
            buckets[id]?.isDeclared = names.contains(bucket.name)
            guard names.contains(bucket.name) else { continue }
            buckets[id]?.owner = nil
            buckets[id]?.settings = [:]
        }
        for name in names.sorted() where !buckets.values.contains(where: { $0.name == name }) {
            let id = BucketID((buckets.keys.map(\.raw).max() ?? 0) + 1)
            buckets[id] = BucketRecord(id: id, name: name, isDeclared: true, createdAt: now)
        }
    }

    package func residue(_ backend: BackendID) -> BackendResidue {
        var residue = BackendResidue()
        var open: Set<UploadID> = []
        for row in copies.values where row.copy.backend == backend {
            switch row.copy.state {
            case .writing:
                if let upload = row.upload { open.insert(upload) } else { residue.writing += 1 }
            case .live: residue.live += 1
            case .doomed:
                if row.seenAbsent { residue.waitingHorizon += 1 } else { residue.doomed += 1 }
                if row.attempts >= 10 { residue.deadLetters += 1 }
            case .gone: break
            }
        }
        residue.openUploads = Int64(open.count)
        return residue
    }

    package mutating func change(
        _ id: BackendID, from: BackendPhase, to: BackendPhase, under revision: Int64? = nil
    ) -> PhaseOutcome {
        precondition(from.mayBecome(to), "no way from \(from) to \(to)")
        let phase = backends[id]?.phase ?? .retired
        if to == .retiring || to == .retired, safeguardRow.halt != nil { return .notFrom(phase) }
        if let revision, revision != revisions.last?.revision { return .notFrom(phase) }
        guard phase == from, to != .active || backends[id]?.isAbandoned == false else { return .notFrom(phase) }
        let left = residue(id)
        switch to {
        case .draining:
            let used = usage[id] ?? BackendUsage()
            drainRows[id] = DrainRecord(
                backend: id, startedAt: now, finishedAt: nil, totalCopies: used.live.copies + used.writing.copies,
                totalBytes: used.live.bytes + used.writing.bytes)
        case .active: drainRows[id] = nil
        case .drained:
            guard left.allowsDrained || ablations.contains(.drainWithoutProof) else { return .residue(left) }
            drainRows[id]?.finishedAt = now
        case .retiring:
            guard left.allowsDrained || ablations.contains(.retireWithoutProof) else { return .residue(left) }
        case .retired:
            guard left.allowsRetired || ablations.contains(.retireWithoutProof) else { return .residue(left) }
        }
        backends[id]?.phase = to
        phaseSince[id] = now
        if to == .retired { forgetInventory(id) }
        return .done
    }

    package func drains() -> [DrainRecord] { drainRows.values.sorted { $0.backend < $1.backend } }

    package func copyGroups() -> [CopyGroup] {
        struct Key: Hashable {
            let bucket: BucketID
            let holders: [BackendID]
            let suspects: [BackendID]
        }
        var groups: [Key: CopyGroup] = [:]
        for (address, row) in objects.sorted(by: { $0.key < $1.key }) {
            guard let current = row.current, let version = versions[current] else { continue }
            let live = copies(of: current).map(\.copy).filter { $0.state == .live }
            let key = Key(
                bucket: address.bucket, holders: live.filter { !$0.isSuspect }.map(\.backend).sorted(),
                suspects: live.filter(\.isSuspect).map(\.backend).sorted())
            var group =
                groups[key]
                ?? CopyGroup(
                    bucket: key.bucket, holders: key.holders, suspects: key.suspects, versions: 0, bytes: .zero,
                    largest: .zero,
                    example: row.name.key)
            group.versions += 1
            group.bytes += ByteCount(version.size)
            group.largest = max(group.largest, ByteCount(version.size))
            groups[key] = group
        }
        return groups.values.sorted { a, b in
            if a.bucket != b.bucket { return a.bucket < b.bucket }
            if a.holders != b.holders { return a.holders.lexicographicallyPrecedes(b.holders) }
            return a.suspects.lexicographicallyPrecedes(b.suspects)
        }
    }

    package mutating func publish(_ conditions: [ConditionRecord], events: [EventRecord]) {
        let subjects = Set(conditions.map(\.subject))
        let before = conditionRows.filter { subjects.contains($0.subject) }
        conditionRows.removeAll { subjects.contains($0.subject) }
        for var one in conditions {
            let old = before.first { $0.subject == one.subject && $0.type == one.type }
            let isSame = old.map {
                // Whether a backend gives no answer or a wrong one, it has been away since the first of them.
                $0.status == one.status || one.type == .identified && $0.status != .yes && one.status != .yes
            }
            one.lastTransitionAt = isSame == true ? old?.lastTransitionAt ?? now : now
            conditionRows.append(one)
        }
        conditionRows.sort { a, b in (a.subject, a.type.rawValue) < (b.subject, b.type.rawValue) }
        for var one in events {
            let index = eventRows.firstIndex { $0.subject == one.subject && $0.reason == one.reason }
            one.count = 1 + (index.map { eventRows.remove(at: $0).count } ?? 0)
            one.lastAt = now
            eventRows.append(one)
        }
    }
}
