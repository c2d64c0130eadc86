/// How fast and when a backend's copies may leave it.
package struct DrainPolicy: Sendable, Equatable {
    /// Bytes in a second, of all instances together; nil: no limit.
    package var bandwidth: ByteCount?
    /// nil: at any time.
    package var window: DailyWindow?
    package init(bandwidth: ByteCount? = nil, window: DailyWindow? = nil) {
        self.bandwidth = bandwidth
        self.window = window
    }
}

/// A span of every day, UTC; over midnight if it ends before it starts.
package struct DailyWindow: Sendable, Equatable, CustomStringConvertible {
    /// Minutes since midnight.
    package let start: Int
    /// Minutes since midnight; the first that is outside.
    package let end: Int

    /// nil if it would be empty, or a time is not one of a day.
    package init?(start: Int, end: Int) {
        guard start != end, (0..<1440).contains(start), (0..<1440).contains(end) else { return nil }
        self.start = start
        self.end = end
    }

    /// - Parameter moment: microseconds since 1970
    package func contains(_ moment: Int64) -> Bool {
        let minute = Int(((moment / 60_000_000) % 1440 + 1440) % 1440)
        return start < end ? (start..<end).contains(minute) : minute >= start || minute < end
    }

    /// How much of a day it is, above 0 and below 1.
    package var share: Double { Double((end - start + 1440) % 1440) / 1440 }

    package var description: String { "\(DailyWindow.text(start)) to \(DailyWindow.text(end)) UTC" }

    /// `22:00` in minutes since midnight.
    package static func minutes(_ text: String) -> Int? {
        let halves = text.split(separator: ":", omittingEmptySubsequences: false)
        guard halves.count == 2, halves.allSatisfy({ $0.count == 2 && $0.allSatisfy { $0.isASCII && $0.isNumber } }),
            let hour = Int(halves[0]), let minute = Int(halves[1]), hour < 24, minute < 60
        else { return nil }
        return hour * 60 + minute
    }

    package static func text(_ minutes: Int) -> String {
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(two(minutes / 60)):\(two(minutes % 60))"
    }
}
