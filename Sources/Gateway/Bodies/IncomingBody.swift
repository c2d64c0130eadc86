package import Catalog
import Crypto
import HTTP
package import S3

/// The bytes that a client sends to be stored: framing removed, length known, everything that was promised about them checked
/// before their end is handed on.
package struct IncomingBody: Sendable {
    package let reader: VerifyingReader
    /// Of the content, without any framing.
    package let length: Int64

    package init(reader: VerifyingReader, length: Int64) {
        self.reader = reader
        self.length = length
    }

    /// Nil until the body was read to its end without an error.
    package var digests: ContentDigests? {
        reader.digests.map { digests in
            ContentDigests(
                etag: digests.md5,
                checksums: Dictionary(uniqueKeysWithValues: digests.checksums.map { ($0.key.rawValue, $0.value) }),
                checksumType: digests.checksums.isEmpty ? nil : "FULL_OBJECT")
        }
    }
}

extension IncomingBody {
    /// Builds the readers for whichever of the five payload forms was signed, and refuses before the first byte what can be
    /// refused by its headers.
    package init(
        _ authenticated: AuthenticatedRequest, bytesMax: Int64, additional: [ChecksumAlgorithm] = [],
        checksumsAreOfBody: Bool = true
    ) throws(OperationFailure) {
        let fields = authenticated.fields
        let mode = authenticated.payload
        try IncomingBody.refuseUnsignedFraming(authenticated)
        let length = try IncomingBody.length(authenticated.request, fields, mode)
        guard length <= bytesMax else {
            throw .refused(
                .entityTooLarge, "Your proposed upload exceeds the maximum allowed size.",
                ["ProposedSize": "\(length)", "MaxSizeAllowed": "\(bytesMax)"])
        }
        let promised = try PromisedChecksums(fields, isChunked: mode.isChunked, readsHeaders: checksumsAreOfBody)
        var expectation = BodyExpectation(
            length: length, md5: try IncomingBody.contentMD5(fields), checksums: promised.values,
            trailing: promised.trailing,
            additional: additional)
        var chunked: AWSChunkedReader?
        switch mode {
        case .signed(let hash): expectation.sha256 = hash
        case .unsigned: break
        case .streamingSigned(let hasTrailer):
            guard let signature = authenticated.signature else {
                throw .refused(.accessDenied, "Chunks can be signed only in a request that is signed itself.")
            }
            let claim = signature.claim
            let signing = ChunkSigning(
                signingKey: signature.signingKey, scope: claim.scope, time: claim.time, seed: signature.seed)
            chunked = AWSChunkedReader(
                authenticated.request.body, signing: signing, hasTrailer: hasTrailer,
                declaredTrailers: promised.trailerNames,
                declaredLength: length)
        case .streamingUnsigned:
            chunked = AWSChunkedReader(
                authenticated.request.body, signing: nil, hasTrailer: true, declaredTrailers: promised.trailerNames,
                declaredLength: length)
        }
        let source: any BodyReader = chunked ?? authenticated.request.body
        self.init(reader: VerifyingReader(source, expectation, chunked: chunked), length: length)
    }

    /// A presigned URL signs no payload form, so framing that only a header announces would be stored as content.
    private static func refuseUnsignedFraming(_ authenticated: AuthenticatedRequest) throws(OperationFailure) {
        guard case .presigned = authenticated.signature?.claim.form,
            let header = authenticated.fields["x-amz-content-sha256"], header.hasPrefix("STREAMING-"),
            !authenticated.payload.isChunked
        else { return }
        throw .refused(
            .invalidRequest, "A presigned URL cannot carry an aws-chunked body: it was signed as UNSIGNED-PAYLOAD.")
    }

    private static func length(
        _ request: Request, _ fields: Fields, _ mode: PayloadMode
    ) throws(OperationFailure) -> Int64 {
        let missing = OperationFailure.refused(
            .missingContentLength, "You must provide the Content-Length HTTP header.")
        guard mode.isChunked else {
            guard let length = request.contentLength else { throw missing }
            return length
        }
        guard let text = fields["x-amz-decoded-content-length"] else { throw missing }
        guard text.utf8.count <= 18, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let length = Int64(text) else {
            throw .refused(.invalidArgument, "x-amz-decoded-content-length must be a number of bytes.")
        }
        return length
    }

    private static func contentMD5(_ fields: Fields) throws(OperationFailure) -> [UInt8]? {
        guard let text = fields["content-md5"] else { return nil }
        guard let digest = Base64.decode(text), digest.count == 16 else {
            throw .refused(.invalidDigest, "The Content-MD5 you specified was invalid.")
        }
        return digest
    }

    /// Reads a small body whole: an XML document.
    /// - Parameters:
    ///   - checksumsAreOfBody: false with Complete, whose x-amz-checksum-* headers are about the object
    ///   - mayBeAbsent: a request without a body gives an empty document
    package static func document(
        _ authenticated: AuthenticatedRequest, checksumsAreOfBody: Bool = true, mayBeAbsent: Bool = false
    ) async throws(OperationFailure) -> [UInt8] {
        if mayBeAbsent, !authenticated.payload.isChunked, authenticated.request.contentLength == 0 { return [] }
        let body = try IncomingBody(
            try await authenticated.measured(), bytesMax: Int64(GatewayLimits.documentBytesMax),
            checksumsAreOfBody: checksumsAreOfBody)
        do throws(BodyError) {
            return try await body.reader.collect(limit: GatewayLimits.documentBytesMax).array
        } catch {
            throw .body(error)
        }
    }
}

/// The additional checksums that a request's headers promise.
struct PromisedChecksums {
    var values: [ChecksumAlgorithm: String] = [:]
    var trailing: [ChecksumAlgorithm] = []
    /// Names from x-amz-trailer, lower case.
    var trailerNames: [String] = []

    init(_ fields: Fields, isChunked: Bool, readsHeaders: Bool) throws(OperationFailure) {
        for algorithm in ChecksumAlgorithm.allCases where readsHeaders {
            guard let value = fields[algorithm.headerName] else { continue }
            guard Base64.decode(value)?.count == algorithm.byteCount else {
                throw .refused(.invalidRequest, "Value for \(algorithm.headerName) header is invalid.")
            }
            values[algorithm] = value
        }
        if isChunked, let header = fields["x-amz-trailer"] {
            trailerNames = header.split(separator: ",").map { $0.filter { $0 != " " }.lowercased() }
            trailing = ChecksumAlgorithm.allCases.filter { trailerNames.contains($0.headerName) }
            guard trailing.count == trailerNames.count else {
                throw .refused(.invalidRequest, "The value specified in the x-amz-trailer header is not supported.")
            }
        }
        guard values.count + trailing.count <= 1 else {
            throw .refused(
                .invalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum types are not allowed.")
        }
        guard
            fields["x-amz-sdk-checksum-algorithm"] == nil || values.count + trailing.count == 1
                || fields["content-md5"] != nil
        else {
            throw .refused(
                .invalidRequest,
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
            )
        }
    }
}
