import Catalog
import HTTP
import S3
import TestSupport
import Transfer

/// A client's body as the gateway hands it in: hashed on the way, its end held back until its length is right.
final class HashingBody: DigestingBody {
    private let reader: VerifyingReader
    init(_ source: any BodyReader, length: Int64) { reader = VerifyingReader(source, BodyExpectation(length: length)) }
    convenience init(_ bytes: Bytes, runBytes: Int = 100) {
        self.init(MemoryBody(bytes, runBytes: runBytes), length: Int64(bytes.count))
    }
    var contentDigests: ContentDigests? { reader.digests.map { ContentDigests(etag: $0.md5) } }
    func next() async throws(BodyError) -> Bytes? { try await reader.next() }
}

extension MemoryFleet {
    func request(
        _ key: String, size: Int, on names: [String], ack: Int = 2, minAck: Int = 1,
        precondition: WritePrecondition = .none
    ) -> WriteRequest {
        WriteRequest(
            object: object(key), bucketName: MemoryFleet.bucketName, size: Int64(size),
            headers: ObjectHeaders(contentType: "image/png"),
            targets: names.map(backend), requirement: WriteRequirement(ack: ack, minAck: minAck),
            precondition: precondition,
            readGrace: .seconds(600))
    }

    func put(
        _ key: String, _ bytes: Bytes, on names: [String], ack: Int = 2, minAck: Int = 1,
        precondition: WritePrecondition = .none,
        context: TransferContext? = nil
    ) async -> WriteResult {
        let driver = WriteDriver(ledger: catalog, context: context ?? self.context())
        return await driver.put(
            request(key, size: bytes.count, on: names, ack: ack, minAck: minAck, precondition: precondition),
            body: HashingBody(bytes))
    }

    /// Reads as a GET does.
    func read(_ key: String, range: ByteRange? = nil) async throws -> Bytes? {
        guard let placed = try await catalog.current(object(key)) else { return nil }
        let reader = CopyReader(placed.version, placed.copies, range: range, context: context()) { _ in }
        try await reader.open()
        return try await reader.collect(limit: 1 << 30)
    }

    /// Deletes what is due, until nothing is; the clock runs on past every grace and horizon.
    func sweep() async throws {
        for _ in 0..<4 {
            catalog.advance(.seconds(7200))
            _ = try await catalog.reapExpiredWrites(limit: 1_000)
            for (id, _) in stores {
                let token = identifiers.makeLeaseToken()
                for doomed in try await catalog.claimDoomed(
                    backend: id, limit: 1_000, token: token, lease: .seconds(60))
                {
                    try await catalog.settle(
                        doomed.copy.id, token: token, await CopyDeleter(context: context()).delete(doomed))
                }
            }
            _ = try await catalog.forgetGone(limit: 1_000)
        }
    }

    /// Every name on every backend, in order.
    var names: [String] { stores.sorted { $0.key < $1.key }.flatMap { $0.value.names } }
}
