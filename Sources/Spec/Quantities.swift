/// A number of bytes; a bare `Int` never means bytes.
package struct ByteCount: Hashable, Comparable, Sendable {
    package var value: Int64
    package init(_ value: Int64) { self.value = value }
    package static let zero = ByteCount(0)
    package static func < (a: ByteCount, b: ByteCount) -> Bool { a.value < b.value }
    package static func + (a: ByteCount, b: ByteCount) -> ByteCount { ByteCount(a.value + b.value) }
    package static func - (a: ByteCount, b: ByteCount) -> ByteCount { ByteCount(a.value - b.value) }
    package static func += (a: inout ByteCount, b: ByteCount) { a = a + b }
}
