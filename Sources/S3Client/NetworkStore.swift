import Crypto
package import HTTP
package import S3
import Synchronization
package import Transport

/// A backend behind an S3 endpoint. Writes are made once: whether to repeat them is for the protocol above to decide. Reads that
/// got no answer are repeated a few times.
package final class NetworkStore: ObjectStore {
    /// Told of each call, for metrics: `outcome` is `2xx`, `4xx`, …, or `error` without any answer.
    package typealias Observer = @Sendable (_ operation: String, _ outcome: String, _ took: Duration) -> Void

    let client: HTTPClient
    let endpoint: Endpoint
    package let bucket: String
    let usesPathStyle: Bool
    let signer: RequestSigner
    let retries: ReadRetries
    let now: @Sendable () -> WallTime
    let observe: Observer
    private let known: Mutex<StoreCapabilities>

    /// - Parameters:
    ///   - retries: how often and how soon reads are repeated
    ///   - now: the wall clock, for signatures
    package init(
        client: HTTPClient, endpoint: Endpoint, bucket: String, usesPathStyle: Bool, signer: RequestSigner,
        retries: ReadRetries = ReadRetries(), now: @escaping @Sendable () -> WallTime, observe: @escaping Observer
    ) {
        self.client = client
        self.endpoint = endpoint
        self.bucket = bucket
        self.usesPathStyle = usesPathStyle
        self.signer = signer
        self.retries = retries
        self.now = now
        self.observe = observe
        known = Mutex(
            StoreCapabilities(
                conditionalCreate: false, versioned: false, lateArrivalHorizon: NetworkStore.lateArrivalHorizon,
                copiesWithin: true))
    }

    /// A signed request is refused after 15 minutes; the rest is for clocks that are wrong and proxies that wait.
    static let lateArrivalHorizon: Duration = .seconds(3600)

    /// What is not known of a service is not relied on: until a probe has shown it, there is no conditional create.
    package var capabilities: StoreCapabilities { known.withLock { $0 } }

    func learn(_ change: (inout StoreCapabilities) -> Void) { known.withLock { change(&$0) } }

    // MARK: Writing

    package func put(
        _ key: String, length: Int64, body: any BodyReader, metadata: StoredMetadata, ifAbsent: Bool
    ) async throws(StoreError) -> StoredObject {
        let upload = UploadBody(body, length: length)
        let condition = ifAbsent ? [("If-None-Match", "*")] : []
        let response = try await write(
            "PutObject", .put, key, fields: NetworkStore.fields(metadata) + condition,
            body: .stream(length: length, upload))
        await drain(response)
        try upload.verify(NetworkStore.etag(response), key)
        let version = NetworkStore.version(response)
        if version != nil { learn { $0.versioned = true } }
        return StoredObject(
            size: length, etag: NetworkStore.etag(response), providerVersion: version, metadata: metadata)
    }

    /// CopyObject with the metadata replaced. Not all services do what they answer: the copy is looked at.
    package func copy(
        _ source: String, to key: String, metadata: StoredMetadata
    ) async throws(StoreError) -> StoredObject {
        let fields = [
            ("x-amz-copy-source", "/\(bucket)/\(PercentCoding.encode(source, keepingSlash: true))"),
            ("x-amz-metadata-directive", "REPLACE"),
        ]
        let response: ClientResponse
        do throws(StoreError) {
            response = try await write(
                "CopyObject", .put, key, fields: NetworkStore.fields(metadata) + fields,
                timeouts: NetworkStore.completeTimeouts)
        } catch {
            if error.code == .notSupported { learn { $0.copiesWithin = false } }
            throw error
        }
        // The document may be an error although the status is 200.
        let body = try await document(response, isWrite: true)
        guard ResponseDocuments.completedETag(body) != nil else {
            throw StoreError(500, ResponseDocuments.error(body), isWrite: true)
        }
        let version = NetworkStore.version(response)
        if version != nil { learn { $0.versioned = true } }
        var found = try await head(key)
        // rclone's server adds to the source's metadata instead, which would describe the copy with another's words.
        let own = found.metadata.entries.filter { $0.key != "mtime" || metadata.entries["mtime"] != nil }
        let isDescribed =
            own == metadata.entries
            && (metadata.contentType == nil || found.metadata.contentType == metadata.contentType)
        guard isDescribed else {
            learn { $0.copiesWithin = false }
            throw StoreError(
                .notSupported, mayArriveLate: true, evidence: "\(key): CopyObject did not replace the metadata")
        }
        found.providerVersion = version ?? found.providerVersion
        return found
    }

    package func delete(_ key: String, providerVersion: String?) async throws(StoreError) {
        let query = providerVersion.map { [("versionId", $0)] } ?? []
        let response: ClientResponse
        do throws(StoreError) {
            response = try await write("DeleteObject", .delete, key, query: query)
        } catch {
            guard error.code == .noSuchKey else { throw error }
            return
        }
        await drain(response)
        // Where versions are kept, such a delete has only hidden the bytes, which still cost.
        if providerVersion == nil, NetworkStore.version(response) != nil { try await deleteVersions(key) }
    }

    static func fields(_ metadata: StoredMetadata) -> [(String, String)] {
        var fields = metadata.entries.sorted { $0.key < $1.key }.map { ("x-amz-meta-\($0.key)", $0.value) }
        if let type = metadata.contentType { fields.append(("Content-Type", type)) }
        return fields
    }

    // MARK: Reading

    package func get(_ key: String, range: ByteRange?) async throws(StoreError) -> StoreReading {
        let fields = range.map { [("Range", "bytes=\($0.lowerBound)-\($0.upperBound - 1)")] } ?? []
        let response = try await read("GetObject", .get, key, fields: fields)
        guard let length = response.contentLength else {
            throw StoreError(.serverError, mayArriveLate: false, evidence: "\(key): an answer without a length")
        }
        let size = try NetworkStore.size(response, length, range, key)
        return StoreReading(object: NetworkStore.object(response, size: size), length: length, body: response.body)
    }

    /// The whole object's size, once it is sure that these are the bytes that were asked for. Some servers answer a range with
    /// status 200: its Content-Range decides.
    private static func size(
        _ response: ClientResponse, _ length: Int64, _ range: ByteRange?, _ key: String
    ) throws(StoreError) -> Int64 {
        guard let range else { return length }
        guard let header = response.fields["content-range"], let content = ContentRange(header) else {
            throw StoreError(
                .serverError, mayArriveLate: false, evidence: "\(key): status \(response.status) without the range")
        }
        guard content.range == range, length == range.length else {
            throw StoreError(
                .corrupt, mayArriveLate: false,
                evidence: "\(key): \(header), \(length) bytes instead of \(range.length)")
        }
        return content.size ?? range.upperBound
    }

    package func head(_ key: String) async throws(StoreError) -> StoredObject {
        let response = try await read("HeadObject", .head, key, tolerating: 404)
        if response.status.code == 404 { throw try await whatIsMissing(key) }
        guard let size = response.fields["content-length"].flatMap({ Int64($0) }), size >= 0 else {
            throw StoreError(.serverError, mayArriveLate: false, evidence: "\(key): an answer without a length")
        }
        return NetworkStore.object(response, size: size)
    }

    /// HEAD has no body that would tell NoSuchKey from NoSuchBucket: a listing does, and fails where the bucket is not there.
    private func whatIsMissing(_ key: String) async throws(StoreError) -> StoreError {
        let listing = try await list(prefix: key, after: nil, limit: 1)
        guard listing.entries.contains(where: { $0.key.utf8.elementsEqual(key.utf8) }) else {
            return StoreError(.noSuchKey, mayArriveLate: false, evidence: "404 for \(key)")
        }
        return StoreError(.serverError, mayArriveLate: false, evidence: "404 for \(key), which is listed")
    }

    static func object(_ response: ClientResponse, size: Int64) -> StoredObject {
        var metadata = StoredMetadata(contentType: response.fields["content-type"])
        for field in response.fields.all {
            let name = field.name.lowercased()
            if name.hasPrefix("x-amz-meta-") {
                metadata.entries[String(name.dropFirst("x-amz-meta-".count))] = field.value
            }
        }
        return StoredObject(
            size: size, etag: etag(response), providerVersion: version(response), metadata: metadata,
            modified: response.fields["last-modified"].flatMap { WallTime(httpDate: $0) })
    }

    // MARK: Answers

    /// Where a bucket keeps versions; `null` is what others and suspended ones say.
    static func version(_ response: ClientResponse) -> String? {
        response.fields["x-amz-version-id"].flatMap { $0 == "null" || $0.isEmpty ? nil : $0 }
    }

    /// Of objects under SSE-KMS or SSE-C the ETag looks like an MD5 and is none (AWS, "Object", ETag): the mark makes it a token.
    static let encryptedMark = "sse:"

    static func etag(_ response: ClientResponse) -> String {
        let etag = ETag.unquoted(response.fields["etag"] ?? "")
        let isEncrypted =
            response.fields["x-amz-server-side-encryption"]?.hasPrefix("aws:kms") ?? false
            || response.fields["x-amz-server-side-encryption-customer-algorithm"] != nil
        return isEncrypted && ETag.isMD5(etag) ? encryptedMark + etag : etag
    }
}

/// `bytes 0-9/100`, of which the size may be `*` (RFC 9110 §14.4).
struct ContentRange: Equatable {
    let range: ByteRange
    let size: Int64?

    init?(_ header: String) {
        guard header.hasPrefix("bytes ") else { return nil }
        let halves = header.dropFirst(6).split(separator: "/", omittingEmptySubsequences: false)
        let ends = halves.first?.split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) } ?? []
        guard halves.count == 2, ends.count == 2, let first = ends[0], let last = ends[1], first >= 0, first <= last,
            last < Int64.max
        else { return nil }
        range = ByteRange(first, last + 1)
        size = Int64(halves[1])
        if halves[1] != "*", size.map({ $0 <= last }) ?? true { return nil }
    }
}
