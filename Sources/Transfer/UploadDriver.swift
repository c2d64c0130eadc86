package import Catalog
import Crypto
import HTTP
import S3

package enum CreateUploadResult: Sendable, Equatable {
    case created(UploadID)
    case refused(WriteRefusal)
}

package enum PartResult: Sendable, Equatable {
    case stored(etag: String, checksums: [String: String])
    case noSuchUpload
    case refused(WriteRefusal)
}

package enum CompleteResult: Sendable, Equatable {
    /// `committedAt` in microseconds since 1970.
    case completed(ContentDigests, size: Int64, committedAt: Int64)
    case noSuchUpload
    case invalidPart(number: Int)
    case preconditionFailed
    case noSuchKey
    case noSuchBucket
    case refused(WriteRefusal)
    case unknown(evidence: String)
}

/// Multipart uploads, natively on the backends (DESIGN §6, Multipart): the physical names and backends are chosen at Create, a part
/// goes to each of them, and Complete moves no byte.
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
        do throws(CatalogError) {
            let outcome = try await uploads.create(intent)
            context.crashPlan.reached(.afterUploadCreate)
            guard outcome.admitted.count >= request.requirement.minAck else {
                _ = try await uploads.abort(id, object: request.object, force: true)
                return .refused(
                    .insufficientBackends(
                        admitted: outcome.admitted.count, required: request.requirement.minAck,
                        refusals: Array(outcome.refused.values)))
            }
            let metadata = CopyMetadata.make(
                bucket: request.bucketName, key: request.object.key, version: version, size: nil,
                headers: request.headers)
            let (opened, errors) = await open(candidates.filter { outcome.admitted.contains($0.id) }, metadata)
            guard opened.count >= request.requirement.minAck else {
                _ = try await uploads.abort(id, object: request.object, force: true)
                return .refused(
                    .backendsFailed(succeeded: opened.count, required: request.requirement.minAck, errors: errors))
            }
            guard try await uploads.open(id, backendUploadIDs: opened) else { return .refused(.fenceLost) }
            return .created(id)
        } catch {
            return .refused(.catalog(error))
        }
    }

    private enum Opening: Sendable {
        case opened(CopyID, String)
        case failed(StoreError)
    }

    private func open(_ candidates: [CopyCandidate], _ metadata: StoredMetadata) async -> (
        [CopyID: String], [StoreError]
    ) {
        let context = context
        let openings = await withTaskGroup(of: Opening.self) { group in
            for candidate in candidates {
                group.addTask { await UploadDriver.open(candidate, metadata, context) }
            }
            var openings: [Opening] = []
            for await opening in group { openings.append(opening) }
            return openings
        }
        var opened: [CopyID: String] = [:]
        var errors: [StoreError] = []
        for opening in openings {
            switch opening {
            case .opened(let copy, let upload): opened[copy] = upload
            case .failed(let error): errors.append(error)
            }
        }
        return (opened, errors)
    }

    private static func open(
        _ candidate: CopyCandidate, _ metadata: StoredMetadata, _ context: TransferContext
    ) async -> Opening {
        guard let store = context.stores[candidate.backend] else {
            return .failed(StoreError(.unreachable, mayArriveLate: false, evidence: "no connection is configured"))
        }
        do throws(StoreError) {
            return .opened(candidate.id, try await store.createUpload(candidate.physicalKey, metadata: metadata))
        } catch {
            return .failed(error)
        }
    }

    // MARK: Parts

    /// An attempt counts when the required number of backends took it; those that did not leave the upload.
    ///
    /// - Parameter reserves: whether some backend has a quota, so that the bytes are reserved before they leave
    package func putPart(
        _ upload: Upload, number: Int, size: Int64, requirement: WriteRequirement, reserves: Bool = false,
        body: any DigestingBody
    ) async -> PartResult {
        guard reserves, size > 0 else {
            return await sendPart(upload, number: number, size: size, requirement, reserved: 0, body)
        }
        do throws(CatalogError) {
            switch try await uploads.reserve(size, for: upload.id) {
            case .reserved: break
            case .noSuchUpload: return .noSuchUpload
            case .overQuota:
                return .refused(
                    .insufficientBackends(admitted: 0, required: requirement.minAck, refusals: [.overQuota]))
            }
        } catch {
            return .refused(.catalog(error))
        }
        let result = await sendPart(upload, number: number, size: size, requirement, reserved: size, body)
        switch result {
        case .stored: return result
        // The part may be recorded, and the bytes be its own by now: given back, they would count for nothing.
        case .refused(.catalog): return result
        case .noSuchUpload, .refused: break
        }
        // If this fails, too, the upload's end gives it back.
        do throws(CatalogError) { _ = try await uploads.reserve(-size, for: upload.id) } catch { return result }
        return result
    }

    private func sendPart(
        _ upload: Upload, number: Int, size: Int64, _ requirement: WriteRequirement, reserved: Int64,
        _ body: any DigestingBody
    ) async -> PartResult {
        enum Outcome: Sendable {
            case stored(CopyID, StoredPart)
            case failed(StoreError)
        }
        let targets = upload.copies.map { CopyCandidate(id: $0.copy, backend: $0.backend, physicalKey: $0.physicalKey) }
        let ids = Dictionary(upload.copies.map { ($0.copy, $0.backendUploadID ?? "") }) { first, _ in first }
        guard !targets.isEmpty else { return .noSuchUpload }
        let outcomes: [Outcome] = await FanOutWriter.write(targets, body, context) {
            (target, store, reader) async throws(StoreError) in
            let part = try await store.putPart(
                target.physicalKey, uploadID: ids[target.id] ?? "", number: number, length: size, body: reader)
            if let etag = body.contentDigests?.etag, ETag.isMD5(part.etag), part.etag.lowercased() != etag {
                throw StoreError(
                    .corrupt, mayArriveLate: true, evidence: "part \(number): ETag \(part.etag) instead of \(etag)")
            }
            return .stored(target.id, part)
        } failed: { _, error in
            .failed(error)
        }
        var etags: [CopyID: String] = [:]
        var errors: [StoreError] = []
        for outcome in outcomes {
            switch outcome {
            case .stored(let id, let part): etags[id] = part.etag
            case .failed(let error): errors.append(error)
            }
        }
        if let error = errors.compactMap(\.bodyError).first { return .refused(.bodyFailed(error)) }
        guard let digests = body.contentDigests, etags.count >= min(requirement.minAck, targets.count), !etags.isEmpty
        else {
            let isGone = etags.isEmpty && errors.allSatisfy { $0.code == .noSuchUpload }
            return isGone
                ? .noSuchUpload
                : .refused(.backendsFailed(succeeded: etags.count, required: requirement.minAck, errors: errors))
        }
        context.crashPlan.reached(.afterPart)
        let part = UploadPart(
            number: number, attempt: context.identifiers.makeLeaseToken(), size: size, etag: digests.etag,
            checksums: digests.checksums,
            backendETags: etags)
        do throws(CatalogError) {
            return try await uploads.record(part, of: upload.id, reserved: reserved)
                ? .stored(etag: digests.etag, checksums: digests.checksums) : .noSuchUpload
        } catch {
            return .refused(.catalog(error))
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
        let upload: Upload
        let parts: [UploadPart]
        do throws(CatalogError) {
            switch try await uploads.beginComplete(id, object: object, chosen: chosen) {
            case .proceed(let found, let list): (upload, parts) = (found, list)
            case .alreadyCompleted(let version):
                return .completed(version.digests, size: version.size, committedAt: version.committedAt)
            case .noSuchUpload: return .noSuchUpload
            case .invalidPart(let number): return .invalidPart(number: number)
            }
        } catch {
            return .refused(.catalog(error))
        }
        context.crashPlan.reached(.afterBeginComplete)
        return await drive(upload, parts, digests(upload, parts), requirement, precondition, readGrace)
    }

    private func drive(
        _ upload: Upload, _ parts: [UploadPart], _ digests: ContentDigests, _ requirement: WriteRequirement,
        _ precondition: WritePrecondition, _ readGrace: Duration
    ) async -> CompleteResult {
        let candidates = upload.copies.map {
            CopyCandidate(id: $0.copy, backend: $0.backend, physicalKey: $0.physicalKey)
        }
        let size = parts.reduce(0) { $0 + $1.size }
        // The intent was made at Create: the machine begins with it admitted.
        var machine = WriteProtocol(
            candidates: candidates,
            requirement: WriteRequirement(ack: candidates.count, minAck: min(requirement.minAck, candidates.count)),
            resolveAttemptsMax: context.limits.resolveAttemptsMax)
        _ = machine.start()
        var effects = machine.handle(.intended(IntentOutcome(admitted: candidates.map(\.id), refused: [:])))
        while let effect = effects.first {
            effects.removeFirst()
            switch effect {
            case .intend: break
            case .finish(let result): return UploadDriver.result(result, digests, size)
            case .upload:
                for event in await completeOnBackends(upload, parts) { effects += machine.handle(event) }
            case .commit(let uploaded, let failed):
                context.crashPlan.reached(.afterBackendComplete)
                let commit = WriteCommit(
                    object: upload.object, version: upload.version, token: upload.token, uploaded: uploaded,
                    failed: failed,
                    digests: digests, partSizes: parts.map(\.size), precondition: precondition, readGrace: readGrace,
                    upload: upload.id, size: size)
                effects += machine.handle(await WriteSteps.commit(commit, writes, context))
            case .resolve:
                effects += machine.handle(await WriteSteps.resolve(upload.version, readGrace, writes, context))
            case .giveUp:
                // The upload stays `completing`, so that the client may try again with the same parts.
                effects += machine.handle(.gaveUp)
            }
        }
        return .unknown(evidence: "the completion ended without a result")
    }

    private func completeOnBackends(_ upload: Upload, _ parts: [UploadPart]) async -> [WriteProtocol.Event] {
        let context = context
        return await withTaskGroup(of: WriteProtocol.Event.self) { group in
            for copy in upload.copies {
                group.addTask {
                    do throws(StoreError) {
                        let stored = try await UploadDriver.complete(copy, parts, context)
                        return .uploaded(UploadedCopy(id: copy.copy, providerVersion: stored.providerVersion))
                    } catch {
                        return .uploadFailed(copy.copy, error)
                    }
                }
            }
            var events: [WriteProtocol.Event] = []
            for await event in group { events.append(event) }
            return events
        }
    }

    private static func complete(
        _ copy: UploadCopy, _ parts: [UploadPart], _ context: TransferContext
    ) async throws(StoreError) -> StoredObject {
        guard let store = context.stores[copy.backend] else {
            throw StoreError(.unreachable, mayArriveLate: false, evidence: "no connection is configured")
        }
        let size = parts.reduce(0) { $0 + $1.size }
        do throws(StoreError) {
            var stored: [StoredPart] = []
            for part in parts {
                guard let etag = part.backendETags[copy.copy] else {
                    throw StoreError(
                        .rejected, mayArriveLate: false, evidence: "part \(part.number) is not on this backend")
                }
                stored.append(StoredPart(number: part.number, etag: etag, size: part.size))
            }
            return try await store.completeUpload(copy.physicalKey, uploadID: copy.backendUploadID ?? "", parts: stored)
        } catch {
            guard error.code == .noSuchUpload else { throw error }
            // An earlier Complete may have succeeded: what stands under the name decides, never a guess.
            let found = try await store.head(copy.physicalKey)
            let etag = multipartETag(parts, on: copy.copy)
            guard found.size == size, etag == nil || !isMultipartETag(found.etag) || found.etag.lowercased() == etag
            else {
                throw StoreError(
                    .corrupt, mayArriveLate: true,
                    evidence: "\(copy.physicalKey) has \(found.size) bytes instead of \(size), or ETag \(found.etag)")
            }
            return found
        }
    }

    /// What a backend whose part ETags are MD5s gives the whole: `md5(md5s)-N`.
    private static func multipartETag(_ parts: [UploadPart], on copy: CopyID) -> String? {
        var digests: [UInt8] = []
        for part in parts {
            guard let etag = part.backendETags[copy], ETag.isMD5(etag), let digest = Hex.decode(etag) else {
                return nil
            }
            digests += digest
        }
        return Hex.encode(Digest.hash(.md5, digests)) + "-\(parts.count)"
    }

    private static func isMultipartETag(_ etag: String) -> Bool {
        let halves = etag.split(separator: "-", omittingEmptySubsequences: false)
        return halves.count == 2 && ETag.isMD5(String(halves[0])) && Int(halves[1]) != nil
    }

    private static func result(_ result: WriteResult, _ digests: ContentDigests, _ size: Int64) -> CompleteResult {
        switch result {
        case .committed(let committedAt, _, _): .completed(digests, size: size, committedAt: committedAt)
        case .preconditionFailed: .preconditionFailed
        case .noSuchKey: .noSuchKey
        case .noSuchBucket: .noSuchBucket
        case .refused(let refusal): .refused(refusal)
        case .unknown(let evidence): .unknown(evidence: evidence)
        }
    }

    /// Dooms the copies by the fence; the bytes and the backends' uploads go with the deleter.
    package func abort(_ id: UploadID, object: ObjectName) async throws(CatalogError) -> Bool {
        try await uploads.abort(id, object: object, force: false)
    }
}
