import Glibc
import HTTP
import Synchronization

/// The value of the Date field (RFC 9110 §6.6.1), made anew once a second.
final class DateLine: Sendable {
    private struct Made {
        var second: Int64 = -1
        var text = ""
    }
    private let made = Mutex(Made())

    func value() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME_COARSE, &now)
        let second = Int64(now.tv_sec)
        return made.withLock { made in
            if made.second != second { made = Made(second: second, text: WallTime(seconds: second).httpDate) }
            return made.text
        }
    }
}
