import Catalog
import HTTP
import S3

/// `ListBucketResult` in both forms (AWS, ListObjects and ListObjectsV2).
struct ListingDocument {
    let bucket: String
    let request: ListingRequest
    let page: ListingPage
    let tokens: ContinuationToken

    var xml: String {
        var writer = XMLWriter()
        writer.element("ListBucketResult", namespaced: true) { writer in
            writer.text("Name", bucket)
            writer.text("Prefix", coded(request.prefix))
            if let delimiter = request.delimiter { writer.text("Delimiter", coded(delimiter)) }
            writer.text("MaxKeys", Int64(request.keysMax))
            if request.encodesKeys { writer.text("EncodingType", "url") }
            switch request.form {
            case .v1: writeV1(&writer)
            case .v2: writeV2(&writer)
            case .versions: break
            }
            writer.text("IsTruncated", page.next != nil)
            for item in page.items { if case .object(let object) = item { write(object, &writer) } }
            for item in page.items {
                if case .commonPrefix(let prefix) = item {
                    writer.element("CommonPrefixes") { $0.text("Prefix", coded(prefix)) }
                }
            }
        }
        return writer.document
    }

    private func writeV1(_ writer: inout XMLWriter) {
        writer.text("Marker", coded(request.marker ?? ""))
        // AWS gives it only with a delimiter; without one clients take the last key.
        if let next = page.next, request.delimiter != nil {
            switch next {
            case .after(let key): writer.text("NextMarker", coded(key))
            case .past(let prefix): writer.text("NextMarker", coded(prefix))
            }
        }
    }

    private func writeV2(_ writer: inout XMLWriter) {
        writer.text("KeyCount", Int64(page.items.count))
        if let after = request.startAfter { writer.text("StartAfter", coded(after)) }
        if let token = request.token { writer.text("ContinuationToken", token) }
        if let next = page.next { writer.text("NextContinuationToken", tokens.seal(next)) }
    }

    private func write(_ object: ListedObject, _ writer: inout XMLWriter) {
        writer.element("Contents") { writer in
            writer.text("Key", coded(object.key))
            writer.text("LastModified", WallTime(seconds: WallTime(microseconds: object.committedAt).seconds).rfc3339)
            writer.text("ETag", ETag.quoted(object.etag))
            for algorithm in object.checksumAlgorithms.sorted() {
                writer.text("ChecksumAlgorithm", algorithm.uppercased())
            }
            if let type = object.checksumType, !object.checksumAlgorithms.isEmpty { writer.text("ChecksumType", type) }
            writer.text("Size", object.size)
            if request.wantsOwner { Owner.write(&writer) }
            writer.text("StorageClass", "STANDARD")
        }
    }

    private func coded(_ text: String) -> String {
        request.coded(text)
    }
}
