package import Catalog
package import HTTP
package import S3
import Spec
package import Transfer

/// `ObjectTransfer` by Transfer's drivers: chooses targets and the order of copies, and says what became of it in the gateway's
/// words.
package struct BackendTransfer: ObjectTransfer {
    private let writes: any WriteLedger
    private let uploads: any UploadLedger
    private let identifiers: any IdentifierSource
    private let limits: TransferLimits
    private let crashPlan: CrashPlan
    private let sleep: @Sendable (Duration) async throws(CancellationError) -> Void
    private let health: HealthBoard
    private let findings: ReadFindings

    package init(
        writes: any WriteLedger, uploads: any UploadLedger, identifiers: any IdentifierSource,
        limits: TransferLimits = TransferLimits(), crashPlan: CrashPlan = .none, health: HealthBoard, findings: ReadFindings,
        sleep: @escaping @Sendable (Duration) async throws(CancellationError) -> Void
    ) {
        self.writes = writes
        self.uploads = uploads
        self.identifiers = identifiers
        self.limits = limits
        self.crashPlan = crashPlan
        self.health = health
        self.findings = findings
        self.sleep = sleep
    }

    private func context(_ snapshot: GatewaySnapshot) -> TransferContext {
        TransferContext(
            stores: Dictionary(
                uniqueKeysWithValues: snapshot.backends.map { ($0.key, WatchedStore($0.value.store, $0.key, health)) }),
            keyPrefixes: snapshot.backends.mapValues(\.keyPrefix), identifiers: identifiers, limits: limits,
            crashPlan: crashPlan, sleep: sleep)
    }

    // MARK: Writing

    package func write(
        _ order: WriteOrder, body: IncomingBody, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> Written {
        let request = try self.request(order, size: body.length, snapshot)
        let digesting = DigestedBody(body)
        let result = await WriteDriver(ledger: writes, context: context(snapshot)).put(request, body: digesting)
        switch result {
        case .committed(let committedAt, _, _):
            guard let digests = digesting.contentDigests else { throw .unknownOutcome }
            return Written(digests: digests, size: body.length, committedAt: committedAt)
        case .preconditionFailed: throw .preconditionFailed
        case .noSuchKey: throw .noSuchKey
        case .refused(let refusal): throw TransferFailure(refusal)
        case .unknown: throw .unknownOutcome
        }
    }

    private func request(
        _ order: WriteOrder, size: Int64, _ snapshot: GatewaySnapshot
    ) throws(TransferFailure) -> WriteRequest {
        let targets = try targets(size, snapshot)
        let replication = order.bucket.replication
        return WriteRequest(
            object: order.object, bucketName: order.bucket.name, size: size, headers: order.headers, targets: targets,
            requirement: WriteRequirement(ack: replication.ack, minAck: replication.minAck), precondition: order.precondition,
            readGrace: snapshot.fleet.safety.readGrace)
    }

    /// Best first. A backend whose breaker is open counts as ill.
    private func targets(_ size: Int64, _ snapshot: GatewaySnapshot) throws(TransferFailure) -> [BackendID] {
        let standings = snapshot.backends.values.map(\.standing).sorted { $0.name < $1.name }.map { standing in
            var standing = standing
            standing.isHealthy = standing.isHealthy && health.admits(standing.id)
            return standing
        }
        let targets = Placement.targets(for: ByteCount(size), routing: snapshot.fleet.routing, among: standings)
        guard targets.isEmpty else { return targets }
        throw standings.contains { $0.isEligible && $0.isHealthy } ? .overQuota : .noEligibleBackend
    }

    // MARK: Reading

    package func read(
        _ placed: PlacedVersion, range: ByteRange?, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> any BodyReader {
        let findings = findings
        let reader = CopyReader(
            placed.version, health.order(placed.copies), range: range, context: context(snapshot)
        ) { finding in
            await findings.take(finding, snapshot)
        }
        do throws(ReadFailure) {
            try await reader.open()
            return reader
        } catch {
            let evidence = error.errors.map { "\($0.code.rawValue): \($0.evidence)" }.joined(separator: "; ")
            throw .unreadable(evidence: evidence.isEmpty ? "the version has no copy" : evidence)
        }
    }

    // MARK: Multipart

    private func driver(_ snapshot: GatewaySnapshot) -> UploadDriver {
        UploadDriver(uploads: uploads, writes: writes, context: context(snapshot))
    }

    package func createUpload(
        _ order: UploadOrder, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> UploadID {
        let request = try self.request(order.write, size: 0, snapshot)
        let result = await driver(snapshot).create(
            request, checksumAlgorithm: order.checksumAlgorithm?.rawValue, checksumType: order.checksumType)
        switch result {
        case .created(let id): return id
        case .refused(let refusal): throw TransferFailure(refusal)
        }
    }

    package func writePart(
        _ upload: Upload, number: Int, body: IncomingBody, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> WrittenPart {
        let replication =
            snapshot.buckets.values.first { $0.id == upload.object.bucket }?.replication ?? snapshot.fleet.replication
        let result = await driver(snapshot).putPart(
            upload, number: number, size: body.length,
            requirement: WriteRequirement(ack: replication.ack, minAck: replication.minAck), body: DigestedBody(body))
        switch result {
        case .stored(let etag, let checksums): return WrittenPart(size: body.length, etag: etag, checksums: checksums)
        case .noSuchUpload: throw .noSuchUpload
        case .refused(let refusal): throw TransferFailure(refusal)
        }
    }

    package func completeUpload(
        _ order: CompleteOrder, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> ContentDigests {
        let result: CompleteResult
        do throws(S3Error) {
            result = try await driver(snapshot).complete(
                order.upload, object: ObjectName(bucket: order.bucket.id, key: order.key), chosen: order.chosen,
                requirement: WriteRequirement(ack: order.bucket.replication.ack, minAck: order.bucket.replication.minAck),
                precondition: order.precondition, readGrace: snapshot.fleet.safety.readGrace, digests: order.digests)
        } catch {
            throw .mismatch(error)
        }
        switch result {
        case .completed(let etag, let checksums, let type):
            return ContentDigests(etag: etag, checksums: checksums, checksumType: type)
        case .noSuchUpload: throw .noSuchUpload
        case .invalidPart(let number): throw .invalidPart(number: number)
        case .tooSmall(let part): throw .partTooSmall(number: part)
        case .mismatch(let error): throw .mismatch(error)
        case .preconditionFailed: throw .preconditionFailed
        case .noSuchKey: throw .noSuchKey
        case .refused(let refusal): throw TransferFailure(refusal)
        case .unknown: throw .unknownOutcome
        }
    }
}

extension TransferFailure {
    /// Nothing of a refused write is visible, whatever the reason.
    init(_ refusal: WriteRefusal) {
        switch refusal {
        case .insufficientBackends(_, _, let refusals):
            self = !refusals.isEmpty && refusals.allSatisfy { $0 == .overQuota } ? .overQuota : .noEligibleBackend
        case .backendsFailed(let succeeded, let required, let errors):
            let evidence = errors.map { "\($0.code.rawValue): \($0.evidence)" }.joined(separator: "; ")
            self = .tooFewCopies(stored: succeeded, required: required, evidence: evidence)
        case .bodyFailed(let error): self = .body(error)
        case .fenceLost: self = .fenceLost
        // Only an intent ends so, and an intent shows nothing: the client may simply try again.
        case .catalog(.unknownOutcome(let evidence)): self = .catalog(.unavailable(evidence: evidence))
        case .catalog(let error): self = .catalog(error)
        }
    }
}

/// An incoming body as the drivers take it.
private final class DigestedBody: DigestingBody {
    private let body: IncomingBody
    init(_ body: IncomingBody) { self.body = body }
    var contentDigests: ContentDigests? { body.digests }
    func next() async throws(BodyError) -> Bytes? { try await body.reader.next() }
}
