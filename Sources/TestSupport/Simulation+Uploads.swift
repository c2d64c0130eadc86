import Catalog

/// Transactions of uploads, and the clients of uploads.
extension Simulation {
    mutating func runUpload(_ call: CatalogCall) throws(CatalogError) -> CatalogAnswer {
        switch call {
        case .createUpload(let intent):
            let outcome = try tables.createUpload(intent)
            if outcome.refused.values.contains(.overQuota) { see(.intentOverQuota) }
            return .intent(outcome)
        case .openUpload(let id, let opened): return .held(try tables.openUpload(id, opened))
        case .reservePart(let bytes, let id, let keeping):
            let reservation = try tables.reserve(bytes, for: id, keeping: keeping)
            if case .overQuota = reservation { see(.partOverQuota) }
            if case .reserved(let dropped) = reservation, !dropped.isEmpty { see(.fullBackendLeftUpload) }
            return .reservation(reservation)
        case .recordPart(let part, let id, let reserved):
            let before = tables.find(id, model.object(id))?.copies.count ?? 0
            let isRecorded = try tables.record(part, of: id, reserved: reserved)
            if isRecorded, part.backendETags.count < before { see(.backendLeftUpload) }
            if !isRecorded { see(.partRefused) }
            return .held(isRecorded)
        case .beginComplete(let id, let object, let chosen):
            let outcome = tables.beginComplete(id, object, chosen)
            if case .alreadyCompleted = outcome { see(.uploadCompletedAgain) }
            return .begun(outcome)
        case .abortUpload(let id, let object):
            let isCompleting = tables.find(id, object)?.state == .completing
            let isAborted = try tables.abort(id, object)
            if isAborted { see(isCompleting ? .uploadAbortedInComplete : .uploadAborted) }
            return .held(isAborted)
        case .abortStale:
            guard ablation != .staleUploads else { return .done }
            let ended = try tables.abortStaleUploads(
                drainGrace: SimulatedLimits.drainUploadGrace, maxAge: SimulatedLimits.uploadAge, limit: 10)
            if ended > 0 { see(.uploadExpired) }
            return .done
        default: preconditionFailure("\(call) is no transaction of an upload")
        }
    }

    mutating func runInventory(_ call: CatalogCall) throws(CatalogError) -> CatalogAnswer {
        switch call {
        case .beginInventory(let backend, let token):
            return .inventory(
                tables.beginInventory(
                    backend, interval: SimulatedLimits.inventoryInterval, token: token,
                    lease: SimulatedLimits.workLease))
        case .recordInventory(let page):
            _ = tables.record(page, lease: SimulatedLimits.workLease)
            return .done
        case .doomOrphan(let orphan, let version, let copy, let owner):
            if case .doomed = try tables.doomOrphan(orphan, of: version, copy: copy, owner: owner, hourlyMax: nil) {
                see(.strayFound)
            }
            return .done
        default: preconditionFailure("\(call) is no transaction of an inventory")
        }
    }

    mutating func seeLate(_ call: SimulatedCall) {
        switch call {
        case .catalog(.commit): see(.lateCommit)
        case .backend(_, .put): see(.latePut)
        case .backend(_, .delete): see(.lateDelete)
        case .backend(_, .createUpload): see(.lateUploadCreated)
        case .backend(_, .putPart): see(.latePart)
        case .backend(_, .completeUpload): see(.lateComplete)
        default: break
        }
    }

    mutating func seeChange(_ from: BackendPhase, _ to: BackendPhase, _ outcome: PhaseOutcome) {
        switch (from, to, outcome) {
        case (.draining, .drained, .done): see(.drainFinished)
        case (.draining, .active, .done): see(.drainCancelled)
        case (.retiring, .retired, .done): see(.retired)
        case (_, .drained, .residue): see(.drainRefused)
        case (_, .retiring, .residue), (_, .retired, .residue): see(.retirementRefused)
        default: break
        }
    }

    // MARK: Clients

    mutating func spawnOnUpload(_ make: @Sendable (BackendID, ObjectName, VersionID) -> CopyCandidate) {
        let known = model.uploadsInUse
        guard let id = random.pick(known), let client = model.uploads[id], !random.chance(known.count < 4 ? 20 : 5)
        else { return spawn(uploadCreator(make)) }
        let upload = client.upload
        switch random.below(100) {
        case 0..<60:
            spawn(
                SimulatedPartSender(
                    upload, number: 1 + random.below(3), token: random.next() | 1,
                    attempt: identifiers.makeLeaseToken(), limited: ablation == .unreservedParts ? [] : limited))
        case 60..<95:
            guard !client.parts.isEmpty else { return }
            // One who asks again sends the same list.
            let chosen = client.list
            spawn(
                SimulatedCompleter(
                    upload, chosen: chosen, guesses: ablation == .guessedComplete, isCareless: ablation == .anyPart))
        default: spawn(SimulatedTransaction(.abortUpload(upload.id, upload.object)))
        }
    }

    /// Faults have stopped: whoever asks for a Complete that nothing hinders gets it, also after many that failed.
    mutating func finishUploads() throws(SimulationFailure) {
        for client in model.uploads.values.sorted(by: { $0.upload.version < $1.upload.version }) {
            let upload = client.upload
            let chosen = client.list
            // Of several attempts at once nobody knows which was the last.
            guard let found = tables.find(upload.id, upload.object), found.state == .open || found.state == .completing,
                !chosen.isEmpty, chosen.allSatisfy({ client.attempts[$0.number] == 1 }), !found.copies.isEmpty,
                found.copies.allSatisfy({ isAtHand($0) })
            else { continue }
            spawn(SimulatedCompleter(upload, chosen: chosen, guesses: false, isCareless: false))
            try settle()
            see(.uploadFinishedAtLast)
            if model.uploads[upload.id]?.answer == nil, model.writes[upload.version]?.isEnded == false {
                violated("nothing hinders the Complete of upload \(upload.id), and it was not done")
            }
        }
        try check()
    }

    /// Its backend has not forgotten the upload, or has completed it.
    private func isAtHand(_ copy: UploadCopy) -> Bool {
        guard copy.backend != lost else { return false }
        return uploads[copy.backend]?[copy.backendUploadID ?? ""] != nil
            || backends[copy.backend]?[copy.physicalKey] != nil
    }

    private mutating func uploadCreator(
        _ make: @Sendable (BackendID, ObjectName, VersionID) -> CopyCandidate
    ) -> SimulatedUploadCreator {
        let key = random.pick(Simulation.keys) ?? Simulation.keys[0]
        let object = ObjectName(bucket: Simulation.bucket, key: key)
        let version = identifiers.makeVersionID()
        let chosen = (1...Simulation.backendCount).map { BackendID($0) }.shuffled(using: &random).prefix(2)
        let upload = SimulatedUpload(
            id: identifiers.makeUploadID(), object: object, version: version,
            precondition: random.chance(20) ? WritePrecondition(ifNoneMatch: .any) : .none,
            minAck: random.chance(70) ? 1 : 2)
        return SimulatedUploadCreator(
            upload, lease: identifiers.makeLeaseToken(), candidates: chosen.map { make($0, object, version) })
    }
}
