/// Deadlines in a binary heap; removal is lazy.
struct TimerHeap: Sendable {
    struct Entry: Hashable, Sendable { let id: UInt64 }
    private struct Item {
        let deadline: ContinuousClock.Instant
        let id: UInt64
    }

    private var heap: [Item] = []
    private var actions: [UInt64: @Sendable () -> Void] = [:]
    private var nextID: UInt64 = 0

    mutating func add(_ deadline: ContinuousClock.Instant, _ action: @escaping @Sendable () -> Void) -> Entry {
        nextID += 1
        actions[nextID] = action
        heap.append(Item(deadline: deadline, id: nextID))
        siftUp(heap.count - 1)
        return Entry(id: nextID)
    }

    mutating func remove(_ entry: Entry) {
        actions[entry.id] = nil
        // Cancelled entries stay in the heap until they come up; rebuilt when they are the most of it.
        if heap.count > 64 && heap.count > 4 * actions.count { compact() }
    }

    /// For epoll_wait: -1 without timers, rounded up so that a wake-up is never early.
    mutating func millisecondsUntilNext() -> CInt {
        while let first = heap.first, actions[first.id] == nil { removeFirst() }
        guard let first = heap.first else { return -1 }
        let left = ContinuousClock.now.duration(to: first.deadline)
        guard left > .zero else { return 0 }
        return CInt(min(60_000, left / .milliseconds(1) + 1))
    }

    mutating func takeDue() -> [@Sendable () -> Void] {
        guard !heap.isEmpty else { return [] }
        let now = ContinuousClock.now
        var due: [@Sendable () -> Void] = []
        while let first = heap.first, first.deadline <= now {
            removeFirst()
            if let action = actions.removeValue(forKey: first.id) { due.append(action) }
        }
        return due
    }

    private mutating func compact() {
        let kept = heap.filter { actions[$0.id] != nil }
        heap.removeAll(keepingCapacity: true)
        for item in kept {
            heap.append(item)
            siftUp(heap.count - 1)
        }
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if heap[child].deadline < heap[least].deadline { least = child }
            }
            if least == parent { return }
            heap.swapAt(least, parent)
            parent = least
        }
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].deadline < heap[parent].deadline else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }
}
