/// An immutable run of bytes with shared storage: slicing and handing on copy nothing.
///
/// Bodies move through Sluice as a sequence of `Bytes`, so one buffer that was read from a socket can be
/// written to several backends at once and is freed when the last of them has let go.
package struct Bytes: Sendable {
    /// Owns one block of memory for as long as any slice refers to it.
    ///
    /// `@unchecked Sendable`: the block is written only inside `Bytes.init(capacity:filling:)`, before the first
    /// `Bytes` exists that could be shared; afterwards it is only read.
    private final class Block: @unchecked Sendable {
        let base: UnsafeMutableRawPointer
        private let capacity: Int
        init(capacity: Int) {
            self.capacity = capacity
            base = BlockCache.take(capacity)
        }
        deinit { BlockCache.giveBack(base, capacity) }
    }

    private let block: Block?
    private let start: Int
    package let count: Int

    package static let empty = Bytes()

    private init() {
        block = nil
        start = 0
        count = 0
    }

    private init(block: Block?, start: Int, count: Int) {
        self.block = block
        self.start = start
        self.count = count
    }

    /// Allocates `capacity` bytes and lets `fill` write into them; `fill` returns how many it wrote.
    package init<E: Error>(
        capacity: Int, filling fill: (UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) {
        let block = Block(capacity: capacity)
        let written = try fill(UnsafeMutableRawBufferPointer(start: block.base, count: capacity))
        precondition(written >= 0 && written <= capacity, "filled \(written) of \(capacity) bytes")
        self.init(block: block, start: 0, count: written)
    }

    package init(copying source: UnsafeRawBufferPointer) {
        self.init(capacity: source.count) { target in
            target.copyMemory(from: source)
            return source.count
        }
    }

    package init(_ bytes: some Sequence<UInt8>) {
        let array = Array(bytes)
        self = array.withUnsafeBytes { Bytes(copying: $0) }
    }

    package init(_ string: String) { self.init(string.utf8) }

    package var isEmpty: Bool { count == 0 }

    package subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count, "index \(index) of \(count) bytes")
        return withUnsafeBytes { $0[index] }
    }

    /// The sub-run of `range`, sharing the storage.
    package subscript(range: Range<Int>) -> Bytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "range \(range) of \(count) bytes")
        return Bytes(block: block, start: start + range.lowerBound, count: range.count)
    }

    package func dropFirst(_ n: Int) -> Bytes { self[min(n, count)..<count] }
    package func prefix(_ n: Int) -> Bytes { self[0..<min(n, count)] }

    /// The pointer is valid only inside `body`.
    package func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        guard let block else { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        return try body(UnsafeRawBufferPointer(start: block.base + start, count: count))
    }

    package var array: [UInt8] { withUnsafeBytes { Array($0) } }

    /// The bytes as text; ill-formed UTF-8 is replaced by U+FFFD.
    package var text: String { withUnsafeBytes { String(decoding: $0, as: UTF8.self) } }
}

extension Bytes: Equatable {
    package static func == (a: Bytes, b: Bytes) -> Bool {
        a.count == b.count
            && a.withUnsafeBytes { x in b.withUnsafeBytes { y in x.elementsEqual(y) } }
    }
}

extension Bytes: CustomStringConvertible {
    package var description: String { "\(count) bytes" }
}
