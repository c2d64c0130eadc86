import Glibc
import Synchronization

/// Event loops, each on a thread of its own.
package final class LoopGroup: Sendable {
    package let loops: [EventLoop]
    private let threads: Mutex<[pthread_t]>
    private let turn = Atomic<Int>(0)

    package init(count: Int, name: String) throws(SystemError) {
        var loops: [EventLoop] = []
        for index in 0..<max(1, count) { loops.append(try EventLoop(name: "\(name)-\(index)")) }
        self.loops = loops
        threads = Mutex([])
        for loop in loops { threads.withLock { $0.append(startThread { loop.run() }) } }
    }

    package func next() -> EventLoop {
        loops[turn.wrappingAdd(1, ordering: .relaxed).oldValue % loops.count]
    }

    /// Ends the loops and joins their threads. Not to be called on one of them.
    package func stop() {
        for loop in loops { loop.stop() }
        for thread in threads.withLock({ list in
            defer { list = [] }
            return list
        }) { pthread_join(thread, nil) }
    }
}

/// Carries a closure into a thread.
private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Nonisolated on purpose: a closure at top level would inherit the main actor and trap on another thread.
private func threadEntry(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run()
    return nil
}

func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(ThreadBody(body)).toOpaque()
    let code = pthread_create(&thread, nil, threadEntry, argument)
    precondition(code == 0, "pthread_create: \(code)")
    return thread
}
