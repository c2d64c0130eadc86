package import Catalog
import HTTP
import S3

/// Makes and dooms single copies: carries out `MoveProtocol`. Each step may be repeated by anybody at any time.
package struct CopyMover: Sendable {
    private let moves: any MoveLedger
    private let writes: any WriteLedger
    private let context: TransferContext
    private let report: @Sendable (ReadFinding) async -> Void

    package init(
        moves: any MoveLedger, writes: any WriteLedger, context: TransferContext,
        report: @escaping @Sendable (ReadFinding) async -> Void
    ) {
        self.moves = moves
        self.writes = writes
        self.context = context
        self.report = report
    }

    /// Intent; copy with verification; commit. The target may complete only what matched. One copy of a version at a time under
    /// one token.
    ///
    /// - Parameters:
    ///   - sources: in the order in which they are to be tried
    ///   - progress: a copy in parts that was taken over and is gone on with; `target` is its backend
    ///   - pace: asked before each part of a large version
    package func copy(
        _ claimed: ClaimedVersion, from sources: [Copy], to target: BackendID, token: LeaseToken, readGrace: Duration,
        resuming progress: MoveProgress? = nil, pace: MovePace = .unlimited
    ) async -> MoveResult {
        var progress = progress
        let version = claimed.placed.version
        func fresh() -> CopyCandidate {
            context.candidate(target, bucketName: claimed.bucketName, key: version.object.key, version: version.id)
        }
        var candidate = fresh()
        var machine = MoveProtocol(sources: sources, commitAttemptsMax: context.limits.resolveAttemptsMax)
        var effects = machine.start()
        while let effect = effects.first {
            effects.removeFirst()
            switch effect {
            case .finish(let result): return result
            case .intend:
                if let progress {
                    candidate = progress.candidate
                    effects += machine.handle(.intended(.admitted))
                } else {
                    candidate = fresh()
                    effects += machine.handle(await intend(candidate, version.id, token))
                }
            case .copy(let sources) where version.size > context.limits.movePartSize:
                switch await writeInParts(claimed, sources, candidate, token, progress, pace) {
                case .event(let event): effects += machine.handle(event)
                // As if this worker had ended here: what is there is left for the next one.
                case .interrupted(let error):
                    await endLease(version.id, token)
                    return .targetFailed(error)
                case .paused:
                    await endLease(version.id, token)
                    return .paused
                case .catalogFailed(let error): return .catalogFailed(error)
                case .leaseLost: return .superseded
                }
                progress = nil
            case .copy(let sources): effects += machine.handle(await write(claimed, sources, candidate, token))
            case .markSuspect(let copy): await report(.suspect(copy))
            case .commit(let uploaded): effects += machine.handle(await commit(uploaded, version.id, token, readGrace))
            case .giveUp(let mayArriveLate):
                await WriteSteps.giveUp(version.id, token, mayArriveLate ? [candidate.id] : [], writes)
                effects += machine.handle(.gaveUp)
            }
        }
        return .catalogFailed(.internalError(evidence: "the move ended without a result"))
    }

    /// A copy of a large version that was interrupted, to go on with; nil if there is none.
    package func resumable(_ version: Version, token: LeaseToken) async throws(CatalogError) -> MoveProgress? {
        guard version.size > context.limits.movePartSize else { return nil }
        return try await moves.resumeCopy(of: version.id, token: token, lease: context.limits.writeLease)
    }

    private func endLease(_ version: VersionID, _ token: LeaseToken) async {
        // If this fails the lease runs out by itself.
        do throws(CatalogError) { _ = try await writes.renew(version, token: token, lease: .zero) } catch { return }
    }

    private func writeInParts(
        _ claimed: ClaimedVersion, _ sources: [Copy], _ candidate: CopyCandidate, _ token: LeaseToken,
        _ progress: MoveProgress?, _ pace: MovePace
    ) async -> PartedCopy.Outcome {
        let version = claimed.placed.version
        guard let store = context.stores[candidate.backend] else {
            let error = StoreError(.unreachable, mayArriveLate: false, evidence: "no connection is configured")
            return .event(.copyFailed(.target(error)))
        }
        let metadata = CopyMetadata.make(
            bucket: claimed.bucketName, key: version.object.key, version: version.id, size: version.size,
            etag: version.digests.etag, headers: version.headers)
        let copy = PartedCopy(
            version: version, sources: sources, candidate: candidate, token: token, metadata: metadata, store: store,
            moves: moves, context: context, pace: pace, report: report)
        return await LeaseKeeper.keepingWrite(version.id, token, writes, context) {
            await copy.run(progress)
        }
    }

    private func intend(_ candidate: CopyCandidate, _ version: VersionID, _ token: LeaseToken) async
        -> MoveProtocol.Event
    {
        do throws(CatalogError) {
            let outcome = try await moves.intendCopy(
                candidate, of: version, token: token, lease: context.limits.writeLease)
            context.crashPlan.reached(.afterMoveIntent)
            return .intended(outcome)
        } catch {
            return .intentFailed(error)
        }
    }

    private func commit(
        _ uploaded: UploadedCopy, _ version: VersionID, _ token: LeaseToken, _ readGrace: Duration
    ) async -> MoveProtocol.Event {
        do throws(CatalogError) {
            let outcome = try await moves.commitCopy(uploaded, of: version, token: token, readGrace: readGrace)
            context.crashPlan.reached(.afterMoveCommit)
            return .committed(outcome)
        } catch {
            // A cancelled pause only makes the next attempt come at once; attempts are counted.
            do throws(CancellationError) { try await context.sleep(context.limits.resolvePause) } catch {}
            return .commitFailed(error)
        }
    }

    private func write(
        _ claimed: ClaimedVersion, _ sources: [Copy], _ candidate: CopyCandidate, _ token: LeaseToken
    ) async -> MoveProtocol.Event {
        let version = claimed.placed.version
        guard let store = context.stores[candidate.backend] else {
            return .copyFailed(
                .target(StoreError(.unreachable, mayArriveLate: false, evidence: "no connection is configured")))
        }
        let reader = CopyReader(version, sources, range: nil, context: context, report: report)
        do throws(ReadFailure) {
            try await reader.open()
        } catch {
            return .copyFailed(.unreadable(error.errors))
        }
        let metadata = CopyMetadata.make(
            bucket: claimed.bucketName, key: version.object.key, version: version.id, size: version.size,
            etag: version.digests.etag, headers: version.headers)
        let result: Result<StoredObject, StoreError> = await LeaseKeeper.keepingWrite(
            version.id, token, writes, context
        ) {
            do throws(StoreError) {
                let stored = try await store.put(
                    candidate.physicalKey, length: version.size, body: ContentVerifier(reader, version),
                    metadata: metadata,
                    ifAbsent: store.capabilities.conditionalCreate)
                try FanOutWriter.check(stored, etag: version.digests.etag, candidate)
                return .success(stored)
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let stored):
            context.crashPlan.reached(.afterMoveUpload)
            return .copied(UploadedCopy(id: candidate.id, providerVersion: stored.providerVersion))
        case .failure(let error): return .copyFailed(CopyMover.fault(error, reader))
        }
    }

    private static func fault(_ error: StoreError, _ reader: CopyReader) -> MoveFault {
        switch error.bodyError {
        case nil: .target(error)
        case .contentMismatch: .damaged(reader.contributors, error)
        case .truncated, .tooSlow, .tooLong, .malformed, .source, .cancelled: .unreadable([error])
        }
    }

    /// The doom transaction: recounts under the lock, and keeps the copy if too few others would stay.
    package func doom(_ request: DoomRequest) async throws(CatalogError) -> DoomOutcome {
        let outcome = try await moves.doom(request)
        context.crashPlan.reached(.afterDoom)
        return outcome
    }
}
