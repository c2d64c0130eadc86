package import Catalog
package import HTTP
import S3
import Synchronization

/// A body that knows its digests once it was read to the end.
package protocol DigestingBody: BodyReader {
    var contentDigests: ContentDigests? { get }
}

/// One PUT.
package struct WriteRequest: Sendable {
    package var object: ObjectName
    package var bucketName: String
    package var size: Int64
    package var headers: ObjectHeaders
    /// Best first; from `Placement.targets`.
    package var targets: [BackendID]
    package var requirement: WriteRequirement
    package var precondition: WritePrecondition
    package var readGrace: Duration
    package init(
        object: ObjectName, bucketName: String, size: Int64, headers: ObjectHeaders, targets: [BackendID],
        requirement: WriteRequirement, precondition: WritePrecondition = .none, readGrace: Duration
    ) {
        self.object = object
        self.bucketName = bucketName
        self.size = size
        self.headers = headers
        self.targets = targets
        self.requirement = requirement
        self.precondition = precondition
        self.readGrace = readGrace
    }
}

/// Carries out `WriteProtocol` against the ledger and the backends.
package struct WriteDriver: Sendable {
    private let ledger: any WriteLedger
    private let context: TransferContext

    package init(ledger: any WriteLedger, context: TransferContext) {
        self.ledger = ledger
        self.context = context
    }

    /// Streams `body` once, to as many backends as the requirement asks for. Never throws: every end is a result.
    package func put(_ request: WriteRequest, body: any DigestingBody) async -> WriteResult {
        await run(request, digests: { body.contentDigests }) { chosen, version, token in
            await upload(chosen, request, version, token, body)
        }
    }

    /// Copies within each backend from the copy of another version there; no byte passes this process.
    ///
    /// - Parameters:
    ///   - sources: a copy on each of the request's targets
    ///   - digests: of the bytes; its ETag is an MD5, which every backend's answer must have
    package func copy(
        _ request: WriteRequest, from sources: [BackendID: Copy], digests: ContentDigests
    ) async -> WriteResult {
        await run(request, digests: { digests }) { chosen, version, token in
            await copy(chosen, request, version, token, sources, digests.etag)
        }
    }

    private func run(
        _ request: WriteRequest, digests: () -> ContentDigests?,
        upload: ([CopyCandidate], VersionID, LeaseToken) async -> [WriteProtocol.Event]
    ) async -> WriteResult {
        let version = context.identifiers.makeVersionID()
        let token = context.identifiers.makeLeaseToken()
        let candidates = request.targets.map {
            context.candidate($0, bucketName: request.bucketName, key: request.object.key, version: version)
        }
        var machine = WriteProtocol(
            candidates: candidates, requirement: request.requirement,
            resolveAttemptsMax: context.limits.resolveAttemptsMax)
        var effects = machine.start()
        while let effect = effects.first {
            effects.removeFirst()
            switch effect {
            case .finish(let result): return result
            case .intend(let chosen, let isAdditional):
                let intent = WriteIntent(
                    object: request.object, version: version, size: request.size, headers: request.headers,
                    candidates: chosen,
                    token: token, lease: context.limits.writeLease, isAdditional: isAdditional)
                effects += machine.handle(await intend(intent))
            case .upload(let ids):
                let chosen = candidates.filter { ids.contains($0.id) }
                for event in await upload(chosen, version, token) { effects += machine.handle(event) }
            case .commit(let uploaded, let failed):
                let commit = WriteCommit(
                    object: request.object, version: version, token: token, uploaded: uploaded, failed: failed,
                    digests: digests() ?? ContentDigests(etag: ""), precondition: request.precondition,
                    readGrace: request.readGrace)
                effects += machine.handle(await WriteSteps.commit(commit, ledger, context))
            case .resolve:
                effects += machine.handle(await WriteSteps.resolve(version, request.readGrace, ledger, context))
            case .giveUp(let late):
                await WriteSteps.giveUp(version, token, late, ledger)
                effects += machine.handle(.gaveUp)
            }
        }
        return .unknown(evidence: "the write ended without a result")
    }

    private func intend(_ intent: WriteIntent) async -> WriteProtocol.Event {
        do throws(CatalogError) {
            let outcome = try await ledger.intend(intent)
            context.crashPlan.reached(.afterIntent)
            return .intended(outcome)
        } catch {
            return .intentFailed(error)
        }
    }

    private func copy(
        _ chosen: [CopyCandidate], _ request: WriteRequest, _ version: VersionID, _ token: LeaseToken,
        _ sources: [BackendID: Copy], _ etag: String
    ) async -> [WriteProtocol.Event] {
        let metadata = CopyMetadata.make(
            bucket: request.bucketName, key: request.object.key, version: version, size: request.size,
            headers: request.headers)
        let ledger = ledger
        let context = context
        return await LeaseKeeper.keepingWrite(version, token, ledger, context) {
            await withTaskGroup(of: WriteProtocol.Event.self) { group in
                for candidate in chosen {
                    group.addTask {
                        await WriteDriver.copy(
                            sources[candidate.backend], candidate, metadata, request.size, etag, context)
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
        }
    }

    private static func copy(
        _ source: Copy?, _ candidate: CopyCandidate, _ metadata: StoredMetadata, _ size: Int64, _ etag: String,
        _ context: TransferContext
    ) async -> WriteProtocol.Event {
        guard let source, let store = context.stores[candidate.backend] else {
            let error = StoreError(.unreachable, mayArriveLate: false, evidence: "there is nothing to copy from")
            return .uploadFailed(candidate.id, error, isBodyUntouched: true)
        }
        do throws(StoreError) {
            let stored = try await store.copy(source.physicalKey, to: candidate.physicalKey, metadata: metadata)
            // Without an MD5 nobody knows what was copied.
            guard stored.size == size, stored.etag.lowercased() == etag else {
                throw StoreError(
                    .corrupt, mayArriveLate: true,
                    evidence: "\(candidate.physicalKey): a copy of \(stored.size) bytes with ETag \(stored.etag)")
            }
            return .uploaded(UploadedCopy(id: candidate.id, providerVersion: stored.providerVersion))
        } catch {
            return .uploadFailed(candidate.id, error, isBodyUntouched: true)
        }
    }

    private func upload(
        _ chosen: [CopyCandidate], _ request: WriteRequest, _ version: VersionID, _ token: LeaseToken,
        _ body: any DigestingBody
    ) async -> [WriteProtocol.Event] {
        let metadata = CopyMetadata.make(
            bucket: request.bucketName, key: request.object.key, version: version, size: request.size,
            headers: request.headers)
        let ledger = ledger
        let context = context
        let sensor = TouchSensor(body)
        let events: [WriteProtocol.Event] = await LeaseKeeper.keepingWrite(version, token, ledger, context) {
            await FanOutWriter.write(chosen, sensor, context) { (candidate, store, reader) async throws(StoreError) in
                let stored = try await store.put(
                    candidate.physicalKey, length: request.size, body: reader, metadata: metadata,
                    ifAbsent: store.capabilities.conditionalCreate)
                try FanOutWriter.check(stored, etag: body.contentDigests?.etag, candidate)
                return .uploaded(UploadedCopy(id: candidate.id, providerVersion: stored.providerVersion))
            } failed: { candidate, error in
                .uploadFailed(candidate.id, error)
            }
        }
        if sensor.isTouched { return events }
        return events.map { event in
            guard case .uploadFailed(let id, let error, _) = event else { return event }
            return .uploadFailed(id, error, isBodyUntouched: true)
        }
    }
}

/// Notices whether anybody asked for a body.
private final class TouchSensor: BodyReader {
    private let body: any BodyReader
    private let touched = Atomic(false)
    init(_ body: any BodyReader) { self.body = body }
    var isTouched: Bool { touched.load(ordering: .acquiring) }
    func next() async throws(BodyError) -> Bytes? {
        touched.store(true, ordering: .releasing)
        return try await body.next()
    }
}

/// Steps that PUT and Complete share.
enum WriteSteps {
    static func commit(_ commit: WriteCommit, _ ledger: any WriteLedger, _ context: TransferContext) async
        -> WriteProtocol.Event
    {
        context.crashPlan.reached(.afterUpload)
        do throws(CatalogError) {
            let outcome = try await ledger.commit(commit)
            context.crashPlan.reached(.afterCommit)
            return .committed(outcome)
        } catch {
            return .commitFailed(error)
        }
    }

    static func resolve(
        _ version: VersionID, _ readGrace: Duration, _ ledger: any WriteLedger, _ context: TransferContext
    ) async -> WriteProtocol.Event {
        do throws(CatalogError) {
            return .resolved(try await ledger.resolve(version, readGrace: readGrace))
        } catch {
            // A cancelled pause only makes the next attempt come at once; attempts are counted.
            do throws(CancellationError) { try await context.sleep(context.limits.resolvePause) } catch {}
            return .resolveFailed(error)
        }
    }

    /// If this fails too, the lease runs out and the reaper does the same.
    static func giveUp(_ version: VersionID, _ token: LeaseToken, _ late: [CopyID], _ ledger: any WriteLedger) async {
        do throws(CatalogError) { try await ledger.giveUp(version, token: token, late: late) } catch { return }
    }
}

/// Writes one body to several backends at once.
enum FanOutWriter {
    static func write<Outcome: Sendable>(
        _ targets: [CopyCandidate], _ body: any BodyReader, _ context: TransferContext,
        _ put: @escaping @Sendable (CopyCandidate, any ObjectStore, any BodyReader) async throws(StoreError) -> Outcome,
        failed: @escaping @Sendable (CopyCandidate, StoreError) -> Outcome
    ) async -> [Outcome] {
        @Sendable func one(_ target: CopyCandidate, _ reader: any BodyReader) async -> Outcome {
            guard let store = context.stores[target.backend] else {
                return failed(
                    target, StoreError(.unreachable, mayArriveLate: false, evidence: "no connection is configured"))
            }
            do throws(StoreError) { return try await put(target, store, reader) } catch { return failed(target, error) }
        }
        if let only = targets.first, targets.count == 1 { return [await one(only, body)] }
        let fanOut = BodyFanOut(body, readers: targets.count)
        return await withTaskGroup(of: Outcome?.self) { group in
            group.addTask {
                await fanOut.pump()
                return nil
            }
            for (index, target) in targets.enumerated() {
                let reader = fanOut.reader(index)
                group.addTask {
                    let outcome = await one(target, reader)
                    fanOut.drop(index)
                    return outcome
                }
            }
            var outcomes: [Outcome] = []
            while outcomes.count < targets.count, let next = await group.next() {
                if let outcome = next { outcomes.append(outcome) }
            }
            // The pump may still wait for a body that nobody wants any more.
            group.cancelAll()
            return outcomes
        }
    }

    /// Where a backend's ETag is an MD5, it must be ours.
    static func check(_ stored: StoredObject, etag: String?, _ candidate: CopyCandidate) throws(StoreError) {
        guard let etag, ETag.isMD5(stored.etag), ETag.isMD5(etag), stored.etag.lowercased() != etag else { return }
        throw StoreError(
            .corrupt, mayArriveLate: true, evidence: "\(candidate.physicalKey): ETag \(stored.etag) instead of \(etag)")
    }
}
