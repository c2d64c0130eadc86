import CLinux
import Glibc
import Synchronization

/// One thread that waits with epoll and runs Swift tasks: a `TaskExecutor` for the tasks of its connections and a
/// `SerialExecutor` for actors that live on it.
///
/// A suspension that resumes on the same loop costs a fraction of a microsecond. That holds only for tasks that were made
/// by `spawn`: a plain `Task` resumes on the global pool and hops, at twenty times the cost.
package final class EventLoop: TaskExecutor, SerialExecutor, Sendable {
    /// Everything that other threads may touch.
    private struct Shared {
        var jobs: [UnownedJob] = []
        var isWakeupPending = false
        var isStopping = false
    }

    /// Rounds of jobs between two looks at the sockets and timers: jobs that make jobs cost no system call each, and cannot keep
    /// the loop to themselves either.
    private static let roundsMax = 8

    package let name: String
    let epoll: CInt
    private let wakeup: CInt
    private let shared = Mutex(Shared())
    let timers = Mutex(TimerHeap())
    let watches = Mutex(WatchTable())

    /// Throws if the system refuses an epoll or eventfd descriptor.
    package init(name: String) throws(SystemError) {
        EventLoop.ignoreBrokenPipes
        self.name = name
        epoll = epoll_create1(CLINUX_EPOLL_CLOEXEC)
        guard epoll >= 0 else { throw SystemError("epoll_create1") }
        wakeup = eventfd(0, CLINUX_EVENTFD_FLAGS)
        guard wakeup >= 0 else {
            Glibc.close(epoll)
            throw SystemError("eventfd")
        }
        guard clinux_epoll_control(epoll, CLINUX_ADD, wakeup, CLINUX_READABLE, WatchTable.wakeupToken) == 0 else {
            throw SystemError("epoll_ctl")
        }
    }

    deinit {
        Glibc.close(wakeup)
        Glibc.close(epoll)
    }

    /// OpenSSL writes to sockets with write(2), which has no MSG_NOSIGNAL: a peer that hung up would end the process.
    private static let ignoreBrokenPipes: Void = { signal(SIGPIPE, SIG_IGN) }()

    // MARK: The current loop

    /// The loop whose thread this is, if it is one.
    package static var current: EventLoop? {
        guard let pointer = pthread_getspecific(currentKey) else { return nil }
        return Unmanaged<EventLoop>.fromOpaque(pointer).takeUnretainedValue()
    }

    private static let currentKey: pthread_key_t = {
        var key = pthread_key_t()
        let code = pthread_key_create(&key, nil)
        precondition(code == 0, "pthread_key_create: \(code)")
        return key
    }()

    // MARK: Executor

    package func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        let mustWake = shared.withLock { shared in
            shared.jobs.append(unowned)
            if shared.isWakeupPending { return false }
            shared.isWakeupPending = true
            return true
        }
        if mustWake && EventLoop.current !== self { wake() }
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    package func checkIsolated() {
        precondition(EventLoop.current === self, "not on event loop \(name)")
    }

    package func isIsolatingCurrentContext() -> Bool? { EventLoop.current === self }

    /// The one place that makes unstructured tasks: the root of a connection or of a service, on this loop.
    @discardableResult
    package func spawn(_ body: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
        Task(executorPreference: self, operation: body)
    }

    // MARK: Running

    /// Runs on the calling thread until `stop`.
    package func run() {
        pthread_setspecific(EventLoop.currentKey, Unmanaged.passUnretained(self).toOpaque())
        defer { pthread_setspecific(EventLoop.currentKey, nil) }
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        var jobs: [UnownedJob] = []
        while true {
            var rounds = 0
            repeat {
                rounds += 1
                if !takeJobs(&jobs) && jobs.isEmpty { return }
                for job in jobs {
                    job.runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
                }
            } while !jobs.isEmpty && rounds < EventLoop.roundsMax
            poll(&events, timeout: jobs.isEmpty ? timers.withLock { $0.millisecondsUntilNext() } : 0)
            for resume in timers.withLock({ $0.takeDue() }) { resume() }
        }
    }

    /// Replaces `jobs` by those that wait; false if the loop is to stop once there are none.
    private func takeJobs(_ jobs: inout [UnownedJob]) -> Bool {
        jobs.removeAll(keepingCapacity: true)
        return shared.withLock { shared in
            swap(&jobs, &shared.jobs)
            // Until the next look, whoever adds a job need not wake a loop that has some.
            shared.isWakeupPending = !jobs.isEmpty
            return !shared.isStopping
        }
    }

    private func poll(_ events: inout [epoll_event], timeout: CInt) {
        let capacity = CInt(events.count)
        let count = events.withUnsafeMutableBufferPointer { buffer in
            epoll_wait(epoll, buffer.baseAddress, capacity, timeout)
        }
        guard count > 0 else { return }
        for index in 0..<Int(count) {
            let token = withUnsafePointer(to: events[index]) { clinux_event_token($0) }
            if token == WatchTable.wakeupToken {
                var value: UInt64 = 0
                _ = Glibc.read(wakeup, &value, 8)
            } else if let descriptor = watches.withLock({ $0.find(token) }) {
                descriptor.happened(events[index].events)
            }
        }
    }

    /// Ends `run` once the jobs that are queued have run.
    package func stop() {
        shared.withLock { $0.isStopping = true }
        wake()
    }

    private func wake() {
        var one: UInt64 = 1
        _ = Glibc.write(wakeup, &one, 8)
    }

    // MARK: Time

    /// Returns after `duration`, or throws at once when the task is cancelled.
    package func sleep(for duration: Duration) async throws(CancellationError) {
        let waiter = Waiter()
        let deadline = ContinuousClock.now + duration
        let entry = timers.withLock { $0.add(deadline) { waiter.resume(.timedOut) } }
        if EventLoop.current !== self { wake() }
        let outcome = await withTaskCancellationHandler {
            await waiter.wait()
        } onCancel: {
            waiter.resume(.cancelled)
        }
        timers.withLock { $0.remove(entry) }
        if outcome == .cancelled { throw CancellationError() }
    }

    /// Sleeps on the current loop, or on the global clock off any loop.
    package static func sleep(for duration: Duration) async throws(CancellationError) {
        if let loop = current { return try await loop.sleep(for: duration) }
        do {
            try await Task.sleep(for: duration)
        } catch {
            throw CancellationError()
        }
    }

    /// Calls `action` on the loop's thread once `deadline` has passed. `action` must be short.
    func addTimer(_ deadline: ContinuousClock.Instant, _ action: @escaping @Sendable () -> Void) -> TimerHeap.Entry {
        let entry = timers.withLock { $0.add(deadline, action) }
        if EventLoop.current !== self { wake() }
        return entry
    }

    /// As `addTimer`, for other modules.
    package func timer(_ duration: Duration, _ action: @escaping @Sendable () -> Void) -> LoopTimer {
        LoopTimer(loop: self, entry: addTimer(.now + duration, action))
    }

    func removeTimer(_ entry: TimerHeap.Entry) { timers.withLock { $0.remove(entry) } }
}

/// A timer that may be called off.
package struct LoopTimer: Sendable {
    let loop: EventLoop
    let entry: TimerHeap.Entry
    package func cancel() { loop.removeTimer(entry) }
}
