package import Catalog
package import HTTP
import S3

/// Checks a version's bytes on their way from one backend to another, as `VersionDigest` does. The last run is held back until
/// everything matched, so a damaged source never becomes a live copy.
package final class ContentVerifier: BodyReader {
    /// `@unchecked Sendable`: one task reads at a time, by the contract of `BodyReader`.
    private final class Box: @unchecked Sendable {
        var held: Bytes?
        var isAtEnd = false
        var failure: BodyError?
    }

    private let source: any BodyReader
    private let digest: VersionDigest
    private let box = Box()

    package init(_ source: any BodyReader, _ version: Version) {
        self.source = source
        digest = VersionDigest(version)
    }

    package func next() async throws(BodyError) -> Bytes? {
        if let failure = box.failure { throw failure }
        do throws(BodyError) {
            while !box.isAtEnd {
                guard let run = try await source.next() else {
                    try digest.finish()
                    box.isAtEnd = true
                    break
                }
                digest.take(run)
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
}
