import Synchronization

/// Keeps a few of the large blocks that bodies are read into: the allocator would give each back to the kernel and fault it in
/// anew, page by page, for every run of bytes that passes.
enum BlockCache {
    /// One block as it lies here between two uses.
    ///
    /// `@unchecked Sendable`: whoever takes it out is the only one that has it.
    private struct Spare: @unchecked Sendable {
        let base: UnsafeMutableRawPointer
    }

    /// Blocks of just one size are kept: what a fast body is read with.
    static let size = 256 * 1024
    /// Requests from here on get a block of `size`.
    private static let sizeMin = 160 * 1024
    /// 8 MiB.
    private static let sparesMax = 32
    private static let spares = Mutex<[Spare]>([])

    static func take(_ capacity: Int) -> UnsafeMutableRawPointer {
        guard isKept(capacity) else { return .allocate(byteCount: max(capacity, 1), alignment: 16) }
        return spares.withLock { $0.popLast() }?.base ?? .allocate(byteCount: size, alignment: 16)
    }

    static func giveBack(_ base: UnsafeMutableRawPointer, _ capacity: Int) {
        let spare = Spare(base: base)
        let isTaken =
            isKept(capacity)
            && spares.withLock { spares in
                guard spares.count < sparesMax else { return false }
                spares.append(spare)
                return true
            }
        if !isTaken { spare.base.deallocate() }
    }

    private static func isKept(_ capacity: Int) -> Bool { capacity >= sizeMin && capacity <= size }
}
