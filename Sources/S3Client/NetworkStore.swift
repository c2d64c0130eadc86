package import HTTP
package import S3
package import Transport
import Crypto

/// A backend behind an S3 endpoint. Writes are made once: whether to repeat them is for the protocol above to decide. Reads that got
/// no answer are repeated a few times.
package final class NetworkStore: ObjectStore {
    /// Bodies above this wait for `100 Continue`, so that a refusal costs no transfer.
    static let expectContinueMin: Int64 = 1024 * 1024
    static let answerBytesMax = 2 * 1024 * 1024
    static let readAttemptsMax = 2

    private let client: HTTPClient
    private let endpoint: Endpoint
    private let bucket: String
    private let usesPathStyle: Bool
    private let signer: RequestSigner
    private let now: @Sendable () -> WallTime
    private let observe: @Sendable (_ operation: String, _ outcome: String, _ took: Duration) -> Void

    /// - Parameters:
    ///   - now: the wall clock, for signatures
    ///   - observe: told of each call, for metrics
    package init(
        client: HTTPClient, endpoint: Endpoint, bucket: String, usesPathStyle: Bool, signer: RequestSigner,
        now: @escaping @Sendable () -> WallTime,
        observe: @escaping @Sendable (_ operation: String, _ outcome: String, _ took: Duration) -> Void
    ) {
        self.client = client
        self.endpoint = endpoint
        self.bucket = bucket
        self.usesPathStyle = usesPathStyle
        self.signer = signer
        self.now = now
        self.observe = observe
    }

    /// What is not known of a service is not relied on: no conditional create, and old versions are not expected.
    package var capabilities: StoreCapabilities {
        StoreCapabilities(conditionalCreate: false, versioned: false, lateArrivalHorizon: .seconds(3600))
    }

    // MARK: Requests

    private func target(_ key: String?, _ query: [(String, String?)]) -> String {
        var target = usesPathStyle ? "/\(bucket)" : ""
        if let key { target += "/" + PercentCoding.encode(key, keepingSlash: true) }
        if target.isEmpty { target = "/" }
        let text = query.map { name, value in value.map { "\(name)=\(PercentCoding.encode($0))" } ?? "\(name)=" }.joined(separator: "&")
        return text.isEmpty ? target : "\(target)?\(text)"
    }

    private var place: Endpoint {
        usesPathStyle ? endpoint : Endpoint(scheme: endpoint.scheme, host: "\(bucket).\(endpoint.host)", port: endpoint.port)
    }

    func send(
        _ operation: String, _ method: Method, _ key: String?, query: [(String, String?)] = [], fields: [(String, String)] = [],
        body: ClientBody = .empty
    ) async throws(StoreError) -> ClientResponse {
        var head = RequestHead(method: method, target: target(key, query), fields: Fields(fields))
        head.fields.set("Host", place.authority)
        let payload: PayloadMode
        switch body {
        case .empty: payload = .signed(PayloadMode.emptyHash)
        case .bytes(let bytes): payload = .signed(Hex.encode(Digest.hash(.sha256, bytes.array)))
        case .stream: payload = .unsigned
        }
        signer.sign(&head, payload: payload, now: now())
        var expects = false
        if case .stream(let length, _) = body { expects = length > NetworkStore.expectContinueMin }
        let began = ContinuousClock.now
        do throws(ClientError) {
            let response = try await client.send(
                ClientRequest(endpoint: place, head: head, body: body, expectsContinue: expects))
            observe(operation, "\(response.status.code / 100)xx", began.duration(to: .now))
            return response
        } catch {
            observe(operation, "error", began.duration(to: .now))
            throw StoreError(error)
        }
    }

    /// As `send`, once more when nothing came back.
    private func sendRead(
        _ operation: String, _ method: Method, _ key: String?, query: [(String, String?)] = [], fields: [(String, String)] = []
    ) async throws(StoreError) -> ClientResponse {
        var attempt = 1
        while true {
            do throws(StoreError) {
                return try await send(operation, method, key, query: query, fields: fields)
            } catch {
                guard attempt < NetworkStore.readAttemptsMax, error.code == .reset else { throw error }
                attempt += 1
            }
        }
    }

    func document(_ response: ClientResponse) async throws(StoreError) -> [UInt8] {
        do throws(BodyError) {
            return try await response.body.collect(limit: NetworkStore.answerBytesMax).array
        } catch {
            throw StoreError(.reset, mayArriveLate: true, evidence: "the answer's body: \(error)")
        }
    }

    /// Throws unless the status is a success.
    func check(_ response: ClientResponse, isWrite: Bool) async throws(StoreError) {
        guard response.status.code >= 300 else { return }
        throw StoreError(response.status.code, ResponseDocuments.error(try await document(response)), isWrite: isWrite)
    }

    // MARK: Objects

    package func put(
        _ key: String, length: Int64, body: any BodyReader, metadata: StoredMetadata, ifAbsent: Bool
    ) async throws(StoreError) -> StoredObject {
        let hashed = HashingReader(body)
        let response = try await send(
            "PutObject", .put, key, fields: NetworkStore.fields(metadata), body: .stream(length: length, hashed))
        try await check(response, isWrite: true)
        _ = try await document(response)
        let etag = ETag.unquoted(response.fields["etag"] ?? "")
        try NetworkStore.verify(etag, hashed, key)
        return StoredObject(
            size: length, etag: etag, providerVersion: response.fields["x-amz-version-id"].flatMap { $0 == "null" ? nil : $0 },
            metadata: metadata)
    }

    static func verify(_ etag: String, _ hashed: HashingReader, _ key: String) throws(StoreError) {
        guard ETag.isMD5(etag), etag.lowercased() != hashed.md5 else { return }
        throw StoreError(.corrupt, mayArriveLate: true, evidence: "\(key): the backend stored \(etag), sent was \(hashed.md5)")
    }

    private static func fields(_ metadata: StoredMetadata) -> [(String, String)] {
        var fields = metadata.entries.sorted { $0.key < $1.key }.map { ("x-amz-meta-\($0.key)", $0.value) }
        if let type = metadata.contentType { fields.append(("Content-Type", type)) }
        return fields
    }

    package func get(_ key: String, range: ByteRange?) async throws(StoreError) -> StoreReading {
        let fields = range.map { [("Range", "bytes=\($0.lowerBound)-\($0.upperBound - 1)")] } ?? []
        let response = try await sendRead("GetObject", .get, key, fields: fields)
        try await check(response, isWrite: false)
        guard let length = response.contentLength, NetworkStore.answers(response, range) else {
            throw StoreError(.corrupt, mayArriveLate: false, evidence: "\(key): status \(response.status) with \(response.contentLength ?? -1) bytes")
        }
        return StoreReading(object: object(response, size: range == nil ? length : totalSize(response) ?? length), length: length, body: response.body)
    }

    /// Whether these are the bytes that were asked for. Some servers answer a range with 200; its Content-Range decides.
    private static func answers(_ response: ClientResponse, _ range: ByteRange?) -> Bool {
        guard let range else { return true }
        let isThatRange = response.fields["content-range"]?.hasPrefix("bytes \(range.lowerBound)-\(range.upperBound - 1)/") ?? false
        return response.contentLength == range.length && isThatRange
    }

    /// From `Content-Range: bytes 0-9/100`.
    private func totalSize(_ response: ClientResponse) -> Int64? {
        response.fields["content-range"].flatMap { $0.split(separator: "/").last }.flatMap { Int64($0) }
    }

    private func object(_ response: ClientResponse, size: Int64) -> StoredObject {
        var metadata = StoredMetadata(contentType: response.fields["content-type"])
        for field in response.fields.all {
            let name = field.name.lowercased()
            if name.hasPrefix("x-amz-meta-") { metadata.entries[String(name.dropFirst("x-amz-meta-".count))] = field.value }
        }
        return StoredObject(
            size: size, etag: ETag.unquoted(response.fields["etag"] ?? ""), providerVersion: response.fields["x-amz-version-id"],
            metadata: metadata, modified: response.fields["last-modified"].flatMap { WallTime(httpDate: $0) })
    }

    package func head(_ key: String) async throws(StoreError) -> StoredObject {
        let response = try await sendRead("HeadObject", .head, key)
        guard response.status.code == 404 else {
            try await check(response, isWrite: false)
            return object(response, size: response.fields["content-length"].flatMap { Int64($0) } ?? 0)
        }
        // HEAD has no body that would tell NoSuchKey from NoSuchBucket: a listing does.
        _ = try await list(prefix: key, after: nil, limit: 1)
        throw StoreError(.noSuchKey, mayArriveLate: false, evidence: "404 for \(key)")
    }

    package func delete(_ key: String, providerVersion: String?) async throws(StoreError) {
        let response = try await send(
            "DeleteObject", .delete, key, query: providerVersion.map { [("versionId", $0)] } ?? [])
        do throws(StoreError) {
            try await check(response, isWrite: true)
        } catch {
            guard error.code == .noSuchKey else { throw error }
        }
        _ = try await document(response)
    }

    package func list(prefix: String, after: String?, limit: Int) async throws(StoreError) -> StoreListing {
        var query: [(String, String?)] = [("encoding-type", "url"), ("list-type", "2"), ("max-keys", String(limit)), ("prefix", prefix)]
        if let after { query.append(("start-after", after)) }
        let response = try await sendRead("ListObjectsV2", .get, nil, query: query)
        try await check(response, isWrite: false)
        guard let listing = ResponseDocuments.listing(try await document(response)) else {
            throw StoreError(.rejected, mayArriveLate: false, evidence: "the answer to ListObjectsV2 is no listing")
        }
        return listing
    }
}

/// Hashes what is sent, to compare with the ETag that comes back.
final class HashingReader: BodyReader {
    /// `@unchecked Sendable`: one task reads at a time, by the contract of `BodyReader`; the digest is taken after the end.
    private final class Box: @unchecked Sendable {
        let digest = Digest(.md5)
        var finished: String?
    }
    private let source: any BodyReader
    private let box = Box()

    init(_ source: any BodyReader) { self.source = source }

    func next() async throws(BodyError) -> Bytes? {
        guard let run = try await source.next() else { return nil }
        unsafe run.withUnsafeBytes { unsafe box.digest.update($0) }
        return run
    }

    /// In hex; to be asked after the end.
    var md5: String {
        if let finished = box.finished { return finished }
        let text = Hex.encode(box.digest.finalize())
        box.finished = text
        return text
    }
}
