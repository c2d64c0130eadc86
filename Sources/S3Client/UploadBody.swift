import Crypto
import HTTP
import S3

/// A body on its way to a backend: hashed, to compare with the ETag that comes back, and its last run held back until its source
/// has ended well, so that a body that fails is never complete for the backend.
final class UploadBody: BodyReader {
    /// `@unchecked Sendable`: one task reads at a time, by the contract of `BodyReader`; the digest is asked for after the end.
    private final class Box: @unchecked Sendable {
        let digest = Digest(.md5)
        var received: Int64 = 0
        var held: Bytes?
        var outcome: Result<String, BodyError>?
    }
    private let source: any BodyReader
    private let length: Int64
    private let box = Box()

    init(_ source: any BodyReader, length: Int64) {
        self.source = source
        self.length = length
    }

    func next() async throws(BodyError) -> Bytes? {
        do throws(BodyError) {
            while box.outcome == nil {
                guard let run = try await source.next() else {
                    guard box.received == length else { throw .truncated }
                    box.outcome = .success(Hex.encode(box.digest.finalize()))
                    break
                }
                box.received += Int64(run.count)
                guard box.received <= length else { throw .tooLong }
                unsafe run.withUnsafeBytes { unsafe box.digest.update($0) }
                let ready = box.held
                box.held = run
                if let ready { return ready }
            }
        } catch {
            box.outcome = .failure(error)
            box.held = nil
        }
        defer { box.held = nil }
        if case .failure(let error) = box.outcome { throw error }
        return box.held
    }

    /// What the backend says it stored must be what was sent. An ETag that is no MD5 says nothing.
    func verify(_ etag: String, _ name: String) throws(StoreError) {
        guard ETag.isMD5(etag) else { return }
        guard case .success(let md5) = box.outcome else {
            throw StoreError(.corrupt, mayArriveLate: false, evidence: "\(name): acknowledged before its body was sent")
        }
        guard etag.lowercased() == md5 else {
            throw StoreError(
                .corrupt, mayArriveLate: false, evidence: "\(name): the backend stored \(etag), sent was \(md5)")
        }
    }
}
