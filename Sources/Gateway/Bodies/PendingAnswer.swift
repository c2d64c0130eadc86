import HTTP
import S3
import Synchronization

/// A result that is made by work which outlives its request. It is set once; any number of tasks may wait for it.
final class Pending<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var waiters: [Int: CheckedContinuation<Value?, Never>] = [:]
        var next = 0
    }
    private let state = Mutex(State())

    func finish(_ value: Value) {
        let waiters = state.withLock { state in
            state.value = value
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: value) }
    }

    /// Nil if nothing came within `limit`, or the task was cancelled.
    func value(within limit: Duration, sleep: @escaping @Sendable (Duration) async -> Void) async -> Value? {
        await withTaskGroup(of: Value?.self) { group in
            group.addTask { await self.wait() }
            group.addTask {
                await sleep(limit)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    /// Nil when the task is cancelled first.
    private func wait() async -> Value? {
        let ticket = state.withLock { state in
            state.next += 1
            return state.next
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready: Value?? = state.withLock { state in
                    if let value = state.value { return .some(value) }
                    if Task.isCancelled { return .some(nil) }
                    state.waiters[ticket] = continuation
                    return nil
                }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: ticket) }?.resume(returning: nil)
        }
    }
}

/// White space until the result is there, then its document: what S3 sends when a Complete or a Copy takes long, since clients
/// give up after a minute of silence. An error then comes in the body of a 200.
final class PatientBody<Value: Sendable>: BodyReader {
    private enum Stage { case prologue, waiting, done }

    private let pending: Pending<Value>
    private let interval: Duration
    private let sleep: @Sendable (Duration) async -> Void
    private let render: @Sendable (Value) -> String
    private let stage = Mutex(Stage.prologue)

    /// - Parameter render: makes a whole document; its XML declaration is sent ahead
    init(
        _ pending: Pending<Value>, interval: Duration, sleep: @escaping @Sendable (Duration) async -> Void,
        render: @escaping @Sendable (Value) -> String
    ) {
        self.pending = pending
        self.interval = interval
        self.sleep = sleep
        self.render = render
    }

    func next() async throws(BodyError) -> Bytes? {
        let prologue = XMLWriter().document
        switch advance() {
        case .prologue: return Bytes(prologue)
        case .done: return nil
        case .waiting:
            let value = await pending.value(within: interval, sleep: sleep)
            if Task.isCancelled { throw .cancelled }
            guard let value else { return Bytes(" ") }
            stage.withLock { $0 = .done }
            return Bytes(render(value).utf8.dropFirst(prologue.utf8.count))
        }
    }

    private func advance() -> Stage {
        stage.withLock { stage in
            defer { if case .prologue = stage { stage = .waiting } }
            return stage
        }
    }
}
