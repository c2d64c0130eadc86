package import HTTP

/// A body freed of its `aws-chunked` framing. The last run is held back until the final chunk and the trailer are verified, so
/// that a body that fails never looks complete to whoever it is written to.
package final class AWSChunkedReader: BodyReader {
    /// `@unchecked Sendable`: one task reads at a time, by the contract of `BodyReader`; the class is final and hands its state
    /// to nobody.
    private final class Box: @unchecked Sendable {
        var decoder: AWSChunkedDecoder
        var held: Bytes?
        var failure: BodyError?
        init(_ decoder: consuming AWSChunkedDecoder) { self.decoder = decoder }
    }

    private let source: any BodyReader
    private let box: Box

    /// Parameters as `AWSChunkedDecoder`'s.
    package init(
        _ source: any BodyReader, signing: ChunkSigning?, hasTrailer: Bool, declaredTrailers: [String],
        declaredLength: Int64
    ) {
        self.source = source
        box = Box(
            AWSChunkedDecoder(
                signing: signing, hasTrailer: hasTrailer, declaredTrailers: declaredTrailers,
                declaredLength: declaredLength))
    }

    /// After the end of the body.
    package var trailers: Fields { box.decoder.trailers }

    package func next() async throws(BodyError) -> Bytes? {
        if let failure = box.failure { throw failure }
        do throws(BodyError) {
            return try await advance()
        } catch {
            box.failure = error
            throw error
        }
    }

    private func advance() async throws(BodyError) -> Bytes? {
        while true {
            switch try box.decoder.next() {
            case .content(let run):
                let ready = box.held
                box.held = run
                if let ready { return ready }
            case .needsInput:
                if let more = try await source.next() { box.decoder.feed(more) } else { try box.decoder.end() }
            case .finished:
                defer { box.held = nil }
                return box.held
            }
        }
    }
}
