import Crypto
package import HTTP

/// What is promised about a body, checked before its end is handed on.
package struct BodyExpectation: Sendable {
    package var length: Int64
    /// x-amz-content-sha256, in hex.
    package var sha256: String?
    /// Content-MD5, decoded.
    package var md5: [UInt8]?
    /// Base64, by algorithm; given in headers.
    package var checksums: [ChecksumAlgorithm: String]
    /// Checksums that come in a trailer.
    package var trailing: [ChecksumAlgorithm]
    /// Computed and kept although nobody promised a value.
    package var additional: [ChecksumAlgorithm]
    package init(
        length: Int64, sha256: String? = nil, md5: [UInt8]? = nil, checksums: [ChecksumAlgorithm: String] = [:],
        trailing: [ChecksumAlgorithm] = [], additional: [ChecksumAlgorithm] = []
    ) {
        self.length = length
        self.sha256 = sha256
        self.md5 = md5
        self.checksums = checksums
        self.trailing = trailing
        self.additional = additional
    }
}

/// Digests of a body that was read to its end.
package struct BodyDigests: Sendable, Equatable {
    /// In hex.
    package var md5: String
    /// Base64, by algorithm.
    package var checksums: [ChecksumAlgorithm: String]
}

/// Hashes a body on its way and checks what was promised about it. The last run is held back until everything matched, so a
/// body that fails never looks complete to whoever it is written to.
package final class VerifyingReader: BodyReader {
    /// `@unchecked Sendable`: one task reads at a time, by the contract of `BodyReader`; `digests` is read after the end.
    private final class Box: @unchecked Sendable {
        let md5 = Digest(.md5)
        var sha256: Digest?
        var checksums: [(ChecksumAlgorithm, Checksum)]
        var received: Int64 = 0
        var held: Bytes?
        var isAtEnd = false
        var failure: BodyError?
        var digests: BodyDigests?
        init(sha256: Digest?, checksums: [(ChecksumAlgorithm, Checksum)]) {
            self.sha256 = sha256
            self.checksums = checksums
        }
    }

    private let source: any BodyReader
    private let expectation: BodyExpectation
    /// Where trailing checksums are found.
    private let chunked: AWSChunkedReader?
    private let box: Box

    package init(_ source: any BodyReader, _ expectation: BodyExpectation, chunked: AWSChunkedReader? = nil) {
        self.source = source
        self.expectation = expectation
        self.chunked = chunked
        let wanted = Set(expectation.checksums.keys).union(expectation.trailing).union(expectation.additional)
        box = Box(
            sha256: expectation.sha256 == nil ? nil : Digest(.sha256),
            checksums: wanted.sorted { $0.rawValue < $1.rawValue }.map { ($0, Checksum($0)) })
    }

    /// Nil until the body was read to its end without an error.
    package var digests: BodyDigests? { box.digests }

    package func next() async throws(BodyError) -> Bytes? {
        if let failure = box.failure { throw failure }
        do throws(BodyError) {
            while !box.isAtEnd {
                guard let run = try await source.next() else {
                    try finish()
                    box.isAtEnd = true
                    break
                }
                try take(run)
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

    private func take(_ run: Bytes) throws(BodyError) {
        box.received += Int64(run.count)
        guard box.received <= expectation.length else { throw .tooLong }
        run.withUnsafeBytes { bytes in
            box.md5.update(bytes)
            box.sha256?.update(bytes)
            for index in box.checksums.indices { box.checksums[index].1.update(bytes) }
        }
    }

    private func finish() throws(BodyError) {
        guard box.received == expectation.length else {
            throw .contentMismatch(
                code: S3ErrorCode.incompleteBody.rawValue,
                message: "The body has \(box.received) bytes; \(expectation.length) were declared.")
        }
        if let promised = expectation.sha256, let digest = box.sha256, Hex.encode(digest.finalize()) != promised {
            throw .contentMismatch(
                code: S3ErrorCode.contentSHA256Mismatch.rawValue,
                message: "The provided 'x-amz-content-sha256' header does not match what was computed.")
        }
        let md5 = box.md5.finalize()
        if let promised = expectation.md5, promised != md5 {
            throw .contentMismatch(
                code: S3ErrorCode.badDigest.rawValue,
                message: "The Content-MD5 you specified did not match what we received.")
        }
        var computed: [ChecksumAlgorithm: String] = [:]
        for (algorithm, checksum) in box.checksums {
            let value = checksum.finalize()
            computed[algorithm] = value
            let promised = expectation.checksums[algorithm] ?? trailingValue(algorithm)
            if let promised, promised != value {
                throw .contentMismatch(
                    code: S3ErrorCode.badDigest.rawValue,
                    message:
                        "The \(algorithm.rawValue.uppercased()) you specified did not match the calculated checksum.")
            }
        }
        box.digests = BodyDigests(md5: Hex.encode(md5), checksums: computed)
    }

    private func trailingValue(_ algorithm: ChecksumAlgorithm) -> String? {
        expectation.trailing.contains(algorithm) ? chunked?.trailers[algorithm.headerName] : nil
    }
}
