package import Catalog

/// Renews a lease while something runs.
package enum LeaseKeeper {
    /// - Parameter renew: for another `lease`; false: it was lost, which whoever commits under it finds out
    package static func keeping<Answer: Sendable>(
        _ lease: Duration, _ context: TransferContext,
        _ renew: @escaping @Sendable () async throws(CatalogError) -> Bool,
        _ body: @escaping @Sendable () async -> Answer
    ) async -> Answer {
        await withTaskGroup(of: Answer?.self) { group in
            group.addTask { await body() }
            group.addTask {
                while !Task.isCancelled {
                    do throws(CancellationError) { try await context.sleep(lease / 3) } catch { return nil }
                    // A renewal that fails is tried again; if the lease is lost, the commit's fence says so.
                    do throws(CatalogError) { if try await !renew() { return nil } } catch { continue }
                }
                return nil
            }
            var answer: Answer?
            while answer == nil, let next = await group.next() { answer = next }
            group.cancelAll()
            guard let answer else { preconditionFailure("the body's task always answers") }
            return answer
        }
    }

    /// The lease of a version's writing copies.
    package static func keepingWrite<Answer: Sendable>(
        _ version: VersionID, _ token: LeaseToken, _ writes: any WriteLedger, _ context: TransferContext,
        _ body: @escaping @Sendable () async -> Answer
    ) async -> Answer {
        let lease = context.limits.writeLease
        return await keeping(
            lease, context,
            { () async throws(CatalogError) in try await writes.renew(version, token: token, lease: lease) }, body)
    }
}
