import Crypto
import HTTP
import S3

/// Writes `aws-chunked` bodies as clients do, right and wrong.
struct ChunkedWire: Sendable {
    enum Form: Sendable, CaseIterable { case signed, signedTrailer, unsignedTrailer }

    static let scope = SigningScope(date: "20130524", region: "us-east-1", service: "s3")
    static let time = "20130524T000000Z"
    static let key = SignatureV4.signingKey(secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", scope)
    static let trailerName = "x-amz-checksum-crc32c"

    var form: Form
    var seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    var lineEnd = "\r\n"
    var trailerEnd = "\r\n"
    /// minio-go: an empty line before the signature, or after the end.
    var beforeSignature = ""
    var end = "\r\n"

    var signing: ChunkSigning? {
        form == .unsignedTrailer
            ? nil
            : ChunkSigning(signingKey: ChunkedWire.key, scope: ChunkedWire.scope, time: ChunkedWire.time, seed: seed)
    }

    func bytes(_ chunks: [[UInt8]], trailer: String? = nil) -> [UInt8] {
        var previous = seed
        var wire: [UInt8] = []
        func sign(_ kind: String, _ lines: [String]) -> String {
            let text = (["AWS4-HMAC-SHA256-\(kind)", ChunkedWire.time, ChunkedWire.scope.text, previous] + lines)
                .joined(separator: "\n")
            previous = Hex.encode(SignatureV4.signature(text, key: ChunkedWire.key))
            return previous
        }
        for chunk in chunks + [[]] {
            wire += Array(String(chunk.count, radix: 16).utf8)
            if form != .unsignedTrailer {
                let hash = Hex.encode(Digest.hash(.sha256, chunk))
                wire += Array(";chunk-signature=\(sign("PAYLOAD", [PayloadMode.emptyHash, hash]))".utf8)
            }
            wire += Array(lineEnd.utf8) + chunk + (chunk.isEmpty ? [] : Array(lineEnd.utf8))
        }
        if form != .signed {
            let line = trailer ?? "\(ChunkedWire.trailerName):\(ChunkedWire.crc32c(chunks.flatMap { $0 }))"
            wire += Array((line + trailerEnd).utf8)
            if form == .signedTrailer {
                let hash = Hex.encode(Digest.hash(.sha256, line + "\n"))
                wire += Array((beforeSignature + "x-amz-trailer-signature:\(sign("TRAILER", [hash]))" + lineEnd).utf8)
            }
        }
        return wire + Array(end.utf8)
    }

    static func crc32c(_ content: [UInt8]) -> String {
        var checksum = Checksum(.crc32c)
        content.withUnsafeBytes { checksum.update($0) }
        return checksum.finalize()
    }

    func reader(_ wire: [UInt8], length: Int, runs: [Int] = []) -> AWSChunkedReader {
        AWSChunkedReader(
            BytesReader(runs: ChunkedWire.split(wire, runs)), signing: signing, hasTrailer: form != .signed,
            declaredTrailers: form == .signed ? [] : [ChunkedWire.trailerName], declaredLength: Int64(length))
    }

    /// Cut after each of the places.
    static func split(_ wire: [UInt8], _ places: [Int]) -> [Bytes] {
        let edges = [0] + places.sorted() + [wire.count]
        return zip(edges, edges.dropFirst()).map { Bytes(wire[$0..<$1]) }
    }

    /// The content, or the error and what came before it.
    func decoded(_ wire: [UInt8], length: Int, runs: [Int] = []) async -> (content: [UInt8], error: BodyError?) {
        let reader = reader(wire, length: length, runs: runs)
        var content: [UInt8] = []
        do throws(BodyError) {
            while let run = try await reader.next() { content += run.array }
            return (content, nil)
        } catch {
            return (content, error)
        }
    }
}
