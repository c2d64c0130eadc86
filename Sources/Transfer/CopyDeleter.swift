package import Catalog
import S3

/// Deletes the bytes of one doomed copy: carries out `DeleteProtocol`. Only claimed, durably doomed rows come here.
package struct CopyDeleter: Sendable {
    private let context: TransferContext

    package init(context: TransferContext) { self.context = context }

    package func delete(_ doomed: DoomedCopy) async -> DeletionResult {
        let backoff = RetryBackoff(first: context.limits.deleteBackoff, max: context.limits.deleteBackoffMax)
        // 30 random bits as a fraction.
        let jitter = Double(context.identifiers.makeNameSuffix() & 0x3FFF_FFFF) / Double(1 << 30)
        guard let store = context.stores[doomed.copy.backend] else {
            return .failed(
                retryAfter: backoff.pause(after: doomed.attempts, jitter: jitter),
                evidence: "no connection is configured")
        }
        var machine = DeleteProtocol(
            doomed, horizon: store.capabilities.lateArrivalHorizon, backoff: backoff, jitter: jitter)
        var effects = machine.start()
        while let effect = effects.first {
            effects.removeFirst()
            if case .finish(let result) = effect { return result }
            do throws(StoreError) {
                effects += machine.handle(try await run(effect, doomed.copy, store))
            } catch {
                effects += machine.handle(.failed(error))
            }
        }
        return .failed(retryAfter: backoff.max, evidence: "the deletion ended without a result")
    }

    private func run(
        _ effect: DeleteProtocol.Effect, _ copy: Copy, _ store: any ObjectStore
    ) async throws(StoreError) -> DeleteProtocol.Event {
        switch effect {
        case .listUploads: return .uploads(try await store.openUploads(copy.physicalKey))
        case .abort(let upload):
            try await store.abortUpload(copy.physicalKey, uploadID: upload)
            return .aborted
        case .delete:
            try await store.delete(copy.physicalKey, providerVersion: copy.providerVersion)
            context.crashPlan.reached(.afterBackendDelete)
            return .deleted
        case .look:
            do throws(StoreError) {
                _ = try await store.head(copy.physicalKey)
                return .looked(isThere: true)
            } catch {
                guard error.code == .noSuchKey else { throw error }
                return .looked(isThere: false)
            }
        case .finish: preconditionFailure("a result is returned, not run")
        }
    }
}
