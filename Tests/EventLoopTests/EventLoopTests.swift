import EventLoop
import Synchronization
import Testing

/// An actor that lives on a loop.
private actor Resident {
    private let loop: EventLoop
    private var visits = 0
    init(_ loop: EventLoop) { self.loop = loop }
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    func visit() -> Bool {
        visits += 1
        return EventLoop.current === loop
    }
}

@Suite(.timeLimit(.minutes(1))) struct EventLoopTests {
    @Test func `a task and its children stay on the loop across suspensions`() async throws {
        let strayed = try await onLoop { loop in
            let inGroup = await withTaskGroup(of: Int.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        var strays = 0
                        for _ in 0..<20 {
                            if EventLoop.current !== loop { strays += 1 }
                            await Task.yield()
                            try? await loop.sleep(for: .milliseconds(1))
                        }
                        return strays
                    }
                }
                return await group.reduce(0, +)
            }
            async let child = EventLoop.current === loop
            return await child ? inGroup : inGroup + 1
        }
        #expect(strayed == 0)
    }

    @Test func `an actor with the loop as its executor runs on the loop's thread`() async throws {
        let loops = try LoopGroup(count: 1, name: "actor")
        defer { loops.stop() }
        let resident = Resident(loops.loops[0])
        #expect(await resident.visit())
        #expect(EventLoop.current == nil)
    }

    @Test func `tasks that are made from other threads wake an idle loop`() async throws {
        let loops = try LoopGroup(count: 2, name: "wake")
        defer { loops.stop() }
        for turn in 0..<500 {
            let ran = Mutex(false)
            await loops.loops[turn % 2].spawn { ran.withLock { $0 = true } }.value
            #expect(ran.withLock { $0 })
        }
    }

    @Test func `sleepers wake in the order of their deadlines, never early`() async throws {
        let order = try await onLoop { loop in
            await withTaskGroup(of: Int.self) { group in
                for milliseconds in [40, 5, 25, 15] {
                    group.addTask {
                        let began = ContinuousClock.now
                        try? await loop.sleep(for: .milliseconds(milliseconds))
                        return began.duration(to: .now) < .milliseconds(milliseconds) ? -1 : milliseconds
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
        }
        #expect(order == [5, 15, 25, 40])
    }

    @Test func `cancelling a sleeper wakes it at once`() async throws {
        let waited = try await onLoop { loop in
            let began = ContinuousClock.now
            let sleeper = loop.spawn {
                do { try await loop.sleep(for: .seconds(60)) } catch { return }
            }
            try await loop.sleep(for: .milliseconds(5))
            sleeper.cancel()
            await sleeper.value
            return began.duration(to: .now)
        }
        #expect(waited < .seconds(30))
    }

    @Test func `a sleep of a task that is cancelled already ends at once`() async throws {
        let isCancelled = try await onLoop { loop in
            let outcome = Mutex(false)
            let task = loop.spawn {
                while !Task.isCancelled { await Task.yield() }
                do { try await EventLoop.sleep(for: .seconds(60)) } catch { outcome.withLock { $0 = true } }
            }
            task.cancel()
            await task.value
            return outcome.withLock { $0 }
        }
        #expect(isCancelled)
    }

    @Test func `blocking work runs elsewhere, and its caller goes on where it was`() async throws {
        let pool = BlockingPool(threads: 2)
        defer { pool.stop() }
        let isHome = try await onLoop { loop in
            for _ in 0..<100 {
                let isOnLoop = await pool.run { EventLoop.current != nil }
                guard !isOnLoop, EventLoop.current === loop else { return false }
            }
            return true
        }
        #expect(isHome)
    }

    @Test func `more jobs than threads and places are all run`() async throws {
        let pool = BlockingPool(threads: 2)
        defer { pool.stop() }
        let sum = await withTaskGroup(of: Int.self) { group in
            for number in 0..<1000 { group.addTask { await pool.run { number } } }
            return await group.reduce(0, +)
        }
        #expect(sum == 999 * 1000 / 2)
    }

    @Test func `a finished job lets go of what it held`() async throws {
        final class Buffer: Sendable {}
        let pool = BlockingPool(threads: 1)
        defer { pool.stop() }
        func use() async -> () -> Bool {
            let buffer = Buffer()
            await pool.run { withExtendedLifetime(buffer) {} }
            return { [weak buffer] in buffer == nil }
        }
        let isGone = await use()
        // The thread may still be on its way out of the job.
        await pool.run {}
        #expect(isGone())
    }

    @Test func `work that takes too long is left alone at the deadline`() async throws {
        let pool = BlockingPool(threads: 1)
        let release = ThreadLatch()
        let outcome = try await onLoop { loop in
            do throws(WaitError) {
                try await pool.run(until: .now + .milliseconds(20), on: loop) { release.wait() }
                return WaitError?.none
            } catch {
                return error
            }
        }
        #expect(outcome == .timedOut)
        release.open()
        pool.stop()
    }

    @Test func `who stops waiting for work that hangs goes on, and others have threads of their own`() async throws {
        let pool = BlockingPool(threads: 2)
        let (begun, release) = (ThreadLatch(), ThreadLatch())
        let waiting = Task {
            do throws(WaitError) {
                try await pool.run(within: .seconds(60), endsWhenCancelled: true) {
                    begun.open()
                    release.wait()
                }
                return WaitError?.none
            } catch {
                return error
            }
        }
        await pool.run { begun.wait() }
        waiting.cancel()
        #expect(await waiting.value == .cancelled)
        #expect(await pool.run { 7 } == 7)
        release.open()
        pool.stop()
    }

    @Test func `work that hangs is left behind when its time is over`() async throws {
        let pool = BlockingPool(threads: 2)
        let release = ThreadLatch()
        await #expect(throws: WaitError.timedOut) {
            try await pool.run(within: .milliseconds(50), endsWhenCancelled: false) { release.wait() }
        }
        #expect(try await pool.run(within: .seconds(60), endsWhenCancelled: false) { 7 } == 7)
        release.open()
        pool.stop()
    }

    @Test func `errors of blocking work keep their type`() async throws {
        let pool = BlockingPool(threads: 1)
        defer { pool.stop() }
        let error = SystemError("open", errno: 2)
        await #expect(throws: error) { try await pool.run { () throws(SystemError) in throw error } }
        #expect(error.description == "open: No such file or directory (2)")
    }
}
