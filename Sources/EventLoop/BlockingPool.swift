import Glibc
import Synchronization

/// A few threads for work that blocks: files and name look-ups. The queue is bounded by those who wait: each call is one task.
package final class BlockingPool: Sendable {
    /// A condition variable and its mutex, allocated once and never moved.
    ///
    /// `@unchecked Sendable`: all fields but the two primitives are touched only between lock and unlock.
    private final class Queue: @unchecked Sendable {
        private let mutex: UnsafeMutablePointer<pthread_mutex_t>
        private let condition: UnsafeMutablePointer<pthread_cond_t>
        private var jobs: [@Sendable () -> Void] = []
        private var head = 0
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

        func push(_ job: @escaping @Sendable () -> Void) {
            pthread_mutex_lock(mutex)
            jobs.append(job)
            pthread_cond_signal(condition)
            pthread_mutex_unlock(mutex)
        }

        func stop() {
            pthread_mutex_lock(mutex)
            isStopping = true
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }

        func pop() -> (@Sendable () -> Void)? {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            while head == jobs.count {
                if isStopping { return nil }
                pthread_cond_wait(condition, mutex)
            }
            let job = jobs[head]
            head += 1
            if head == jobs.count || head > 256 {
                jobs.removeFirst(head)
                head = 0
            }
            return job
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

    /// Runs `work` on a thread of the pool and goes on where the caller was. Not cancelled in the middle.
    package func run<Answer: Sendable, Failure: Error>(
        _ work: @escaping @Sendable () throws(Failure) -> Answer
    ) async throws(Failure) -> Answer {
        let result: Result<Answer, Failure> = await withUnsafeContinuation { continuation in
            queue.push {
                do throws(Failure) {
                    continuation.resume(returning: .success(try work()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    /// Finishes what is queued and joins the threads.
    package func stop() {
        queue.stop()
        for thread in threads.withLock({ list in defer { list = [] }; return list }) { pthread_join(thread, nil) }
    }
}
