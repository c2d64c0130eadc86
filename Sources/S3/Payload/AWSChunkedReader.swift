package import HTTP
import Crypto
import Synchronization

/// What a streaming upload's chunks are verified with.
package struct ChunkSigning: Sendable {
    package let signingKey: [UInt8]
    package let scope: SigningScope
    package let time: String
    /// The request's own signature, in hex.
    package let seed: String
    package init(signingKey: [UInt8], scope: SigningScope, time: String, seed: String) {
        self.signingKey = signingKey
        self.scope = scope
        self.time = time
        self.seed = seed
    }
}

/// Decodes `aws-chunked` bodies in all STREAMING forms (AWS, "Signature Calculations: Transferring Payload in Multiple Chunks",
/// and "… with trailing headers"). Content is handed on before its chunk's signature is known, since chunks may be larger than
/// memory; the last run is held back until the final chunk and the trailer are verified, so nothing becomes complete unverified.
package final class AWSChunkedReader: BodyReader {
    /// A chunk's header line.
    private static let lineMax = 1024
    private static let trailersMax = 8 * 1024

    private enum Stage {
        case header
        case content(left: Int64)
        case afterContent
        case trailers
        case done
    }

    private struct State {
        var stage = Stage.header
        var input = Bytes.empty
        var line: [UInt8] = []
        var previous: String
        var signature = ""
        var chunkHash: Digest?
        var received: Int64 = 0
        /// Held back until what follows it is verified.
        var held: Bytes?
        var trailers = Fields()
        var failure: BodyError?
    }

    /// `@unchecked Sendable`: one task reads at a time, by the contract of `BodyReader`; the class is final and hands its state
    /// to nobody.
    private final class Box: @unchecked Sendable {
        var state: State
        init(_ state: State) { self.state = state }
    }

    private let source: any BodyReader
    private let signing: ChunkSigning?
    private let hasTrailer: Bool
    private let allowedTrailers: [String]
    private let declaredLength: Int64
    private let box: Box

    /// - Parameters:
    ///   - signing: nil for STREAMING-UNSIGNED-PAYLOAD-TRAILER
    ///   - declaredTrailers: names from x-amz-trailer, lower case
    ///   - declaredLength: x-amz-decoded-content-length
    package init(
        _ source: any BodyReader, signing: ChunkSigning?, hasTrailer: Bool, declaredTrailers: [String], declaredLength: Int64
    ) {
        self.source = source
        self.signing = signing
        self.hasTrailer = hasTrailer
        allowedTrailers = declaredTrailers
        self.declaredLength = declaredLength
        box = Box(State(previous: signing?.seed ?? ""))
        if signing != nil { box.state.chunkHash = Digest(.sha256) }
    }

    /// After the end of the body.
    package var trailers: Fields { box.state.trailers }

    package func next() async throws(BodyError) -> Bytes? {
        if let failure = box.state.failure { throw failure }
        do throws(BodyError) {
            return try await advance()
        } catch {
            box.state.failure = error
            throw error
        }
    }

    private func advance() async throws(BodyError) -> Bytes? {
        while true {
            if case .done = box.state.stage {
                defer { box.state.held = nil }
                return box.state.held
            }
            if box.state.input.isEmpty {
                guard let more = try await source.next() else {
                    throw .contentMismatch(code: "IncompleteBody", message: "The body ended before its last chunk.")
                }
                box.state.input = more
            }
            if let run = try take() {
                let ready = box.state.held
                box.state.held = run
                if let ready { return ready }
            }
            if case .done = box.state.stage { try await expectEnd() }
        }
    }

    /// Consumes some of the input; returns content if it met any.
    private func take() throws(BodyError) -> Bytes? {
        switch box.state.stage {
        case .header:
            guard try readLine(limit: AWSChunkedReader.lineMax) else { return nil }
            try beginChunk()
            return nil
        case .content(let left): return try takeContent(left)
        case .afterContent:
            guard try readLine(limit: 2) else { return nil }
            guard box.state.line.isEmpty else { throw .malformed("chunk longer than its size") }
            try endChunk()
            box.state.stage = .header
            return nil
        case .trailers:
            guard try readLine(limit: AWSChunkedReader.trailersMax) else { return nil }
            try trailerLine()
            return nil
        case .done: return nil
        }
    }

    private func takeContent(_ left: Int64) throws(BodyError) -> Bytes {
        let count = Int(min(left, Int64(box.state.input.count)))
        let run = box.state.input.prefix(count)
        box.state.input = box.state.input.dropFirst(count)
        box.state.received += Int64(count)
        guard box.state.received <= declaredLength else {
            throw .contentMismatch(code: "IncompleteBody", message: "More bytes than x-amz-decoded-content-length.")
        }
        if let hash = box.state.chunkHash { run.withUnsafeBytes { hash.update($0) } }
        box.state.stage = left == Int64(count) ? .afterContent : .content(left: left - Int64(count))
        return run
    }

    /// Reads up to CRLF into `line`, without it; false if the input ended before.
    private func readLine(limit: Int) throws(BodyError) -> Bool {
        let input = box.state.input
        var index = 0
        if box.state.line.last == 0x0A { box.state.line.removeAll(keepingCapacity: true) }
        var complete = false
        while index < input.count, !complete {
            let byte = input[index]
            index += 1
            box.state.line.append(byte)
            complete = byte == 0x0A
            guard box.state.line.count <= limit else { throw .malformed("chunk header too long") }
        }
        box.state.input = input.dropFirst(index)
        guard complete else { return false }
        guard box.state.line.suffix(2) == [0x0D, 0x0A] else { throw .malformed("bare LF in aws-chunked") }
        box.state.line.removeLast(2)
        return true
    }

    /// `SIZE` in hex, with `;chunk-signature=HEX` where chunks are signed.
    private func beginChunk() throws(BodyError) {
        let text = String(decoding: box.state.line, as: UTF8.self)
        box.state.line.removeAll(keepingCapacity: true)
        let parts = text.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false)
        guard let size = Int64(parts[0], radix: 16), size >= 0, !parts[0].isEmpty, parts[0].utf8.count <= 15,
            parts[0].utf8.first != 0x2B
        else { throw .malformed("malformed chunk size") }
        if signing != nil {
            guard parts.count == 2, parts[1].hasPrefix("chunk-signature=") else { throw .malformed("chunk without a signature") }
            box.state.signature = String(parts[1].dropFirst("chunk-signature=".count))
        }
        if size > 0 {
            box.state.stage = .content(left: size)
        } else {
            try endChunk()
            box.state.stage = .trailers
        }
    }

    private func endChunk() throws(BodyError) {
        guard let signing, let hash = box.state.chunkHash else { return }
        let text = [
            "AWS4-HMAC-SHA256-PAYLOAD", signing.time, signing.scope.text, box.state.previous, PayloadMode.emptyHash,
            Hex.encode(hash.finalize()),
        ].joined(separator: "\n")
        try check(text, box.state.signature, signing)
        box.state.previous = box.state.signature
        box.state.chunkHash = Digest(.sha256)
    }

    private func check(_ stringToSign: String, _ signature: String, _ signing: ChunkSigning) throws(BodyError) {
        let expected = SignatureV4.signature(stringToSign, key: signing.signingKey)
        guard constantTimeEquals(expected, Hex.decode(signature) ?? []) else {
            throw .contentMismatch(
                code: S3ErrorCode.signatureDoesNotMatch.rawValue, message: "The signature of a chunk does not match.")
        }
    }

    private func trailerLine() throws(BodyError) {
        let line = box.state.line
        box.state.line.removeAll(keepingCapacity: true)
        if line.isEmpty { return try finish() }
        guard hasTrailer, let colon = line.firstIndex(of: 0x3A), let text = String(validating: line, as: UTF8.self),
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else { throw .malformed("malformed trailer") }
        let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
        let value = text.split(separator: ":", maxSplits: 1).last.map { String($0.drop { $0 == " " }) } ?? ""
        guard name == "x-amz-trailer-signature" || allowedTrailers.contains(name), box.state.trailers.all.count < 16 else {
            throw .malformed("a trailer that x-amz-trailer does not declare")
        }
        box.state.trailers.append(name, value)
    }

    private func finish() throws(BodyError) {
        guard box.state.received == declaredLength else {
            throw .contentMismatch(code: "IncompleteBody", message: "Fewer bytes than x-amz-decoded-content-length.")
        }
        for name in allowedTrailers where box.state.trailers[name] == nil {
            throw .contentMismatch(code: "MalformedTrailerError", message: "A declared trailer is missing.")
        }
        if let signing, hasTrailer {
            let content = box.state.trailers.all.filter { $0.name != "x-amz-trailer-signature" }
                .map { "\($0.name):\($0.value)\n" }.joined()
            let text = [
                "AWS4-HMAC-SHA256-TRAILER", signing.time, signing.scope.text, box.state.previous,
                Hex.encode(Digest.hash(.sha256, content)),
            ].joined(separator: "\n")
            try check(text, box.state.trailers["x-amz-trailer-signature"] ?? "", signing)
        }
        box.state.stage = .done
    }

    /// Nothing may follow; also drives the framing below to its own end.
    private func expectEnd() async throws(BodyError) {
        guard box.state.input.isEmpty, try await source.next() == nil else {
            throw .malformed("bytes after the last chunk")
        }
    }
}
