import Catalog
import Crypto
import HTTP
import S3

/// Whether bytes are those of a version: length always; the MD5, or the MD5 of each part's MD5, where the ETag is one.
///
/// `@unchecked Sendable`: one task feeds it at a time, by the contract of `BodyReader`; who copies it has stopped feeding.
final class VersionDigest: @unchecked Sendable {
    private let version: Version
    private(set) var received: Int64
    private var digest: Digest
    private var partIndex: Int
    private var partReceived: Int64
    private var partDigests: [UInt8]

    init(_ version: Version) {
        self.version = version
        received = 0
        digest = Digest(.md5)
        partIndex = 0
        partReceived = 0
        partDigests = []
    }

    private init(copying other: VersionDigest) {
        version = other.version
        received = other.received
        digest = other.digest.copy()
        partIndex = other.partIndex
        partReceived = other.partReceived
        partDigests = other.partDigests
    }

    func copy() -> VersionDigest { VersionDigest(copying: self) }

    func take(_ run: Bytes) {
        received += Int64(run.count)
        guard !version.partSizes.isEmpty else { return unsafe run.withUnsafeBytes { unsafe digest.update($0) } }
        var rest = run
        endParts()
        while !rest.isEmpty, partIndex < version.partSizes.count {
            let left = version.partSizes[partIndex] - partReceived
            let piece = rest.prefix(Int(min(left, Int64(rest.count))))
            unsafe piece.withUnsafeBytes { unsafe digest.update($0) }
            partReceived += Int64(piece.count)
            rest = rest.dropFirst(piece.count)
            endParts()
        }
    }

    /// Those that have all their bytes; a part may have none.
    private func endParts() {
        while partIndex < version.partSizes.count, partReceived == version.partSizes[partIndex] { endPart() }
    }

    private func endPart() {
        partDigests += digest.finalize()
        digest = Digest(.md5)
        partIndex += 1
        partReceived = 0
    }

    /// Behind the last byte; once.
    func finish() throws(BodyError) {
        guard received == version.size else {
            throw .contentMismatch(
                code: S3ErrorCode.badDigest.rawValue, message: "\(received) bytes instead of \(version.size)")
        }
        let computed: String
        if version.partSizes.isEmpty {
            computed = Hex.encode(digest.finalize())
            guard ETag.isMD5(version.digests.etag) else { return }
        } else {
            endParts()
            computed = Hex.encode(Digest.hash(.md5, partDigests)) + "-\(version.partSizes.count)"
        }
        guard computed == version.digests.etag else {
            throw .contentMismatch(
                code: S3ErrorCode.badDigest.rawValue, message: "ETag \(computed) instead of \(version.digests.etag)")
        }
    }
}
