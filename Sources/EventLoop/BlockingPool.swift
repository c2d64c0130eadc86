import Glibc
import Synchronization

/// A few threads for work that blocks: files and name look-ups. They are started as they are needed. The queue is bounded by those who
/// wait: each call is one task.
package final class BlockingPool: Sendable {
    /// Jobs behind a condition variable.
    ///
    /// `@unchecked Sendable`: the two primitives are allocated once and never moved; everything else is touched only between
    /// lock and unlock.
    private final class Queue: @unchecked Sendable {
        typealias Job = @Sendable () -> Void
        private let mutex: UnsafeMutablePointer<pthread_mutex_t>
        private let condition: UnsafeMutablePointer<pthread_cond_t>
        /// A ring: places that are not in use hold nothing, since a job may hold a large buffer.
        private var ring = [Job?](repeating: nil, count: 64)
        private var head = 0
        private var count = 0
        /// Threads that wait for a job, and those that there are.
        private var idle = 0
        private var started = 0
        private let threadsMax: Int
        private var isStopping = false

        init(threadsMax: Int) {
            self.threadsMax = threadsMax
            mutex = .allocate(capacity: 1)
            condition = .allocate(capacity: 1)
            pthread_mutex_init(mutex, nil)
            pthread_cond_init(condition, nil)
        }

        deinit {
            pthread_cond_destroy(condition)
            pthread_mutex_destroy(mutex)
            condition.deallocate()
            mutex.deallocate()
        }

        /// What became of a job: no thread takes it once the pool is stopped.
        enum Acceptance { case refused, taken, wantsThread }

        func push(_ job: @escaping Job) -> Acceptance {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            guard !isStopping else { return .refused }
            if count == ring.count { grow() }
            ring[(head + count) % ring.count] = job
            count += 1
            if idle < count, started < threadsMax {
                started += 1
                return .wantsThread
            }
            pthread_cond_signal(condition)
            return .taken
        }

        private func grow() {
            let jobs = (0..<count).map { ring[(head + $0) % ring.count] }
            ring = jobs + [Job?](repeating: nil, count: count)
            head = 0
        }

        func stop() {
            pthread_mutex_lock(mutex)
            isStopping = true
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }

        /// False if threads are at work still.
        func waitForEnd(seconds: Int) -> Bool {
            var deadline = timespec()
            clock_gettime(CLOCK_REALTIME, &deadline)
            deadline.tv_sec += seconds
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            while started > 0 {
                if pthread_cond_timedwait(condition, mutex, &deadline) != 0 { return started == 0 }
            }
            return true
        }

        /// Waits for a job; nil when the pool is stopped and all of them are done: then the thread is to end.
        func pop() -> Job? {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            while count == 0 {
                if isStopping {
                    started -= 1
                    pthread_cond_broadcast(condition)
                    return nil
                }
                idle += 1
                pthread_cond_wait(condition, mutex)
                idle -= 1
            }
            defer {
                ring[head] = nil
                head = (head + 1) % ring.count
                count -= 1
            }
            return ring[head]
        }
    }

    private let queue: Queue
    private let watch = WaitWatch()
    private let threads = Mutex<[pthread_t]>([])
    /// For so long `stop` waits for a job that does not end: a disk may hang for ever.
    private static let stopPatience: Int = 5

    /// - Parameter count: of threads at most
    package init(threads count: Int) { queue = Queue(threadsMax: max(1, count)) }

    deinit {
        // Who still had work here would have kept it.
        queue.stop()
        for thread in threads.withLock({ $0 }) { pthread_detach(thread) }
    }

    /// False once the pool is stopped.
    private func push(_ job: @escaping Queue.Job) -> Bool {
        switch queue.push(job) {
        case .refused: return false
        case .taken: return true
        case .wantsThread:
            let queue = queue
            threads.withLock { $0.append(startThread { while let job = queue.pop() { job() } }) }
            return true
        }
    }

    /// Runs `work` on a thread of the pool and goes on where the caller was. Not cancelled in the middle. On a pool that was
    /// stopped, `work` runs on the caller's own thread, for whoever closes things last.
    package func run<Answer: Sendable, Failure: Error>(
        _ work: @escaping @Sendable () throws(Failure) -> Answer
    ) async throws(Failure) -> Answer {
        let result: Result<Answer, Failure> = await withUnsafeContinuation { continuation in
            let job: @Sendable () -> Void = {
                do throws(Failure) {
                    continuation.resume(returning: .success(try work()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
            if !push(job) { job() }
        }
        return try result.get()
    }

    /// As `run`, for work that may take longer than anyone wants to wait, such as a name look-up: at `deadline`, or when the task
    /// is cancelled, the caller goes on, and the work ends unheard on its thread.
    package func run<Answer: Sendable>(
        until deadline: ContinuousClock.Instant, on loop: EventLoop, _ work: @escaping @Sendable () -> Answer
    ) async throws(WaitError) -> Answer {
        let waiter = Waiter()
        let timer = loop.addTimer(deadline) { waiter.resume(.timedOut) }
        defer { loop.removeTimer(timer) }
        return try await run(waiter, work)
    }

    /// As `run`, for work that may hang: behind `limit`, or when the task is cancelled if it may then be left alone, the caller goes on,
    /// and the work ends unheard on its thread.
    package func run<Answer: Sendable>(
        within limit: Duration, endsWhenCancelled: Bool, _ work: @escaping @Sendable () -> Answer
    ) async throws(WaitError) -> Answer {
        let waiter = Waiter()
        let id = watch.watch(waiter, until: .now + limit)
        defer { watch.forget(id) }
        return try await run(waiter, endsWhenCancelled: endsWhenCancelled, work)
    }

    private func run<Answer: Sendable>(
        _ waiter: Waiter, endsWhenCancelled: Bool = true, _ work: @escaping @Sendable () -> Answer
    ) async throws(WaitError) -> Answer {
        let answer = AnswerBox<Answer>()
        let isQueued = push {
            // Nobody waits for it any more: what did not begin is not to happen hours later.
            if waiter.isOver { return }
            let value = work()
            answer.value.withLock { $0 = value }
            waiter.resume(.ready)
        }
        guard isQueued else { throw .closed }
        let outcome = await withTaskCancellationHandler {
            await waiter.wait()
        } onCancel: {
            if endsWhenCancelled { waiter.resume(.cancelled) }
        }
        guard outcome == .ready, let value = answer.value.withLock({ $0 }) else {
            throw outcome == .cancelled ? .cancelled : .timedOut
        }
        return value
    }

    private final class AnswerBox<Answer: Sendable>: Sendable {
        let value = Mutex<Answer?>(nil)
    }

    /// Finishes what is queued and joins the threads; one that hangs is left to the end of the process.
    package func stop() {
        queue.stop()
        let haveEnded = queue.waitForEnd(seconds: BlockingPool.stopPatience)
        for thread in threads.withLock({ list in
            defer { list = [] }
            return list
        }) {
            if haveEnded { pthread_join(thread, nil) } else { pthread_detach(thread) }
        }
    }
}
