package import Catalog
import HTTP
import S3

/// Multipart uploads, natively on the backends (DESIGN §6, Multipart): the physical names and backends are chosen at Create, a part
/// goes to each of them, and Complete moves no byte. Carries out `UploadProtocol` against the ledger and the backends.
package struct UploadDriver: Sendable {
    private let uploads: any UploadLedger
    private let writes: any WriteLedger
    private let context: TransferContext

    package init(uploads: any UploadLedger, writes: any WriteLedger, context: TransferContext) {
        self.uploads = uploads
        self.writes = writes
        self.context = context
    }

    // MARK: Create

    package func create(
        _ request: WriteRequest, checksumAlgorithm: String?, checksumType: String?
    ) async -> CreateUploadResult {
        let version = context.identifiers.makeVersionID()
        let id = context.identifiers.makeUploadID()
        let candidates = request.targets.prefix(request.requirement.ack).map {
            context.candidate($0, bucketName: request.bucketName, key: request.object.key, version: version)
        }
        let intent = UploadIntent(
            id: id,
            write: WriteIntent(
                object: request.object, version: version, size: 0, headers: request.headers, candidates: candidates,
                token: context.identifiers.makeLeaseToken(), lease: context.limits.writeLease),
            checksumAlgorithm: checksumAlgorithm, checksumType: checksumType)
        var machine = UploadProtocol.Creation(id: id, minAck: request.requirement.minAck)
        var effects = machine.start()
        while let effect = effects.first {
            effects.removeFirst()
            do throws(CatalogError) {
                switch effect {
                case .finish(let result): return result
                case .intend:
                    let outcome = try await uploads.create(intent)
                    context.crashPlan.reached(.afterUploadCreate)
                    effects += machine.handle(.intended(outcome))
                case .open(let copies):
                    let chosen = candidates.filter { copies.contains($0.id) }
                    for event in await open(chosen, request, version) { effects += machine.handle(event) }
                case .record(let opened):
                    effects += machine.handle(.recorded(try await uploads.open(id, backendUploadIDs: opened)))
                case .abort:
                    _ = try await uploads.abort(id, object: request.object)
                    effects += machine.handle(.aborted)
                }
            } catch {
                effects += machine.handle(.catalogFailed(error))
            }
        }
        return .refused(.catalog(.internalError(evidence: "the creation ended without a result")))
    }

    private func open(
        _ candidates: [CopyCandidate], _ request: WriteRequest, _ version: VersionID
    ) async -> [UploadProtocol.Creation.Event] {
        let metadata = CopyMetadata.make(
            bucket: request.bucketName, key: request.object.key, version: version, size: nil, headers: request.headers)
        let context = context
        return await withTaskGroup(of: UploadProtocol.Creation.Event.self) { group in
            for candidate in candidates {
                group.addTask {
                    do throws(StoreError) {
                        let store = try UploadDriver.store(candidate.backend, context)
                        return .opened(
                            candidate.id,
                            backendUploadID: try await store.createUpload(candidate.physicalKey, metadata: metadata))
                    } catch {
                        return .openFailed(candidate.id, error)
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
    }

    private static func store(
        _ backend: BackendID, _ context: TransferContext
    ) throws(StoreError) -> any ObjectStore {
        guard let store = context.stores[backend] else {
            throw StoreError(.unreachable, mayArriveLate: false, evidence: "no connection is configured")
        }
        return store
    }

    // MARK: Parts

    /// An attempt counts when the required number of backends took it; those that did not leave the upload.
    ///
    /// - Parameter reserves: whether some backend has a quota, so that the bytes are reserved before they leave
    package func putPart(
        _ upload: Upload, number: Int, size: Int64, requirement: WriteRequirement, reserves: Bool = false,
        body: any DigestingBody
    ) async -> PartResult {
        var machine = UploadProtocol.Part(
            copies: upload.copies.map(\.copy), size: size, minAck: requirement.minAck, reserves: reserves)
        var effects = machine.start()
        while let effect = effects.first {
            effects.removeFirst()
            switch effect {
            case .finish(let result): return result
            case .reserve(let bytes, let keeping):
                do throws(CatalogError) {
                    effects += machine.handle(
                        .reserved(
                            try await uploads.reserve(bytes, for: upload.id, keeping: keeping)))
                } catch {
                    effects += machine.handle(.reserveFailed(error))
                }
            case .send(let copies):
                let events = await send(upload, copies, number: number, size: size, body)
                if let digests = body.contentDigests { effects += machine.handle(.bodyRead(digests)) }
                for event in events { effects += machine.handle(event) }
            case .record(let etags, let digests, let reserved):
                context.crashPlan.reached(.afterPart)
                let part = UploadPart(
                    number: number, attempt: context.identifiers.makeLeaseToken(), size: size, etag: digests.etag,
                    checksums: digests.checksums, backendETags: etags)
                do throws(CatalogError) {
                    let isRecorded = try await uploads.record(part, of: upload.id, reserved: reserved)
                    effects += machine.handle(.recorded(isRecorded))
                } catch {
                    effects += machine.handle(.recordFailed(error))
                }
            case .giveBack(let bytes):
                // If this fails, too, the upload's end gives it back.
                do throws(CatalogError) { _ = try await uploads.reserve(-bytes, for: upload.id, keeping: 0) } catch {}
                effects += machine.handle(.gaveBack)
            }
        }
        return .refused(.catalog(.internalError(evidence: "the part ended without a result")))
    }

    private func send(
        _ upload: Upload, _ copies: [CopyID], number: Int, size: Int64, _ body: any DigestingBody
    ) async -> [UploadProtocol.Part.Event] {
        let chosen = upload.copies.filter { copies.contains($0.copy) }
        let targets = chosen.map { CopyCandidate(id: $0.copy, backend: $0.backend, physicalKey: $0.physicalKey) }
        let ids = Dictionary(chosen.map { ($0.copy, $0.backendUploadID ?? "") }) { first, _ in first }
        return await FanOutWriter.write(targets, body, context) {
            (target, store, reader) async throws(StoreError) in
            let part = try await store.putPart(
                target.physicalKey, uploadID: ids[target.id] ?? "", number: number, length: size, body: reader)
            if let etag = body.contentDigests?.etag, ETag.isMD5(part.etag), part.etag.lowercased() != etag {
                throw StoreError(
                    .corrupt, mayArriveLate: true, evidence: "part \(number): ETag \(part.etag) instead of \(etag)")
            }
            return .stored(target.id, etag: part.etag)
        } failed: { target, error in
            .failed(target.id, error)
        }
    }

    // MARK: Complete

    /// The caller has checked the list against the parts: from here on the upload takes no further part.
    ///
    /// - Parameter digests: what clients will see, from the chosen parts
    package func complete(
        _ id: UploadID, object: ObjectName, chosen: [ChosenPart], requirement: WriteRequirement,
        precondition: WritePrecondition,
        readGrace: Duration, digests: @Sendable (Upload, [UploadPart]) -> ContentDigests
    ) async -> CompleteResult {
        var machine = UploadProtocol.Completion(
            requirement: requirement, precondition: precondition, readGrace: readGrace,
            resolveAttemptsMax: context.limits.resolveAttemptsMax)
        var effects = machine.start()
        while !effects.isEmpty {
            var calls: [BackendCall] = []
            var events: [UploadProtocol.Completion.Event] = []
            for effect in effects {
                switch effect {
                case .finish(let result): return result
                case .begin: events.append(await begin(id, object, chosen, digests))
                case .complete(let copy, let parts): calls.append(BackendCall(copy: copy, parts: parts))
                case .look(let copy): calls.append(BackendCall(copy: copy, parts: nil))
                case .commit(let commit):
                    context.crashPlan.reached(.afterBackendComplete)
                    events.append(.write(await WriteSteps.commit(commit, writes, context)))
                case .resolve(let version):
                    events.append(.write(await WriteSteps.resolve(version, readGrace, writes, context)))
                }
            }
            events += await run(calls)
            effects = []
            for event in events { effects += machine.handle(event) }
        }
        return .unknown(evidence: "the completion ended without a result")
    }

    private func begin(
        _ id: UploadID, _ object: ObjectName, _ chosen: [ChosenPart],
        _ digests: (Upload, [UploadPart]) -> ContentDigests
    ) async -> UploadProtocol.Completion.Event {
        do throws(CatalogError) {
            let outcome = try await uploads.beginComplete(id, object: object, chosen: chosen)
            guard case .proceed(let upload, let parts) = outcome else { return .begun(outcome, digests: nil) }
            context.crashPlan.reached(.afterBeginComplete)
            return .begun(outcome, digests: digests(upload, parts))
        } catch {
            return .beginFailed(error)
        }
    }

    private struct BackendCall: Sendable {
        var copy: UploadCopy
        /// nil: only look what is there.
        var parts: [StoredPart]?
    }

    private func run(_ calls: [BackendCall]) async -> [UploadProtocol.Completion.Event] {
        let context = context
        return await withTaskGroup(of: UploadProtocol.Completion.Event.self) { group in
            for call in calls { group.addTask { await UploadDriver.run(call, context) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
    }

    private static func run(
        _ call: BackendCall, _ context: TransferContext
    ) async -> UploadProtocol.Completion.Event {
        let copy = call.copy
        do throws(StoreError) {
            let store = try UploadDriver.store(copy.backend, context)
            guard let parts = call.parts else { return .looked(copy.copy, try await store.head(copy.physicalKey)) }
            return .completed(
                copy.copy,
                try await store.completeUpload(copy.physicalKey, uploadID: copy.backendUploadID ?? "", parts: parts))
        } catch {
            return call.parts == nil ? .lookFailed(copy.copy, error) : .completeFailed(copy.copy, error)
        }
    }
}
