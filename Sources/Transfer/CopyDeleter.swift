package import Catalog
import S3

/// Deletes the bytes of one doomed copy (DESIGN §6, Physical delete). Only claimed, durably doomed rows come here.
package struct CopyDeleter: Sendable {
    private let context: TransferContext

    package init(context: TransferContext) { self.context = context }

    package func delete(_ doomed: DoomedCopy) async -> DeletionResult {
        guard let store = context.stores[doomed.copy.backend] else {
            return .failed(retryAfter: backoff(doomed), evidence: "no connection is configured")
        }
        do throws(StoreError) {
            // What an interrupted multipart upload left; a Complete on its way would otherwise bring the name back.
            for upload in try await store.openUploads(doomed.copy.physicalKey) {
                try await store.abortUpload(doomed.copy.physicalKey, uploadID: upload)
            }
            try await store.delete(doomed.copy.physicalKey, providerVersion: doomed.copy.providerVersion)
            context.crashPlan.reached(.afterBackendDelete)
        } catch {
            return .failed(retryAfter: backoff(doomed), evidence: "\(error.code.rawValue): \(error.evidence)")
        }
        let horizon = store.capabilities.lateArrivalHorizon
        if doomed.mayArriveLate, !doomed.isSecondLook, horizon > .zero { return .lookAgain(after: horizon) }
        return .gone
    }

    private func backoff(_ doomed: DoomedCopy) -> Duration {
        let doublings = min(doomed.attempts, 20)
        return min(context.limits.deleteBackoff * (1 << doublings), context.limits.deleteBackoffMax)
    }
}
