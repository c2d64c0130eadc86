import Catalog
import HTTP
import S3

/// The two forms of a listing: they differ in how they page and in what they call it.
enum ListingForm: Sendable, Equatable { case v1, v2 }

extension GatewayOperations {
    func listObjects(
        _ name: String, _ request: AuthenticatedRequest, form: ListingForm
    ) async throws(OperationFailure) -> Response {
        let listing = try ListingRequest(request.query, form: form)
        let bucket = try request.bucket(name, .read, covering: listing.prefix)
        let tokens = ContinuationToken(
            key: settings.tokenKey, bucket: name, prefix: listing.prefix, delimiter: listing.delimiter)
        let position = try listing.position(tokens)
        var page = ListingPage(items: [], next: nil)
        if listing.keysMax > 0 {
            let query = ListingQuery(
                bucket: bucket.id, prefix: listing.prefix, delimiter: listing.delimiter, position: position,
                limit: min(listing.keysMax, GatewayLimits.listingKeysMax))
            page = try await catalogCall { () async throws(CatalogError) in try await services.index.list(query) }
        }
        return .document(ListingDocument(bucket: name, request: listing, page: page, tokens: tokens).xml)
    }
}
