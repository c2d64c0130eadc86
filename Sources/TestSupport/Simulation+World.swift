import Catalog
import S3
import Spec
import Transfer

/// What happens when a call arrives, and whether it may.
extension Simulation {
    mutating func perform(_ message: SimulatedMessage) -> SimulatedAnswer {
        note("\(message.isAbandoned ? "late " : "")\(message.call)")
        if message.isAbandoned, !message.isRepeated { seeLate(message.call) }
        switch message.call {
        case .catalog(let call): return .catalog(transact(call))
        case .backend(let id, _) where id == lost:
            return .backend(.failure(StoreError(.unreachable, mayArriveLate: false, evidence: "lost")))
        case .backend(let id, let call):
            guard tables.now - message.sentAt <= simulatedSignatureLife.microseconds else {
                see(.signatureTooOld)
                return .backend(
                    .failure(StoreError(.accessDenied, mayArriveLate: false, evidence: "signed too long ago")))
            }
            if message.isRepeated { seeRepeated(id, call) }
            return .backend(store(id, call))
        }
    }

    private mutating func transact(_ call: CatalogCall) -> Result<CatalogAnswer, CatalogError> {
        if let found = look(call) { return .success(found) }
        let before = tables
        let result = Result { () throws(CatalogError) in try run(call) }
        if case .failure(let error) = result {
            tables = before
            if case .internalError(let evidence) = error { violated("the catalog broke a promise: \(evidence)") }
        }
        observe(before)
        checkLosses()
        checkRows(before)
        checkBytes()
        return result
    }

    /// What changes nothing needs no check.
    private func look(_ call: CatalogCall) -> CatalogAnswer? {
        switch call {
        case .current(let object): .placed(tables.current(object))
        case .findUpload(let id, let object): .upload(tables.find(id, object))
        case .dueOrphans(let backend):
            .orphans(tables.dueOrphans(backend, quarantine: SimulatedLimits.quarantine, limit: 10))
        default: nil
        }
    }

    private mutating func run(_ call: CatalogCall) throws(CatalogError) -> CatalogAnswer {
        switch call {
        case .intend(let intent):
            let outcome = try tables.intend(intent)
            if outcome.refused.values.contains(.overQuota) { see(.intentOverQuota) }
            return .intent(outcome)
        case .commit(let commit):
            let outcome = try tables.commit(commit)
            if case .fenceLost = outcome { see(.fenceHeld) }
            if case .committed = outcome, commit.upload != nil { see(.uploadCompleted) }
            return .commit(outcome)
        case .resolve(let version):
            let resolution = try tables.resolve(version)
            see(resolution == .notCommitted ? .lostCommitResolvedAsNotDone : .lostCommitResolvedAsDone)
            return .resolution(resolution)
        case .renew(let version, let token):
            _ = tables.renew(version, token: token, lease: SimulatedLimits.writeLease)
            return .done
        case .giveUp(let version, let token, let late):
            try tables.giveUp(version, token: token, late: late)
            return .done
        case .delete(let object):
            let outcomes = try tables.delete(
                bucket: object.bucket, [DeleteRequest(key: object.key)], readGrace: SimulatedLimits.readGrace)
            return .deleted(outcomes.first ?? .deleted)
        case .markSuspect(let copy):
            _ = tables.markSuspect(copy)
            return .done
        case .claim(let scope, let token):
            return .claimed(
                tables.claim(scope, limit: 1, token: token, lease: SimulatedLimits.workLease), active: active)
        case .release(let version, let token, let isFailed):
            tables.release(
                version, token: token, isFailed ? .failed(retryAfter: .seconds(20), evidence: "simulated") : .finished)
            return .done
        case .intendCopy(let candidate, let version, let token):
            let outcome = try tables.intendCopy(
                candidate, of: version, token: token, lease: SimulatedLimits.writeLease)
            if case .refused(.overQuota) = outcome { see(.moveOverQuota) }
            return .copyIntent(outcome)
        case .commitCopy(let copy, let version, let token):
            return .copyCommit(try tables.commitCopy(copy, of: version, token: token))
        case .doom(let request):
            let outcome = try tables.doom(request)
            if case .kept = outcome { see(.surplusKept) }
            return .doom(outcome)
        case .claimDoomed(let backend, let token):
            return .doomed(
                tables.claimDoomed(backend: backend, limit: 3, token: token, lease: SimulatedLimits.workLease))
        case .settle(let copy, let token, let result):
            try tables.settle(copy, token: token, result)
            return .done
        case .reap:
            if try tables.reapExpiredWrites(limit: 10) > 0 { see(.expiredWriteReaped) }
            return .done
        case .forget:
            _ = tables.forgetGone(limit: 10)
            return .done
        case .change(let backend, let from, let to):
            seeChange(from, to, tables.change(backend, from: from, to: to))
            return .done
        case .abandon(let backend, let soleCopiesMax): return try abandon(backend, soleCopiesMax)
        case .endAbandoned(let backend):
            _ = try tables.endAbandoned(backend, limit: 10)
            return .done
        case .createUpload, .openUpload, .reservePart, .recordPart, .beginComplete, .abortUpload,
            .abortStale:
            return try runUpload(call)
        case .beginInventory, .recordInventory, .doomOrphan: return try runInventory(call)
        case .current, .findUpload, .dueOrphans: preconditionFailure("\(call) is a look, and was answered")
        }
    }

    /// Backends with a quota.
    var limited: Set<BackendID> { Set(tables.backends.values.filter { $0.spec.quota != nil }.map(\.id)) }

    /// Backends that take new copies, sorted.
    var active: [BackendID] { tables.backends.values.filter { $0.phase == .active }.map(\.id).sorted() }

    /// A row that names what no row named.
    func isOrphan(_ row: CatalogTables.CopyRow) -> Bool {
        row.copy.state == .doomed && tables.versions[row.copy.version]?.object.bucket == BucketID(0)
    }

    struct BackendName: Hashable, Sendable {
        let backend: BackendID
        let name: String
    }

    // MARK: Invariants (DESIGN §6)

    private mutating func observe(_ before: CatalogTables) {
        for key in Simulation.keys {
            let address = CatalogTables.ObjectAddress(ObjectName(bucket: Simulation.bucket, key: key))
            func etag(_ tables: CatalogTables) -> String? {
                tables.objects[address]?.current.flatMap { tables.versions[$0]?.digests?.etag }
            }
            let current = tables.objects[address]?.current
            let isGivenUp = before.objects[address]?.current.map { givenUp.contains($0) } ?? false
            if let what = model.observe(
                key, is: current, etag(tables), etagBefore: etag(before), isGivenUp: isGivenUp, step)
            {
                violated(what)
            }
        }
    }

    /// What must hold between rows.
    private mutating func checkRows(_ before: CatalogTables) {
        var sums: [BackendID: BackendUsage] = [:]
        // What a look through a backend found: doomed in any phase, and there before anybody could count its bytes.
        var orphans: [BackendID: (bytes: Int64, doomed: Int64)] = [:]
        for row in tables.copies.values {
            let (backend, was) = (row.copy.backend, before.copies[row.copy.id]?.copy.state)
            if let was, was != row.copy.state, !was.mayBecome(row.copy.state), !isGivenUp(backend) {
                violated("copy \(row.copy.physicalKey) went from \(was) to \(row.copy.state)")
            }
            if was == nil, !isOrphan(row), tables.backends[backend]?.phase != .active {
                violated("a new copy began on \(backend), which is not active")
            }
            sums[backend, default: BackendUsage()].add(row)
            if isOrphan(row) {
                orphans[backend, default: (0, 0)].bytes += row.bytes
                orphans[backend, default: (0, 0)].doomed += row.seenAbsent ? 0 : 1
            }
        }
        for (id, record) in tables.backends {
            let sum = sums[id] ?? BackendUsage()
            if (tables.usage[id] ?? BackendUsage()) != sum { violated("counters of \(id) differ from its rows") }
            let occupied = sum.occupied.value - (orphans[id]?.bytes ?? 0)
            if let quota = record.spec.quota, occupied > quota.value {
                violated("\(id) holds \(occupied) bytes, and has room for \(quota.value)")
            }
            guard record.phase == .drained || record.phase == .retiring || record.phase == .retired else { continue }
            var residue = tables.residue(id)
            residue.doomed -= orphans[id]?.doomed ?? 0
            if record.phase == .retired ? !residue.allowsRetired : !residue.allowsDrained {
                violated("\(id) is \(record.phase), and holds \(residue)")
            }
        }
        for row in before.copies.values where tables.copies[row.copy.id] == nil && row.copy.state != .gone {
            violated("the row of \(row.copy.physicalKey) was forgotten while \(row.copy.state)")
        }
        checkNumbers(before)
    }

    /// The number of good copies never drops below min(factor, what it had) by our own doing.
    private mutating func checkNumbers(_ before: CatalogTables) {
        for key in Simulation.keys {
            let address = CatalogTables.ObjectAddress(ObjectName(bucket: Simulation.bucket, key: key))
            guard let version = tables.objects[address]?.current, !model.harmed.contains(version) else { continue }
            func good(_ tables: CatalogTables) -> Int {
                tables.copies(of: version).count { row in
                    row.copy.state == .live && !row.copy.isSuspect && !isGivenUp(row.copy.backend)
                }
            }
            let (had, has) = (good(before), good(tables))
            // A suspicion takes away what was thought to be there; that is not our doing.
            let suspected = tables.copies(of: version).count { row in
                row.copy.isSuspect && before.copies[row.copy.id]?.copy.isSuspect == false
            }
            if has + suspected < min(Simulation.factor, had) {
                violated("\(key) went from \(had) good copies to \(has)")
            }
        }
    }

    /// What must hold between rows and bytes.
    mutating func checkBytes() {
        var owned: Set<BackendName> = []
        for row in tables.copies.values where row.copy.state != .gone {
            owned.insert(BackendName(backend: row.copy.backend, name: row.copy.physicalKey))
            guard row.copy.state == .live, !model.harmedCopies.contains(row.copy.id) else { continue }
            let found = backends[row.copy.backend]?[row.copy.physicalKey]
            if found == nil || found != model.token(row.copy.version) {
                violated(
                    "live \(row.copy.physicalKey) on \(row.copy.backend) holds \(found.map { "\($0)" } ?? "nothing")")
            }
        }
        for (id, names) in backends where !isGivenUp(id) {
            for name in names.keys {
                let name = BackendName(backend: id, name: name)
                if owned.contains(name) || strays.contains(name) { continue }
                violated("\(name.name) on \(id) is in no row")
            }
        }
        for (id, open) in uploads where !isGivenUp(id) {
            for (upload, parts) in open where !owned.contains(BackendName(backend: id, name: parts.name)) {
                violated("upload \(upload) of \(parts.name) on \(id) is in no row")
            }
        }
        checkHarmed()
    }

    /// A version of which one copy was harmed still has its bytes somewhere.
    private mutating func checkHarmed() {
        for object in tables.objects.values {
            guard let version = object.current, model.harmed.contains(version) else { continue }
            let isThere = tables.copies(of: version).contains { row in
                row.copy.state == .live && backends[row.copy.backend]?[row.copy.physicalKey] == model.token(version)
            }
            if !isThere { violated("the last good copy of \(object.name.key) is lost") }
        }
    }
}

extension BackendUsage {
    fileprivate mutating func add(_ row: CatalogTables.CopyRow) {
        func one(_ tally: inout Tally) {
            tally.copies += 1
            tally.bytes.value += row.bytes
        }
        switch row.copy.state {
        case .writing: one(&writing)
        case .live: one(&live)
        case .doomed: one(&doomed)
        case .gone: break
        }
    }
}
