package import HTTP
package import S3
import Transport

extension NetworkStore {
    package func createUpload(_ key: String, metadata: StoredMetadata) async throws(StoreError) -> String {
        var fields = metadata.entries.sorted { $0.key < $1.key }.map { ("x-amz-meta-\($0.key)", $0.value) }
        if let type = metadata.contentType { fields.append(("Content-Type", type)) }
        let response = try await send("CreateMultipartUpload", .post, key, query: [("uploads", nil)], fields: fields)
        try await check(response, isWrite: true)
        guard let id = ResponseDocuments.uploadID(try await document(response)) else {
            throw StoreError(.rejected, mayArriveLate: true, evidence: "the answer to CreateMultipartUpload has no UploadId")
        }
        return id
    }

    package func putPart(
        _ key: String, uploadID: String, number: Int, length: Int64, body: any BodyReader
    ) async throws(StoreError) -> StoredPart {
        let hashed = HashingReader(body)
        let response = try await send(
            "UploadPart", .put, key, query: [("partNumber", String(number)), ("uploadId", uploadID)],
            body: .stream(length: length, hashed))
        try await check(response, isWrite: true)
        _ = try await document(response)
        let etag = ETag.unquoted(response.fields["etag"] ?? "")
        try NetworkStore.verify(etag, hashed, "\(key), part \(number)")
        return StoredPart(number: number, etag: etag, size: length)
    }

    package func completeUpload(_ key: String, uploadID: String, parts: [StoredPart]) async throws(StoreError) -> StoredObject {
        var writer = XMLWriter()
        writer.element("CompleteMultipartUpload", namespaced: true) { writer in
            for part in parts {
                writer.element("Part") { writer in
                    writer.text("PartNumber", Int64(part.number))
                    writer.text("ETag", ETag.quoted(part.etag))
                }
            }
        }
        let response = try await send(
            "CompleteMultipartUpload", .post, key, query: [("uploadId", uploadID)], fields: [("Content-Type", "application/xml")],
            body: .bytes(Bytes(writer.document)))
        try await check(response, isWrite: true)
        // White space may precede the document, and the document may be an error with status 200.
        let body = try await document(response)
        guard let etag = ResponseDocuments.completedETag(body) else {
            throw StoreError(500, ResponseDocuments.error(body), isWrite: true)
        }
        return StoredObject(
            size: parts.reduce(0) { $0 + $1.size }, etag: etag,
            providerVersion: response.fields["x-amz-version-id"].flatMap { $0 == "null" ? nil : $0 })
    }

    package func abortUpload(_ key: String, uploadID: String) async throws(StoreError) {
        let response = try await send("AbortMultipartUpload", .delete, key, query: [("uploadId", uploadID)])
        do throws(StoreError) {
            try await check(response, isWrite: true)
            _ = try await document(response)
        } catch {
            guard error.code == .noSuchUpload || error.code == .noSuchKey else { throw error }
        }
    }

    package func openUploads(_ key: String) async throws(StoreError) -> [String] {
        try await listUploads(prefix: key).filter { $0.key == key }.map(\.uploadID)
    }

    package func listUploads(prefix: String) async throws(StoreError) -> [OpenUpload] {
        let response = try await send(
            "ListMultipartUploads", .get, nil,
            query: [("encoding-type", "url"), ("max-uploads", "1000"), ("prefix", prefix), ("uploads", nil)])
        do throws(StoreError) {
            try await check(response, isWrite: false)
        } catch {
            // A service that does not list uploads cannot show leftovers; its own clean-up has to find them.
            if error.code == .notSupported { return [] }
            throw error
        }
        guard let uploads = ResponseDocuments.uploads(try await document(response)) else {
            throw StoreError(.rejected, mayArriveLate: false, evidence: "the answer to ListMultipartUploads is no list")
        }
        return uploads
    }
}
