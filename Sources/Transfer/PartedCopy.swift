import Catalog
import Crypto
import HTTP
import S3

/// Makes one copy of a large version as a multipart upload on its target, whose progress is kept in rows: after an interruption
/// the next worker uploads only what is missing (DESIGN §6, Repair, rebalance, drain).
///
/// Every byte is verified before the target may complete. What an earlier worker uploaded is read again from a source, and must
/// have the MD5 that the earlier one saw go by.
struct PartedCopy: Sendable {
    enum Outcome: Sendable {
        case event(MoveProtocol.Event)
        /// What is there stays, for whoever takes it up.
        case interrupted(StoreError)
        case catalogFailed(CatalogError)
        case leaseLost
        /// Not now; what is there stays.
        case paused
    }

    /// Ends the work with its outcome.
    private enum Failure: Error {
        case outcome(Outcome)
    }

    let version: Version
    let sources: [Copy]
    let candidate: CopyCandidate
    let token: LeaseToken
    let metadata: StoredMetadata
    let store: any ObjectStore
    let moves: any MoveLedger
    let context: TransferContext
    let pace: MovePace
    let report: @Sendable (ReadFinding) async -> Void

    /// Target and limits of S3: at most 10,000 parts (AWS, "Multipart upload limits").
    private static let partsMax: Int64 = 9_000

    private var partSize: Int64 {
        let least = (version.size + PartedCopy.partsMax - 1) / PartedCopy.partsMax
        return max(context.limits.movePartSize, least)
    }

    func run(_ progress: MoveProgress?) async -> Outcome {
        do throws(Failure) {
            let uploadID = try await upload(progress)
            let digest = Shared(VersionDigest(version))
            var parts: [StoredPart] = []
            var offset: Int64 = 0
            for part in progress?.parts ?? [] {
                guard part.number == parts.count + 1, offset + part.size <= version.size else { break }
                try await check(part, from: offset, digest)
                parts.append(StoredPart(number: part.number, etag: part.etag, size: part.size))
                offset += part.size
            }
            while offset < version.size {
                let range = ByteRange(offset, min(offset + partSize, version.size))
                let part = try await transfer(range, number: parts.count + 1, uploadID, digest)
                parts.append(part)
                offset = range.upperBound
            }
            do throws(BodyError) { try digest.value.finish() } catch {
                throw .outcome(.event(.copyFailed(.damaged(digest.contributors, PartedCopy.corrupt(error)))))
            }
            return try await complete(uploadID, parts)
        } catch {
            switch error {
            case .outcome(let outcome): return outcome
            }
        }
    }

    /// The running digest of the whole and whose bytes went into it. One task works on it at a time.
    private final class Shared: @unchecked Sendable {
        // `@unchecked Sendable`: `run` awaits each step before the next begins.
        var value: VersionDigest
        var contributors: [Copy] = []
        init(_ value: VersionDigest) { self.value = value }
        func note(_ copies: [Copy]) {
            for copy in copies where !contributors.contains(where: { $0.id == copy.id }) { contributors.append(copy) }
        }
    }

    private static func corrupt(_ error: BodyError) -> StoreError {
        StoreError(.corrupt, mayArriveLate: false, evidence: "\(error)", bodyError: error)
    }

    /// A failure that says nothing about the object or the target's room: the next attempt goes on.
    private static func isPassing(_ error: StoreError) -> Bool {
        switch error.code {
        case .unreachable, .timedOut, .reset, .serverError, .throttled, .cancelled: true
        case .noSuchKey, .wrongLocation, .noSuchUpload, .alreadyExists, .accessDenied, .noSpace, .invalidRange,
            .corrupt,
            .rejected, .notSupported, .bodyFailed:
            false
        }
    }

    private func failure(_ error: StoreError) -> Failure {
        .outcome(PartedCopy.isPassing(error) ? .interrupted(error) : .event(.copyFailed(.target(error))))
    }

    private func recorded(_ body: () async throws(CatalogError) -> Bool) async throws(Failure) {
        let holds: Bool
        do throws(CatalogError) { holds = try await body() } catch { throw .outcome(.catalogFailed(error)) }
        guard holds else { throw .outcome(.leaseLost) }
    }

    private func upload(_ progress: MoveProgress?) async throws(Failure) -> String {
        if let progress { return progress.uploadID }
        let id: String
        do throws(StoreError) {
            id = try await store.createUpload(candidate.physicalKey, metadata: metadata)
        } catch {
            // Nothing is there that could be gone on with.
            throw .outcome(.event(.copyFailed(.target(error))))
        }
        context.crashPlan.reached(.afterMoveCreate)
        try await recorded { () async throws(CatalogError) in
            try await moves.record(upload: id, of: candidate.id, token: token)
        }
        return id
    }

    /// Reads what is there already once more, for the digest of the whole.
    private func check(_ part: MovedPart, from offset: Int64, _ digest: Shared) async throws(Failure) {
        let reader = try await open(ByteRange(offset, offset + part.size))
        let running = RangeDigest(reader, digest.value)
        do throws(BodyError) { while try await running.next() != nil {} } catch { throw unreadable(error) }
        digest.note(reader.contributors)
        guard running.md5 == part.md5 else {
            let error = StoreError(
                .corrupt, mayArriveLate: false, evidence: "part \(part.number) has changed since it was copied")
            // Which of the two is damaged nobody knows: what was copied is given up, and the next attempt tells.
            throw .outcome(.event(.copyFailed(.target(error))))
        }
    }

    private func open(_ range: ByteRange) async throws(Failure) -> CopyReader {
        let reader = CopyReader(version, sources, range: range, context: context, report: report)
        do throws(ReadFailure) { try await reader.open() } catch {
            // Without any part there is nothing to keep, and the protocol says what is wrong.
            guard range.lowerBound > 0, let last = error.errors.last else {
                throw .outcome(.event(.copyFailed(.unreadable(error.errors))))
            }
            throw .outcome(.interrupted(last))
        }
        return reader
    }

    private func unreadable(_ error: BodyError) -> Failure {
        .outcome(.interrupted(StoreError(.reset, mayArriveLate: false, evidence: "\(error)", bodyError: error)))
    }

    private func transfer(
        _ range: ByteRange, number: Int, _ uploadID: String, _ digest: Shared
    ) async throws(Failure) -> StoredPart {
        guard await pace.mayMovePart(range.length) else { throw .outcome(.paused) }
        var attempt = 1
        while true {
            let reader = try await open(range)
            // An attempt that fails must leave no trace in the digest of the whole.
            let body = RangeDigest(reader, digest.value.copy())
            let error: StoreError
            switch await put(number, uploadID, range.length, body) {
            case .success(let part):
                digest.value = body.whole
                digest.note(reader.contributors)
                try await keep(MovedPart(number: number, size: range.length, md5: body.md5, etag: part.etag))
                return part
            case .failure(let failure): error = failure
            }
            if let bodyError = error.bodyError { throw unreadable(bodyError) }
            guard PartedCopy.isPassing(error), error.code != .cancelled, attempt < context.limits.movePartAttemptsMax
            else { throw failure(error) }
            attempt += 1
            do throws(CancellationError) { try await context.sleep(context.limits.resolvePause) } catch {
                throw failure(StoreError(.cancelled, mayArriveLate: true, evidence: "part \(number)"))
            }
        }
    }

    private func put(
        _ number: Int, _ uploadID: String, _ length: Int64, _ body: RangeDigest
    ) async -> Result<StoredPart, StoreError> {
        do throws(StoreError) {
            let part = try await store.putPart(
                candidate.physicalKey, uploadID: uploadID, number: number, length: length, body: body)
            let md5 = body.md5
            if ETag.isMD5(part.etag), part.etag.lowercased() != md5 {
                throw StoreError(
                    .corrupt, mayArriveLate: false, evidence: "part \(number): ETag \(part.etag) instead of \(md5)")
            }
            return .success(part)
        } catch {
            return .failure(error)
        }
    }

    private func keep(_ part: MovedPart) async throws(Failure) {
        try await recorded { () async throws(CatalogError) in
            try await moves.record(part, of: candidate.id, token: token)
        }
        context.crashPlan.reached(.afterMovePart)
    }

    /// An answer that is lost, or an upload that is gone, may mean that an earlier attempt completed it: the name is looked at.
    private func complete(_ uploadID: String, _ parts: [StoredPart]) async throws(Failure) -> Outcome {
        let refusal: StoreError
        do throws(StoreError) {
            return done(try await store.completeUpload(candidate.physicalKey, uploadID: uploadID, parts: parts))
        } catch {
            refusal = error
        }
        guard refusal.code == .noSuchUpload || refusal.mayArriveLate else { throw failure(refusal) }
        let found: StoredObject
        do throws(StoreError) {
            found = try await store.head(candidate.physicalKey)
        } catch {
            // Not there, and no upload to make it from: from the beginning. Else it is tried again.
            guard error.code == .noSuchKey, refusal.code == .noSuchUpload else { return .interrupted(error) }
            return .event(.copyFailed(.target(refusal)))
        }
        guard found.size == version.size else { throw failure(refusal) }
        return done(found)
    }

    private func done(_ stored: StoredObject) -> Outcome {
        context.crashPlan.reached(.afterMoveUpload)
        return .event(.copied(UploadedCopy(id: candidate.id, providerVersion: stored.providerVersion)))
    }
}

/// Hands a range on, and takes each run into the digest of the whole and into one of its own.
///
/// `@unchecked Sendable`: one task reads at a time, by the contract of `BodyReader`, and asks for the digests when it is over.
private final class RangeDigest: BodyReader, @unchecked Sendable {
    private let source: any BodyReader
    private let own = Digest(.md5)
    private var finished: String?
    let whole: VersionDigest

    init(_ source: any BodyReader, _ whole: VersionDigest) {
        self.source = source
        self.whole = whole
    }

    func next() async throws(BodyError) -> Bytes? {
        guard let run = try await source.next() else { return nil }
        whole.take(run)
        unsafe run.withUnsafeBytes { unsafe own.update($0) }
        return run
    }

    /// In hex; the range is over.
    var md5: String {
        let value = finished ?? Hex.encode(own.finalize())
        finished = value
        return value
    }
}
