package import Catalog
import Crypto
package import HTTP
import S3

/// Checks a version's bytes on their way from one backend to another: length always; the MD5, or the MD5 of each part's MD5, where
/// the ETag is one. The last run is held back until everything matched, so a damaged source never becomes a live copy.
package final class ContentVerifier: BodyReader {
    /// `@unchecked Sendable`: one task reads at a time, by the contract of `BodyReader`.
    private final class Box: @unchecked Sendable {
        var received: Int64 = 0
        var held: Bytes?
        var isAtEnd = false
        var failure: BodyError?
        var digest = Digest(.md5)
        var partIndex = 0
        var partReceived: Int64 = 0
        var partDigests: [UInt8] = []
    }

    private let source: any BodyReader
    private let version: Version
    private let box = Box()

    package init(_ source: any BodyReader, _ version: Version) {
        self.source = source
        self.version = version
    }

    package func next() async throws(BodyError) -> Bytes? {
        if let failure = box.failure { throw failure }
        do throws(BodyError) {
            while !box.isAtEnd {
                guard let run = try await source.next() else {
                    try finish()
                    box.isAtEnd = true
                    break
                }
                take(run)
                let ready = box.held
                box.held = run
                if let ready { return ready }
            }
        } catch {
            box.failure = error
            throw error
        }
        defer { box.held = nil }
        return box.held
    }

    private func take(_ run: Bytes) {
        box.received += Int64(run.count)
        guard !version.partSizes.isEmpty else { return unsafe run.withUnsafeBytes { unsafe box.digest.update($0) } }
        var rest = run
        while !rest.isEmpty, box.partIndex < version.partSizes.count {
            let left = version.partSizes[box.partIndex] - box.partReceived
            let piece = rest.prefix(Int(min(left, Int64(rest.count))))
            unsafe piece.withUnsafeBytes { unsafe box.digest.update($0) }
            box.partReceived += Int64(piece.count)
            rest = rest.dropFirst(piece.count)
            if box.partReceived == version.partSizes[box.partIndex] { endPart() }
        }
    }

    private func endPart() {
        box.partDigests += box.digest.finalize()
        box.digest = Digest(.md5)
        box.partIndex += 1
        box.partReceived = 0
    }

    private func finish() throws(BodyError) {
        guard box.received == version.size else {
            throw .contentMismatch(
                code: S3ErrorCode.badDigest.rawValue, message: "\(box.received) bytes instead of \(version.size)")
        }
        let computed: String
        if version.partSizes.isEmpty {
            computed = Hex.encode(box.digest.finalize())
            guard ETag.isMD5(version.digests.etag) else { return }
        } else {
            computed = Hex.encode(Digest.hash(.md5, box.partDigests)) + "-\(version.partSizes.count)"
        }
        guard computed == version.digests.etag else {
            throw .contentMismatch(
                code: S3ErrorCode.badDigest.rawValue, message: "ETag \(computed) instead of \(version.digests.etag)")
        }
    }
}
