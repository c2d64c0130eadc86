import Synchronization
import Testing

@testable import EventLoop

/// SplitMix64, so that a failure can be replayed from its printed seed.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite struct TimerHeapTests {
    @Test(arguments: (0..<20).map { _ in UInt64.random(in: 0 ... .max) })
    func `what is due comes out in order, what was removed never, the rest stays`(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var heap = TimerHeap()
        let fired = Mutex<[Int]>([])
        let now = ContinuousClock.now
        var expected: [Int] = []
        var pending = 0
        for number in 0..<500 {
            // Half of them are long past, so that no real time is waited for.
            let isDue = Bool.random(using: &random)
            let offset = isDue ? -number - 1_000 : number + 600_000
            let entry = heap.add(now + .milliseconds(offset)) { fired.withLock { $0.append(number) } }
            if Int.random(in: 0..<3, using: &random) > 0 {
                heap.remove(entry)
            } else if isDue {
                expected.append(number)
            } else {
                pending += 1
            }
        }
        for action in heap.takeDue() { action() }
        #expect(fired.withLock { $0 } == expected.reversed(), "seed \(seed)")
        #expect(heap.takeDue().isEmpty, "seed \(seed)")
        #expect((heap.millisecondsUntilNext() == -1) == (pending == 0), "seed \(seed)")
    }

    @Test func `the wait rounds up, so that no wake-up is early`() {
        var heap = TimerHeap()
        #expect(heap.millisecondsUntilNext() == -1)
        _ = heap.add(.now + .microseconds(100)) {}
        #expect(heap.millisecondsUntilNext() == 1 || heap.millisecondsUntilNext() == 0)
        _ = heap.add(.now - .seconds(1)) {}
        #expect(heap.millisecondsUntilNext() == 0)
    }
}
