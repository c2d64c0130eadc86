import Crypto
package import HTTP

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

/// Decodes `aws-chunked` in all STREAMING forms (AWS, "Signature Calculations for the Authorization Header: Transferring Payload
/// in Multiple Chunks" and "… Including Trailing Headers"), without any I/O: `feed`, then `next` until it asks for more.
///
/// Content comes out as slices of what was fed, before its chunk's signature is known, since chunks may be larger than memory:
/// nothing may become visible before `finished`.
package struct AWSChunkedDecoder: ~Copyable {
    package enum Step: Sendable, Equatable {
        case content(Bytes)
        case needsInput
        /// The framing is complete, and every signature, the length and the set of trailers are right.
        case finished
    }

    /// Bytes of a chunk's header or of a trailer, with its end of line.
    package static let lineBytesMax = 1024
    package static let trailersMax = 16
    /// 15 hex digits are more than 2^59 bytes.
    private static let sizeDigitsMax = 15

    private enum Stage {
        case header
        case content(left: Int64)
        case afterContent
        case trailers
        /// Everything is verified; what may follow is counted.
        case epilogue(count: Int)
        case done
    }

    /// After the end of the body; `x-amz-trailer-signature` is among them.
    package private(set) var trailers = Fields()

    private let chain: ChunkChain?
    private let hasTrailer: Bool
    private let declaredTrailers: [String]
    private let declaredLength: Int64
    private var stage = Stage.header
    private var input = Bytes.empty
    private var line: [UInt8] = []
    private var lineIsComplete = false
    private var received: Int64 = 0
    private var blankTrailerLines = 0

    /// - Parameters:
    ///   - signing: nil for STREAMING-UNSIGNED-PAYLOAD-TRAILER
    ///   - declaredTrailers: names from x-amz-trailer, lower case
    ///   - declaredLength: x-amz-decoded-content-length
    package init(signing: ChunkSigning?, hasTrailer: Bool, declaredTrailers: [String], declaredLength: Int64) {
        chain = signing.map { ChunkChain($0) }
        self.hasTrailer = hasTrailer
        self.declaredTrailers = declaredTrailers
        self.declaredLength = declaredLength
    }

    /// The next run; only after `needsInput`.
    package mutating func feed(_ run: Bytes) {
        precondition(input.isEmpty, "fed with \(input.count) bytes left")
        input = run
    }

    /// No more input will come.
    package mutating func end() throws(BodyError) {
        switch stage {
        case .done: return
        case .epilogue(let count): guard count == 0 || count == 2 else { throw AWSChunkedDecoder.surplus }
        // Some writers leave the last empty line away; nothing is missing without it.
        case .trailers where isAtLineStart && isTrailerComplete: try finish()
        case .trailers where isAtLineStart && hasTrailer: throw AWSChunkedDecoder.missingTrailer
        case .header, .content, .afterContent, .trailers:
            throw .contentMismatch(
                code: S3ErrorCode.incompleteBody.rawValue, message: "The body ended before its last chunk.")
        }
        stage = .done
    }

    package mutating func next() throws(BodyError) -> Step {
        while true {
            if case .done = stage { return .finished }
            if input.isEmpty { return .needsInput }
            switch stage {
            case .header:
                if try readLine(limit: AWSChunkedDecoder.lineBytesMax) { try beginChunk() }
            case .content(let left): return .content(try takeContent(left))
            case .afterContent:
                guard try readLine(limit: 2) else { continue }
                guard line.isEmpty else { throw .malformed("a chunk is longer than its size") }
                try chain?.endChunk()
                stage = .header
            case .trailers:
                if try readLine(limit: AWSChunkedDecoder.lineBytesMax, bareLF: true) { try trailerLine() }
            case .epilogue(let count): try skipEpilogue(count)
            case .done: break
            }
        }
    }

    private mutating func takeContent(_ left: Int64) throws(BodyError) -> Bytes {
        let count = Int(min(left, Int64(input.count)))
        let run = input.prefix(count)
        input = input.dropFirst(count)
        received += Int64(count)
        guard received <= declaredLength else {
            throw .contentMismatch(
                code: S3ErrorCode.incompleteBody.rawValue, message: "More bytes than x-amz-decoded-content-length.")
        }
        chain?.update(run)
        stage = left == Int64(count) ? .afterContent : .content(left: left - Int64(count))
        return run
    }

    /// Reads up to the end of a line into `line`, without it; false if the input ended before.
    private mutating func readLine(limit: Int, bareLF: Bool = false) throws(BodyError) -> Bool {
        if lineIsComplete {
            line.removeAll(keepingCapacity: true)
            lineIsComplete = false
        }
        var index = 0
        while index < input.count, !lineIsComplete {
            let byte = input[index]
            index += 1
            line.append(byte)
            lineIsComplete = byte == 0x0A
            guard line.count <= limit else { throw .malformed("a line of the chunked framing is too long") }
        }
        input = input.dropFirst(index)
        guard lineIsComplete else { return false }
        line.removeLast()
        if line.last == 0x0D { line.removeLast() } else if !bareLF { throw .malformed("bare LF in aws-chunked") }
        return true
    }

    /// `SIZE` in hex, with `;chunk-signature=HEX` where chunks are signed.
    private mutating func beginChunk() throws(BodyError) {
        let text = String(decoding: line, as: UTF8.self)
        let parts = text.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts[0].utf8.count <= AWSChunkedDecoder.sizeDigitsMax, parts[0].utf8.allSatisfy(\.isHexDigit),
            let size = Int64(parts[0], radix: 16)
        else { throw .malformed("malformed chunk size") }
        if let chain {
            guard parts.count == 2, parts[1].hasPrefix("chunk-signature=") else {
                throw .malformed("chunk without a signature")
            }
            chain.signature = String(parts[1].dropFirst("chunk-signature=".count))
        }
        if size > 0 {
            stage = .content(left: size)
        } else {
            try chain?.endChunk()
            stage = .trailers
        }
    }

    // MARK: The end

    private var isAtLineStart: Bool { line.isEmpty || lineIsComplete }

    private var isTrailerComplete: Bool {
        declaredTrailers.allSatisfy { trailers[$0] != nil }
            && (chain == nil || !hasTrailer || trailers[ChunkChain.trailerSignature] != nil)
    }

    private mutating func trailerLine() throws(BodyError) {
        if line.isEmpty {
            // minio-go ends each trailer with LF alone, and puts an empty line before the signature or after the end.
            blankTrailerLines += 1
            if isTrailerComplete { return try finish() }
            guard hasTrailer, blankTrailerLines <= 2 else { throw AWSChunkedDecoder.missingTrailer }
            return
        }
        guard hasTrailer, let colon = line.firstIndex(of: 0x3A),
            let value = String(validating: line[(colon + 1)...], as: UTF8.self),
            value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else { throw .malformed("malformed trailer") }
        let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
        guard declaredTrailers.contains(name) || chain != nil && name == ChunkChain.trailerSignature,
            trailers[name] == nil,
            trailers.all.count < AWSChunkedDecoder.trailersMax
        else {
            throw .contentMismatch(
                code: S3ErrorCode.malformedTrailer.rawValue,
                message: "A trailer that x-amz-trailer does not declare, or declares once.")
        }
        trailers.append(name, value.trimmingSpaces())
    }

    private mutating func finish() throws(BodyError) {
        guard received == declaredLength else {
            throw .contentMismatch(
                code: S3ErrorCode.incompleteBody.rawValue, message: "Fewer bytes than x-amz-decoded-content-length.")
        }
        if hasTrailer { try chain?.endTrailers(trailers) }
        stage = .epilogue(count: 0)
    }

    /// minio-go's unsigned trailers are followed by one more empty line.
    private mutating func skipEpilogue(_ count: Int) throws(BodyError) {
        let bytes = input.prefix(2).array
        guard hasTrailer, count + input.count <= 2, bytes == Array([0x0D, 0x0A][count..<(count + bytes.count)]) else {
            throw AWSChunkedDecoder.surplus
        }
        stage = .epilogue(count: count + bytes.count)
        input = .empty
    }

    private static let surplus = BodyError.malformed("bytes after the last chunk")
    private static let missingTrailer = BodyError.contentMismatch(
        code: S3ErrorCode.malformedTrailer.rawValue,
        message: "A trailer that x-amz-trailer declares, or its signature, is missing.")
}

extension UInt8 {
    fileprivate var isHexDigit: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
        default: false
        }
    }
}
