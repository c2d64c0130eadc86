import Glibc
import Synchronization

/// A few threads for work that blocks: files and name look-ups. The queue is bounded by those who wait: each call is one task.
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
        private var isStopping = false

        init() {
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

        /// False once the pool is stopped: no thread would take the job.
        func push(_ job: @escaping Job) -> Bool {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            guard !isStopping else { return false }
            if count == ring.count { grow() }
            ring[(head + count) % ring.count] = job
            count += 1
            pthread_cond_signal(condition)
            return true
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

        /// Waits for a job; nil when the pool is stopped and all of them are done.
        func pop() -> Job? {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            while count == 0 {
                if isStopping { return nil }
                pthread_cond_wait(condition, mutex)
            }
            defer {
                ring[head] = nil
                head = (head + 1) % ring.count
                count -= 1
            }
            return ring[head]
        }
    }

    private let queue = Queue()
    private let threads: Mutex<[pthread_t]>

    package init(threads count: Int) {
        threads = Mutex([])
        let queue = queue
        for _ in 0..<max(1, count) {
            threads.withLock { $0.append(startThread { while let job = queue.pop() { job() } }) }
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
            if !queue.push(job) { job() }
        }
        return try result.get()
    }

    /// As `run`, for work that may take longer than anyone wants to wait, such as a name look-up: at `deadline`, or when the task
    /// is cancelled, the caller goes on, and the work ends unheard on its thread.
    package func run<Answer: Sendable>(
        until deadline: ContinuousClock.Instant, on loop: EventLoop, _ work: @escaping @Sendable () -> Answer
    ) async throws(WaitError) -> Answer {
        let waiter = Waiter()
        let answer = AnswerBox<Answer>()
        let isQueued = queue.push {
            let value = work()
            answer.value.withLock { $0 = value }
            waiter.resume(.ready)
        }
        guard isQueued else { throw .closed }
        let timer = loop.addTimer(deadline) { waiter.resume(.timedOut) }
        let outcome = await withTaskCancellationHandler {
            await waiter.wait()
        } onCancel: {
            waiter.resume(.cancelled)
        }
        loop.removeTimer(timer)
        guard outcome == .ready, let value = answer.value.withLock({ $0 }) else {
            throw outcome == .cancelled ? .cancelled : .timedOut
        }
        return value
    }

    private final class AnswerBox<Answer: Sendable>: Sendable {
        let value = Mutex<Answer?>(nil)
    }

    /// Finishes what is queued and joins the threads.
    package func stop() {
        queue.stop()
        for thread in threads.withLock({ list in
            defer { list = [] }
            return list
        }) { pthread_join(thread, nil) }
    }
}
