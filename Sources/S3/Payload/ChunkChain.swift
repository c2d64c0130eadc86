import Crypto
import HTTP

/// The chain of signatures over the chunks of one body: each is bound to the one before, the first to the request's own.
final class ChunkChain {
    static let trailerSignature = "x-amz-trailer-signature"

    /// What the chunk that is being read says its signature is.
    var signature = ""

    private let key: HMACSHA256.Key
    private let time: String
    private let scope: String
    private var previous: String
    private var hash = Digest(.sha256)

    init(_ signing: ChunkSigning) {
        key = HMACSHA256.Key(signing.signingKey)
        time = signing.time
        scope = signing.scope.text
        previous = signing.seed
    }

    func update(_ run: Bytes) { run.withUnsafeBytes { hash.update($0) } }

    func endChunk() throws(BodyError) {
        let content = Hex.encode(hash.finalize())
        hash = Digest(.sha256)
        try check(
            "AWS4-HMAC-SHA256-PAYLOAD\n\(time)\n\(scope)\n\(previous)\n\(PayloadMode.emptyHash)\n\(content)",
            against: signature)
        previous = signature
    }

    /// Trailers are signed as they came, each as `name:value` and LF.
    func endTrailers(_ trailers: Fields) throws(BodyError) {
        let text = trailers.all.filter { $0.name != ChunkChain.trailerSignature }.map { "\($0.name):\($0.value)\n" }
            .joined()
        let content = Hex.encode(Digest.hash(.sha256, text))
        try check(
            "AWS4-HMAC-SHA256-TRAILER\n\(time)\n\(scope)\n\(previous)\n\(content)",
            against: trailers[ChunkChain.trailerSignature] ?? "")
    }

    private func check(_ stringToSign: String, against claimed: String) throws(BodyError) {
        guard constantTimeEquals(key.authenticate(stringToSign), Hex.decode(claimed) ?? []) else {
            throw .contentMismatch(
                code: S3ErrorCode.signatureDoesNotMatch.rawValue,
                message: "The signature of a chunk or of the trailer does not match.")
        }
    }
}
