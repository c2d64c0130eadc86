import Crypto
import HTTP
import S3

/// The five payload forms, by the name a test reports.
enum PayloadForm: String, Sendable, CaseIterable {
    case signed, unsigned, streamingSigned, streamingSignedTrailer, streamingUnsigned

    func mode(_ content: [UInt8]) -> PayloadMode {
        switch self {
        case .signed: .signed(Hex.encode(Digest.hash(.sha256, content)))
        case .unsigned: .unsigned
        case .streamingSigned: .streamingSigned(hasTrailer: false)
        case .streamingSignedTrailer: .streamingSigned(hasTrailer: true)
        case .streamingUnsigned: .streamingUnsigned
        }
    }
    var hasTrailer: Bool { self == .streamingSignedTrailer || self == .streamingUnsigned }
}

/// Requests as clients send them, right and wrong.
enum SignedRequest {
    static let secrets = ["photoskey": "photossecret", "readerkey": "readersecret", "lokikey": "lokisecret"]

    static func make(
        _ method: HTTP.Method, _ target: String, _ headers: [(String, String)], _ content: [UInt8],
        key: String = "photoskey",
        proof: GatewayHarness.Proof = .header, payload: PayloadForm = .signed, chunkBytes: Int = 8,
        tamper: (inout [UInt8]) -> Void = { _ in }
    ) -> Request {
        let mode = payload.mode(content)
        var head = RequestHead(method: method, target: target, fields: Fields([("Host", "s3.example.net")] + headers))
        if mode.isChunked {
            head.fields.append("x-amz-decoded-content-length", "\(content.count)")
            if payload.hasTrailer { head.fields.append("x-amz-trailer", "x-amz-checksum-crc32") }
        }
        let secret =
            switch proof {
            case .wrongSecret, .wrongSecretPresigned: "not the secret"
            case .unknownKey: "unknown"
            case .header, .presigned, .none, .both: secrets[key] ?? ""
            }
        let signer = RequestSigner(
            accessKeyID: proof == .unknownKey ? "nobody" : key, secret: secret, region: "us-east-1")
        switch proof {
        case .header, .wrongSecret, .unknownKey: signer.sign(&head, payload: mode, now: GatewayHarness.now)
        case .presigned, .wrongSecretPresigned: signer.presign(&head, expires: 600, now: GatewayHarness.now)
        case .both:
            signer.presign(&head, expires: 600, now: GatewayHarness.now)
            signer.sign(&head, payload: mode, now: GatewayHarness.now)
        case .none: head.fields.append("x-amz-content-sha256", mode.canonicalText)
        }
        var body = mode.isChunked ? chunked(content, head, secret, payload, chunkBytes) : content
        tamper(&body)
        return Request(
            head: head, contentLength: Int64(body.count), body: BytesReader(Bytes(body)), peer: "192.0.2.1:5000",
            isTLS: false)
    }

    /// `aws-chunked` framing, signed by AWS's chain where the form asks for it.
    private static func chunked(
        _ content: [UInt8], _ head: RequestHead, _ secret: String, _ form: PayloadForm, _ chunkBytes: Int
    ) -> [UInt8] {
        let time = GatewayHarness.now.basicISO8601
        let scope = SigningScope(date: String(time.prefix(8)), region: "us-east-1", service: "s3")
        let key = SignatureV4.signingKey(secret: secret, scope)
        var previous = (head.fields["authorization"] ?? "").split(separator: "=").last.map(String.init) ?? ""
        let empty = PayloadMode.emptyHash
        func sign(_ lines: [String]) -> String {
            previous = Hex.encode(SignatureV4.signature(lines.joined(separator: "\n"), key: key))
            return previous
        }
        var wire: [UInt8] = []
        let pieces = stride(from: 0, to: content.count, by: chunkBytes).map {
            Array(content[$0..<min($0 + chunkBytes, content.count)])
        }
        for piece in pieces + [[]] {
            var line = String(piece.count, radix: 16)
            if form != .streamingUnsigned {
                let signature = sign([
                    "AWS4-HMAC-SHA256-PAYLOAD", time, scope.text, previous, empty,
                    Hex.encode(Digest.hash(.sha256, piece)),
                ])
                line += ";chunk-signature=\(signature)"
            }
            wire += Array((line + "\r\n").utf8) + piece + (piece.isEmpty ? [] : Array("\r\n".utf8))
        }
        guard form.hasTrailer else { return wire + Array("\r\n".utf8) }
        var checksum = Checksum(.crc32)
        content.withUnsafeBytes { checksum.update($0) }
        let trailer = "x-amz-checksum-crc32:\(checksum.finalize())"
        wire += Array((trailer + "\r\n").utf8)
        if form == .streamingSignedTrailer {
            let signature = sign([
                "AWS4-HMAC-SHA256-TRAILER", time, scope.text, previous,
                Hex.encode(Digest.hash(.sha256, trailer + "\n")),
            ])
            wire += Array("x-amz-trailer-signature:\(signature)\r\n".utf8)
        }
        return wire + Array("\r\n".utf8)
    }
}
