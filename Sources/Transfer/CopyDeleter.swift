package import Catalog
import S3

/// Deletes the bytes of one doomed copy: carries out `DeleteProtocol`. Only claimed, durably doomed rows come here.
package struct CopyDeleter: Sendable {
    private let context: TransferContext

    package init(context: TransferContext) { self.context = context }

    private var backoff: RetryBackoff {
        RetryBackoff(first: context.limits.deleteBackoff, max: context.limits.deleteBackoffMax)
    }

    /// 30 random bits as a fraction.
    private func jitter() -> Double { Double(context.identifiers.makeNameSuffix() & 0x3FFF_FFFF) / Double(1 << 30) }

    /// Not tried, for a reason that is likely to go away; counts as a failure.
    package func postponed(_ doomed: DoomedCopy, evidence: String) -> DeletionResult {
        .failed(retryAfter: backoff.pause(after: doomed.attempts, jitter: jitter()), evidence: evidence)
    }

    package func delete(_ doomed: DoomedCopy) async -> DeletionResult {
        guard let store = context.stores[doomed.copy.backend] else {
            return postponed(doomed, evidence: "no connection is configured")
        }
        let jitter = jitter()
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
