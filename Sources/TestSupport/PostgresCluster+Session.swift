package import EventLoop
package import Postgres
import Synchronization

extension PostgresCluster {
    /// Runs `body` on an event loop, with a pool on a fresh database; closes both afterwards.
    package func withDatabase<R: Sendable>(
        limits: PoolLimits = PoolLimits(), _ body: @escaping @Sendable (PostgresPool, String) async throws -> R
    ) async throws -> R {
        let uri = try createDatabase()
        return try await PostgresCluster.onLoop { _ in
            let pool = PostgresPool(uri: uri, limits: limits)
            defer { pool.closeCurrentLoop() }
            return try await body(pool, uri)
        }
    }

    /// Runs `body` as the root task of a loop of its own.
    package static func onLoop<R: Sendable>(_ body: @escaping @Sendable (EventLoop) async throws -> R) async throws -> R
    {
        let loops = try LoopGroup(count: 1, name: "test")
        let loop = loops.loops[0]
        let outcome = Mutex<Result<R, any Error>?>(nil)
        let root = loop.spawn {
            let result: Result<R, any Error>
            do { result = .success(try await body(loop)) } catch { result = .failure(error) }
            outcome.withLock { $0 = result }
        }
        await withTaskCancellationHandler {
            await root.value
        } onCancel: {
            root.cancel()
        }
        loops.stop()
        guard let result = outcome.withLock({ $0 }) else { throw CancellationError() }
        return try result.get()
    }
}
