package import HTTP
package import S3
import Transport

extension NetworkStore {
    package func createUpload(_ key: String, metadata: StoredMetadata) async throws(StoreError) -> String {
        let response = try await write(
            "CreateMultipartUpload", .post, key, query: [("uploads", "")], fields: NetworkStore.fields(metadata))
        guard let id = ResponseDocuments.uploadID(try await document(response, isWrite: true)), !id.isEmpty else {
            throw StoreError(
                .serverError, mayArriveLate: true, evidence: "the answer to CreateMultipartUpload has no UploadId")
        }
        return id
    }

    package func putPart(
        _ key: String, uploadID: String, number: Int, length: Int64, body: any BodyReader
    ) async throws(StoreError) -> StoredPart {
        let upload = UploadBody(body, length: length)
        let response = try await write(
            "UploadPart", .put, key, query: [("partNumber", String(number)), ("uploadId", uploadID)],
            body: .stream(length: length, upload))
        await drain(response)
        try upload.verify(NetworkStore.etag(response), "\(key), part \(number)")
        return StoredPart(number: number, etag: NetworkStore.etag(response), size: length)
    }

    package func completeUpload(_ key: String, uploadID: String, parts: [StoredPart]) async throws(StoreError)
        -> StoredObject
    {
        let response = try await write(
            "CompleteMultipartUpload", .post, key, query: [("uploadId", uploadID)],
            fields: [("Content-Type", "application/xml")], body: .bytes(Bytes(NetworkStore.completeDocument(parts))),
            timeouts: NetworkStore.completeTimeouts)
        // White space may precede the document, and the document may be an error although the status is 200.
        let body = try await document(response, isWrite: true)
        guard let etag = ResponseDocuments.completedETag(body) else {
            throw StoreError(500, ResponseDocuments.error(body), isWrite: true)
        }
        let version = NetworkStore.version(response)
        if version != nil { learn { $0.versioned = true } }
        return StoredObject(size: parts.reduce(0) { $0 + $1.size }, etag: etag, providerVersion: version)
    }

    private static func completeDocument(_ parts: [StoredPart]) -> String {
        var writer = XMLWriter()
        writer.element("CompleteMultipartUpload", namespaced: true) { writer in
            for part in parts {
                let etag =
                    part.etag.hasPrefix(encryptedMark) ? String(part.etag.dropFirst(encryptedMark.count)) : part.etag
                writer.element("Part") { writer in
                    writer.text("PartNumber", Int64(part.number))
                    writer.text("ETag", ETag.quoted(etag))
                }
            }
        }
        return writer.document
    }

    package func abortUpload(_ key: String, uploadID: String) async throws(StoreError) {
        do throws(StoreError) {
            await drain(try await write("AbortMultipartUpload", .delete, key, query: [("uploadId", uploadID)]))
        } catch {
            guard error.code == .noSuchUpload || error.code == .noSuchKey else { throw error }
        }
    }

    package func openUploads(_ key: String) async throws(StoreError) -> [String] {
        try await listUploads(prefix: key).filter { $0.key.utf8.elementsEqual(key.utf8) }.map(\.uploadID)
    }

    package func listUploads(prefix: String) async throws(StoreError) -> [OpenUpload] {
        let query = [("encoding-type", "url"), ("max-uploads", "1000"), ("prefix", prefix), ("uploads", "")]
        let response: ClientResponse
        do throws(StoreError) {
            response = try await read("ListMultipartUploads", .get, nil, query: query)
        } catch {
            // A service that does not list uploads cannot show leftovers; its own clean-up has to find them.
            if error.code == .notSupported { return [] }
            throw error
        }
        guard let uploads = ResponseDocuments.uploads(try await document(response, isWrite: false)) else {
            throw StoreError(
                .serverError, mayArriveLate: false, evidence: "the answer to ListMultipartUploads is no list")
        }
        return uploads.filter { $0.key.utf8.starts(with: prefix.utf8) }
    }
}
