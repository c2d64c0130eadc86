package import Catalog
import Crypto
package import S3

extension UploadProtocol {
    /// Complete: the list of parts is fixed, each backend completes its own upload, and the commit is that of a write.
    package struct Completion: Sendable, Equatable {
        package enum Event: Sendable, Equatable {
            /// - Parameter digests: what clients will see, where the upload proceeds
            case begun(BeginCompleteOutcome, digests: ContentDigests?)
            case beginFailed(CatalogError)
            case completed(CopyID, StoredObject)
            case completeFailed(CopyID, StoreError)
            case looked(CopyID, StoredObject)
            case lookFailed(CopyID, StoreError)
            /// Of the commit, or of asking what became of it.
            case write(WriteProtocol.Event)
        }

        package enum Effect: Sendable, Equatable {
            case begin
            case complete(UploadCopy, [StoredPart])
            /// What stands under the name of a copy whose upload the backend does not know (any more).
            case look(UploadCopy)
            case commit(WriteCommit)
            case resolve(VersionID)
            case finish(CompleteResult)
        }

        private struct Work: Sendable, Equatable {
            var upload: Upload
            var parts: [UploadPart]
            var digests: ContentDigests
            var size: Int64 { parts.reduce(0) { $0 + $1.size } }
        }

        private enum Stage: Sendable, Equatable {
            case beginning
            case writing(Work, WriteProtocol)
            case finished
        }

        private let requirement: WriteRequirement
        private let precondition: WritePrecondition
        private let readGrace: Duration
        private let resolveAttemptsMax: Int
        private var stage = Stage.beginning

        package init(
            requirement: WriteRequirement, precondition: WritePrecondition, readGrace: Duration, resolveAttemptsMax: Int
        ) {
            self.requirement = requirement
            self.precondition = precondition
            self.readGrace = readGrace
            self.resolveAttemptsMax = resolveAttemptsMax
        }

        package mutating func start() -> [Effect] { [.begin] }

        package mutating func handle(_ event: Event) -> [Effect] {
            switch (stage, event) {
            case (.beginning, .begun(let outcome, let digests)): return begun(outcome, digests)
            case (.beginning, .beginFailed(let error)): return finish(.refused(.catalog(error)))
            case (.writing, .completed(let copy, let stored)), (.writing, .looked(let copy, let stored)):
                return handle(copy, stored, isLooked: event.isLook)
            case (.writing(let work, _), .completeFailed(let id, let error)):
                // An earlier Complete may have succeeded: what stands under the name decides, never a guess.
                if error.code == .noSuchUpload, let copy = work.upload.copies.first(where: { $0.copy == id }) {
                    return [.look(copy)]
                }
                return write(.uploadFailed(id, error))
            case (.writing, .lookFailed(let id, let error)): return write(.uploadFailed(id, error))
            case (.writing, .write(let event)): return write(event)
            // Repeated and late messages change nothing.
            case (.beginning, _), (.writing, _), (.finished, _): return []
            }
        }

        private mutating func begun(_ outcome: BeginCompleteOutcome, _ digests: ContentDigests?) -> [Effect] {
            switch outcome {
            case .alreadyCompleted(let version):
                return finish(.completed(version.digests, size: version.size, committedAt: version.committedAt))
            case .noSuchUpload: return finish(.noSuchUpload)
            case .invalidPart(let number): return finish(.invalidPart(number: number))
            // All copies were given up, and with them the upload: a COMMIT was lost and resolved, or no backend was left.
            case .proceed(let upload, _) where upload.copies.isEmpty: return finish(.noSuchUpload)
            case .proceed(let upload, let parts):
                // The intent was made at Create: the write begins with it admitted.
                let copies = upload.copies.map(\.copy)
                var machine = WriteProtocol(
                    candidates: upload.copies.map {
                        CopyCandidate(id: $0.copy, backend: $0.backend, physicalKey: $0.physicalKey)
                    },
                    requirement: WriteRequirement(ack: copies.count, minAck: min(requirement.minAck, copies.count)),
                    resolveAttemptsMax: resolveAttemptsMax)
                _ = machine.start()
                let effects = machine.handle(.intended(IntentOutcome(admitted: copies, refused: [:])))
                stage = .writing(
                    Work(upload: upload, parts: parts, digests: digests ?? ContentDigests(etag: "")), machine)
                return run(effects)
            }
        }

        private mutating func handle(_ id: CopyID, _ stored: StoredObject, isLooked: Bool) -> [Effect] {
            guard case .writing(let work, _) = stage else { return [] }
            if isLooked {
                let etag = UploadProtocol.multipartETag(work.parts, on: id)
                let isSame =
                    etag == nil || !UploadProtocol.isMultipartETag(stored.etag) || stored.etag.lowercased() == etag
                guard stored.size == work.size, isSame else {
                    let error = StoreError(
                        .corrupt, mayArriveLate: true,
                        evidence: "\(stored.size) bytes instead of \(work.size), or ETag \(stored.etag)")
                    return write(.uploadFailed(id, error))
                }
            }
            return write(.uploaded(UploadedCopy(id: id, providerVersion: stored.providerVersion)))
        }

        private mutating func write(_ event: WriteProtocol.Event) -> [Effect] {
            guard case .writing(let work, var machine) = stage else { return [] }
            let effects = machine.handle(event)
            stage = .writing(work, machine)
            return run(effects)
        }

        private mutating func run(_ effects: [WriteProtocol.Effect]) -> [Effect] {
            effects.flatMap { effect -> [Effect] in
                guard case .writing(let work, _) = stage else { return [] }
                switch effect {
                case .intend: return []
                case .upload(let ids):
                    return work.upload.copies.filter { ids.contains($0.copy) }.flatMap { complete($0) }
                case .commit(let uploaded, let failed):
                    return [
                        .commit(
                            WriteCommit(
                                object: work.upload.object, version: work.upload.version, token: work.upload.token,
                                uploaded: uploaded, failed: failed, digests: work.digests,
                                partSizes: work.parts.map(\.size), precondition: precondition, readGrace: readGrace,
                                upload: work.upload.id, size: work.size))
                    ]
                case .resolve: return [.resolve(work.upload.version)]
                // The upload stays `completing`, so that the client may try again with the same parts.
                case .giveUp: return write(.gaveUp)
                case .finish(let result): return finish(UploadProtocol.result(result, work.digests, work.size))
                }
            }
        }

        private mutating func complete(_ copy: UploadCopy) -> [Effect] {
            guard case .writing(let work, _) = stage else { return [] }
            var stored: [StoredPart] = []
            for part in work.parts {
                guard let etag = part.backendETags[copy.copy] else {
                    let error = StoreError(
                        .rejected, mayArriveLate: false, evidence: "part \(part.number) is not on this backend")
                    return write(.uploadFailed(copy.copy, error))
                }
                stored.append(StoredPart(number: part.number, etag: etag, size: part.size))
            }
            return [.complete(copy, stored)]
        }

        private mutating func finish(_ result: CompleteResult) -> [Effect] {
            stage = .finished
            return [.finish(result)]
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
}

extension UploadProtocol.Completion.Event {
    fileprivate var isLook: Bool { if case .looked = self { true } else { false } }
}
