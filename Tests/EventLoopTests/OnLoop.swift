import EventLoop
import Synchronization

/// Runs `body` as the root task of a loop of its own, and stops the loop.
func onLoop<R: Sendable>(_ body: @escaping @Sendable (EventLoop) async throws -> R) async throws -> R {
    let loops = try LoopGroup(count: 1, name: "test")
    defer { loops.stop() }
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
    guard let result = outcome.withLock({ $0 }) else { throw CancellationError() }
    return try result.get()
}
