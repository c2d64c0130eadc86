import Catalog
import Gateway
import HTTP
import S3
import Synchronization

/// The real transfer, with failures on order where the doubles below cannot make them.
final class ScriptedTransfer: ObjectTransfer {
    private let transfer: any ObjectTransfer
    private let failure = Mutex<TransferFailure?>(nil)

    init(_ transfer: any ObjectTransfer) { self.transfer = transfer }

    /// Thrown by all calls from now on.
    func fail(with failure: TransferFailure) { self.failure.withLock { $0 = failure } }

    private func check() throws(TransferFailure) { if let failure = failure.withLock({ $0 }) { throw failure } }

    func write(
        _ order: WriteOrder, body: IncomingBody, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> Written {
        try check()
        return try await transfer.write(order, body: body, in: snapshot)
    }
    func copy(
        _ order: WriteOrder, from source: PlacedVersion, digests: ContentDigests, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> Written? {
        try check()
        return try await transfer.copy(order, from: source, digests: digests, in: snapshot)
    }
    func read(
        _ placed: PlacedVersion, range: ByteRange?, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> any BodyReader {
        try check()
        return try await transfer.read(placed, range: range, in: snapshot)
    }
    func createUpload(_ order: UploadOrder, in snapshot: GatewaySnapshot) async throws(TransferFailure) -> UploadID {
        try check()
        return try await transfer.createUpload(order, in: snapshot)
    }
    func writePart(
        _ upload: Upload, number: Int, body: IncomingBody, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> UploadPart {
        try check()
        return try await transfer.writePart(upload, number: number, body: body, in: snapshot)
    }
    func completeUpload(
        _ order: CompleteOrder, in snapshot: GatewaySnapshot
    ) async throws(TransferFailure) -> Written {
        try check()
        return try await transfer.completeUpload(order, in: snapshot)
    }
}

/// Yields some bytes and then fails, as a client does that hangs up.
final class BrokenBody: BodyReader {
    private let first: BytesReader
    private let failure: BodyError
    init(_ bytes: Bytes, _ failure: BodyError) {
        first = BytesReader(bytes)
        self.failure = failure
    }
    func next() async throws(BodyError) -> Bytes? {
        if let run = try await first.next() { return run }
        throw failure
    }
}

/// Ids in order.
final class SerialIdentifiers: IdentifierSource {
    private let serial = Mutex<UInt64>(0)
    private func next() -> ID128 {
        serial.withLock { serial in
            serial += 1
            return ID128(high: 0x0190_0000_0000_7000, low: serial)
        }
    }
    func makeVersionID() -> VersionID { VersionID(next()) }
    func makeCopyID() -> CopyID { CopyID(next()) }
    func makeLeaseToken() -> LeaseToken { LeaseToken(next()) }
    func makeUploadID() -> UploadID { UploadID(next()) }
    func makeNameSuffix() -> UInt32 { UInt32(truncatingIfNeeded: next().low) & 0x3FFF_FFFF }
}
