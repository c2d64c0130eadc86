package import Catalog
import HTTP
package import S3

/// What became of making one more copy of a version.
package enum MoveResult: Sendable, Equatable {
    case live(CopyID)
    /// Overwritten or deleted meanwhile.
    case superseded
    case refused(IntentRefusal)
    case sourceFailed([StoreError])
    case targetFailed(StoreError)
    case catalogFailed(CatalogError)
}

/// Makes and dooms single copies: repair and drain (DESIGN §6). Each step may be repeated by anybody at any time.
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

    /// Intent; copy with verification; commit. The target may complete only what matched.
    ///
    /// - Parameter sources: in the order in which they are to be tried
    package func copy(
        _ claimed: ClaimedVersion, from sources: [Copy], to target: BackendID, token: LeaseToken, readGrace: Duration
    ) async -> MoveResult {
        let version = claimed.placed.version
        let candidate = context.candidate(target, bucketName: claimed.bucketName, key: version.object.key, version: version.id)
        do throws(CatalogError) {
            switch try await moves.intendCopy(candidate, of: version.id, token: token, lease: context.limits.writeLease) {
            case .admitted: break
            case .notRetained: return .superseded
            case .refused(let refusal): return .refused(refusal)
            }
            context.crashPlan.reached(.afterMoveIntent)
            let written: Result<UploadedCopy, MoveFailure> = await write(claimed, sources, candidate, token)
            switch written {
            case .success(let uploaded):
                context.crashPlan.reached(.afterMoveUpload)
                let outcome = try await moves.commitCopy(uploaded, of: version.id, token: token, readGrace: readGrace)
                context.crashPlan.reached(.afterMoveCommit)
                return outcome == .live ? .live(candidate.id) : .superseded
            case .failure(let failure):
                try await writes.giveUp(version.id, token: token, late: failure.mayArriveLate ? [candidate.id] : [])
                return failure.result
            }
        } catch {
            return .catalogFailed(error)
        }
    }

    private struct MoveFailure: Error {
        let result: MoveResult
        let mayArriveLate: Bool
    }

    private func write(
        _ claimed: ClaimedVersion, _ sources: [Copy], _ candidate: CopyCandidate, _ token: LeaseToken
    ) async -> Result<UploadedCopy, MoveFailure> {
        let version = claimed.placed.version
        guard let store = context.stores[candidate.backend] else {
            let error = StoreError(.unreachable, mayArriveLate: false, evidence: "no connection is configured")
            return .failure(MoveFailure(result: .targetFailed(error), mayArriveLate: false))
        }
        let reader = CopyReader(version, sources, range: nil, context: context, report: report)
        do throws(ReadFailure) {
            try await reader.open()
        } catch {
            return .failure(MoveFailure(result: .sourceFailed(error.errors), mayArriveLate: false))
        }
        let metadata = CopyMetadata.make(
            bucket: claimed.bucketName, key: version.object.key, version: version.id, size: version.size, headers: version.headers)
        let writes = writes
        let context = context
        let result: Result<StoredObject, StoreError> = await LeaseKeeper.keeping(
            context, { () async throws(CatalogError) in
                try await writes.renew(version.id, token: token, lease: context.limits.writeLease)
            }
        ) {
            do throws(StoreError) {
                let stored = try await store.put(
                    candidate.physicalKey, length: version.size, body: ContentVerifier(reader, version), metadata: metadata,
                    ifAbsent: store.capabilities.conditionalCreate)
                try FanOutWriter.check(stored, etag: version.digests.etag, candidate)
                return .success(stored)
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let stored): return .success(UploadedCopy(id: candidate.id, providerVersion: stored.providerVersion))
        case .failure(let error):
            if let bodyError = error.bodyError, case .contentMismatch = bodyError, let source = sources.first { await report(.suspect(source)) }
            let result: MoveResult = error.bodyError == nil ? .targetFailed(error) : .sourceFailed([error])
            return .failure(MoveFailure(result: result, mayArriveLate: error.mayArriveLate))
        }
    }

    /// The doom transaction: recounts under the lock, and keeps the copy if too few others would stay.
    package func doom(_ request: DoomRequest) async throws(CatalogError) -> DoomOutcome {
        let outcome = try await moves.doom(request)
        context.crashPlan.reached(.afterDoom)
        return outcome
    }
}
