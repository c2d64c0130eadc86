import Catalog
import HTTP
import S3

/// The forms of a listing: they differ in how they page and in what they call it.
enum ListingForm: Sendable, Equatable { case v1, v2, versions }

extension GatewayOperations {
    func listObjects(
        _ name: String, _ request: AuthenticatedRequest, form: ListingForm
    ) async throws(OperationFailure) -> Response {
        let listing = try ListingRequest(request.query, form: form)
        let bucket = try request.bucket(name, .list, covering: listing.prefix)
        let tokens = ContinuationToken(
            key: settings.tokenKey, bucket: name, prefix: listing.prefix, delimiter: listing.delimiter)
        let page = try await page(of: listing, in: bucket, try listing.position(tokens))
        return .document(ListingDocument(bucket: name, request: listing, page: page, tokens: tokens).xml)
    }

    func page(
        of listing: ListingRequest, in bucket: ServedBucket, _ position: ListingPosition?
    ) async throws(OperationFailure) -> ListingPage {
        guard listing.keysMax > 0 else { return ListingPage(items: [], next: nil) }
        let query = ListingQuery(
            bucket: bucket.id, prefix: listing.prefix, delimiter: listing.delimiter, position: position,
            limit: min(listing.keysMax, GatewayLimits.listingKeysMax))
        return try await catalogCall { () async throws(CatalogError) in try await services.index.list(query) }
    }
}
