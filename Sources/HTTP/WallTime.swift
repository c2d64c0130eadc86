/// A point on the wall clock: UTC since 1970, without leap seconds. Nothing here reads a clock.
package struct WallTime: Hashable, Comparable, Sendable {
    package var seconds: Int64
    /// 0 ..< 1,000,000,000.
    package var nanoseconds: Int32

    package init(seconds: Int64, nanoseconds: Int32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    package static func < (a: WallTime, b: WallTime) -> Bool {
        (a.seconds, a.nanoseconds) < (b.seconds, b.nanoseconds)
    }
}
