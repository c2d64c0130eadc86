import Catalog
import HTTP
import S3

extension GatewayOperations {
    /// ListObjectVersions: in a bucket that never had versioning, each object is its one version, and that is called `null`.
    func listVersions(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        let listing = try ListingRequest(request.query, form: .versions)
        let bucket = try request.bucket(name, .list, covering: listing.prefix)
        let page = try await page(of: listing, in: bucket, listing.markerPosition)
        var writer = XMLWriter()
        writer.element("ListVersionsResult", namespaced: true) { writer in
            writer.text("Name", name)
            writer.text("Prefix", listing.coded(listing.prefix))
            writer.text("KeyMarker", listing.coded(listing.marker ?? ""))
            writer.text("VersionIdMarker", request.query["version-id-marker"] ?? "")
            if let delimiter = listing.delimiter { writer.text("Delimiter", listing.coded(delimiter)) }
            writer.text("MaxKeys", Int64(listing.keysMax))
            if listing.encodesKeys { writer.text("EncodingType", "url") }
            writer.text("IsTruncated", page.next != nil)
            switch page.next {
            case .after(let key):
                writer.text("NextKeyMarker", listing.coded(key))
                writer.text("NextVersionIdMarker", "null")
            case .past(let prefix): writer.text("NextKeyMarker", listing.coded(prefix))
            case nil: break
            }
            for case .object(let object) in page.items {
                writer.element("Version") { writer in
                    writer.text("Key", listing.coded(object.key))
                    writer.text("VersionId", "null")
                    writer.text("IsLatest", true)
                    writer.text(
                        "LastModified", WallTime(seconds: WallTime(microseconds: object.committedAt).seconds).rfc3339)
                    writer.text("ETag", ETag.quoted(object.etag))
                    writer.text("Size", object.size)
                    Owner.write(&writer)
                    writer.text("StorageClass", "STANDARD")
                }
            }
            for case .commonPrefix(let prefix) in page.items {
                writer.element("CommonPrefixes") { $0.text("Prefix", listing.coded(prefix)) }
            }
        }
        return .document(writer.document)
    }
}
