package import Catalog
package import HTTP
package import S3
import Spec
package import Telemetry
package import Transfer

/// The gateway's side of `Transfer`: chooses targets for a request, carries the bytes, and turns every end into one of
/// `TransferFailure`'s. Health is learnt from what backends do, never from clients that go away (S3.md 26).
package struct TransferService: ObjectTransfer {
    private let writes: any WriteLedger
    private let uploads: any UploadLedger
    private let health: HealthBoard
    private let findings: ReadFindings
    private let identifiers: any IdentifierSource
    private let limits: TransferLimits
    private let crashPlan: CrashPlan
    private let sleep: @Sendable (Duration) async throws(CancellationError) -> Void

    /// - Parameters:
    ///   - metrics: where failovers and suspects are counted; nil in commands that serve no metrics
    package init(
        writes: any WriteLedger, uploads: any UploadLedger, index: any ObjectIndex, health: HealthBoard,
        identifiers: any IdentifierSource, limits: TransferLimits = TransferLimits(), crashPlan: CrashPlan,
        metrics: GatewayMetrics? = nil, logger: Logger = .silent,
        sleep: @escaping @Sendable (Duration) async throws(CancellationError) -> Void
    ) {
        self.writes = writes
        self.uploads = uploads
        self.health = health
        findings = ReadFindings(index: index, health: health, metrics: metrics, logger: logger)
        self.identifiers = identifiers
        self.limits = limits
        self.crashPlan = crashPlan
        self.sleep = sleep
    }

    // MARK: ObjectTransfer

    package func write(
        _ order: WriteOrder, body: IncomingBody, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> Written {
        let request = try request(order, size: body.length, snapshot)
        let driver = WriteDriver(ledger: writes, context: context(snapshot))
        let result = await driver.put(request, body: HashedBody(body))
        guard case .committed(let committedAt, _, _) = result, let digests = body.digests else {
            throw failure(result)
        }
        return Written(digests: digests, size: body.length, committedAt: committedAt)
    }

    package func copy(
        _ order: WriteOrder, from source: PlacedVersion, digests: ContentDigests, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> Written? {
        // The ETag of parts is not that of their copy, and only an MD5 tells that the bytes are the right ones.
        guard source.version.partSizes.isEmpty, ETag.isMD5(digests.etag) else { return nil }
        var sources: [BackendID: Copy] = [:]
        for copy in source.copies where copy.state == .live && !copy.isSuspect {
            if snapshot.backends[copy.backend]?.store.capabilities.copiesWithin == true { sources[copy.backend] = copy }
        }
        guard !sources.isEmpty else { return nil }
        var request = try request(order, size: source.version.size, snapshot)
        request.targets = request.targets.filter { sources[$0] != nil }
        guard request.targets.count >= request.requirement.ack else { return nil }
        let driver = WriteDriver(ledger: writes, context: context(snapshot))
        switch await driver.copy(request, from: sources, digests: digests) {
        case .committed(let committedAt, _, _):
            return Written(digests: digests, size: source.version.size, committedAt: committedAt)
        // Nothing was stored: the other way may succeed.
        case .refused(.backendsFailed), .refused(.insufficientBackends): return nil
        case let other: throw failure(other)
        }
    }

    package func read(
        _ placed: PlacedVersion, range: ByteRange?, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> any BodyReader {
        let findings = findings
        // Where the month is used up is read from only if nothing else is left.
        let ordered = health.order(placed.copies)
        let spared = ordered.filter { snapshot.forbidsReads(of: $0.backend) }
        let reader = CopyReader(
            placed.version, ordered.filter { !snapshot.forbidsReads(of: $0.backend) } + spared, range: range,
            context: context(snapshot)
        ) { finding in
            await findings.take(finding, snapshot)
        }
        do throws(ReadFailure) {
            try await reader.open()
            return reader
        } catch {
            throw .unreadable(
                evidence: error.errors.map { "\($0.code.rawValue): \($0.evidence)" }.joined(separator: "; "))
        }
    }

    package func createUpload(
        _ order: UploadOrder, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> UploadID {
        let request = try request(order.write, size: 0, snapshot)
        let driver = UploadDriver(uploads: uploads, writes: writes, context: context(snapshot))
        switch await driver.create(
            request, checksumAlgorithm: order.checksumAlgorithm?.rawValue, checksumType: order.checksumType)
        {
        case .created(let id): return id
        case .refused(let refusal): throw failure(refusal)
        }
    }

    package func writePart(
        _ upload: Upload, number: Int, body: IncomingBody, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> UploadPart {
        let bucket = snapshot.buckets.values.first { $0.id == upload.object.bucket }
        let minAck = (bucket?.replication ?? snapshot.fleet.replication).minAck
        let requirement = WriteRequirement(ack: upload.copies.count, minAck: min(minAck, upload.copies.count))
        let driver = UploadDriver(uploads: uploads, writes: writes, context: context(snapshot))
        switch await driver.putPart(
            upload, number: number, size: body.length, requirement: requirement,
            reserves: upload.copies.contains { snapshot.backends[$0.backend]?.standing.quota != nil },
            body: HashedBody(body))
        {
        case .stored(let etag, let checksums):
            return UploadPart(
                number: number, attempt: LeaseToken(upload.token.raw), size: body.length, etag: etag,
                checksums: checksums, backendETags: [:])
        case .noSuchUpload: throw .noSuchUpload
        case .refused(let refusal): throw failure(refusal)
        }
    }

    package func completeUpload(
        _ order: CompleteOrder, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> Written {
        let driver = UploadDriver(uploads: uploads, writes: writes, context: context(snapshot))
        let replication = order.bucket.replication
        let result = await driver.complete(
            order.upload, object: ObjectName(bucket: order.bucket.id, key: order.key), chosen: order.chosen,
            requirement: WriteRequirement(ack: replication.ack, minAck: replication.minAck),
            precondition: order.precondition,
            readGrace: snapshot.fleet.safety.readGrace, digests: order.digests)
        switch result {
        case .completed(let digests, let size, let committedAt):
            return Written(digests: digests, size: size, committedAt: committedAt)
        case .noSuchUpload: throw .noSuchUpload
        case .invalidPart(let number): throw .invalidPart(number: number)
        case .preconditionFailed: throw .preconditionFailed
        case .noSuchKey: throw .noSuchKey
        case .noSuchBucket: throw .noSuchBucket
        case .refused(let refusal): throw failure(refusal)
        case .unknown: throw .unknownOutcome
        }
    }

    // MARK: Requests

    private func context(_ snapshot: GatewaySnapshot) -> TransferContext {
        TransferContext(
            stores: snapshot.backends.mapValues { backend in
                ObservedStore(backend.store, id: backend.standing.id, health: health)
            }, keyPrefixes: snapshot.backends.mapValues(\.keyPrefix), identifiers: identifiers, limits: limits,
            crashPlan: crashPlan,
            sleep: sleep)
    }

    private func request(_ order: WriteOrder, size: Int64, _ snapshot: GatewaySnapshot) throws(TransferFailure)
        -> WriteRequest
    {
        let standings = snapshot.backends.values.map { backend in
            var standing = backend.standing
            standing.isHealthy = standing.isHealthy && (!standing.isEligible || health.admits(standing.id))
            return standing
        }
        let targets = Placement.targets(for: ByteCount(size), routing: snapshot.fleet.routing, among: standings)
        guard !targets.isEmpty else {
            let isFull = standings.contains { $0.isEligible && $0.isHealthy }
            throw isFull ? .overQuota : .noEligibleBackend
        }
        return WriteRequest(
            object: order.object, bucketName: order.bucket.name, size: size, headers: order.headers, targets: targets,
            requirement: WriteRequirement(ack: order.bucket.replication.ack, minAck: order.bucket.replication.minAck),
            precondition: order.precondition, readGrace: snapshot.fleet.safety.readGrace)
    }

    // MARK: Failures

    private func failure(_ result: WriteResult) -> TransferFailure {
        switch result {
        // Committed without digests cannot be: the body was read to its end before the commit.
        case .committed, .unknown: .unknownOutcome
        case .preconditionFailed: .preconditionFailed
        case .noSuchKey: .noSuchKey
        case .noSuchBucket: .noSuchBucket
        case .refused(let refusal): failure(refusal)
        }
    }

    private func failure(_ refusal: WriteRefusal) -> TransferFailure {
        switch refusal {
        case .insufficientBackends(let admitted, let required, let refusals):
            if !refusals.isEmpty, refusals.allSatisfy({ $0 == .overQuota }) { return .overQuota }
            return admitted == 0
                ? .noEligibleBackend : .tooFewCopies(stored: admitted, required: required, evidence: "\(refusals)")
        case .backendsFailed(let succeeded, let required, let errors):
            return .tooFewCopies(
                stored: succeeded, required: required,
                evidence: errors.map { "\($0.code.rawValue): \($0.evidence)" }.joined(separator: "; "))
        case .bodyFailed(let error): return .body(error)
        case .fenceLost: return .fenceLost
        // Only an intent ends so, and an intent shows nothing: the client may simply try again.
        case .catalog(.unknownOutcome(let evidence)): return .catalog(.unavailable(evidence: evidence))
        case .catalog(let error): return .catalog(error)
        }
    }
}

/// A client's body as `Transfer` takes it.
private final class HashedBody: DigestingBody {
    private let body: IncomingBody
    init(_ body: IncomingBody) { self.body = body }
    var contentDigests: ContentDigests? { body.digests }
    func next() async throws(BodyError) -> Bytes? { try await body.reader.next() }
}
