/// Civil dates from days since 1970 and back (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
private enum Civil {
    static func date(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let y = month <= 2 ? year - 1 : year
        let era = (y >= 0 ? y : y - 399) / 400
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

extension WallTime {
    private struct Parts {
        var year: Int64, month: Int64, day: Int64, hour: Int64, minute: Int64, second: Int64
        var weekday: Int

        init(_ time: WallTime) {
            let days = time.seconds >= 0 ? time.seconds / 86_400 : (time.seconds - 86_399) / 86_400
            let rest = time.seconds - days * 86_400
            (year, month, day) = Civil.date(days: days)
            (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60)
            weekday = Int(((days % 7) + 11) % 7)
        }
    }

    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    private static func padded(_ value: Int64, _ width: Int = 2) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }

    /// Microseconds since 1970, as Postgres counts.
    package init(microseconds: Int64) {
        let seconds = microseconds >= 0 ? microseconds / 1_000_000 : (microseconds - 999_999) / 1_000_000
        self.init(seconds: seconds, nanoseconds: Int32((microseconds - seconds * 1_000_000) * 1000))
    }

    /// IMF-fixdate (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
    package var httpDate: String {
        let p = Parts(self)
        let clock = [p.hour, p.minute, p.second].map { WallTime.padded($0) }.joined(separator: ":")
        return "\(WallTime.weekdays[p.weekday]), \(WallTime.padded(p.day)) \(WallTime.months[Int(p.month) - 1]) "
            + "\(WallTime.padded(p.year, 4)) \(clock) GMT"
    }

    /// `20130524T000000Z`, as Signature V4 writes it.
    package var basicISO8601: String {
        let p = Parts(self)
        return WallTime.padded(p.year, 4) + [p.month, p.day].map { WallTime.padded($0) }.joined() + "T"
            + [p.hour, p.minute, p.second].map { WallTime.padded($0) }.joined() + "Z"
    }

    /// RFC 3339 with milliseconds: `2013-05-24T00:00:00.000Z`, as S3's XML writes it.
    package var rfc3339: String {
        let p = Parts(self)
        return WallTime.padded(p.year, 4) + "-" + WallTime.padded(p.month) + "-" + WallTime.padded(p.day) + "T"
            + [p.hour, p.minute, p.second].map { WallTime.padded($0) }.joined(separator: ":")
            + "." + WallTime.padded(Int64(nanoseconds) / 1_000_000, 3) + "Z"
    }

    /// Parses IMF-fixdate; the weekday is not checked. The obsolete forms of RFC 9110 are refused.
    package init?(httpDate text: String) {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[5] == "GMT", parts[0].hasSuffix(","),
            let month = WallTime.months.firstIndex(of: String(parts[2]))
        else { return nil }
        let clock = parts[4].split(separator: ":", omittingEmptySubsequences: false)
        // Fixed widths (RFC 9110 §5.6.7): a year of two digits is another format, not the first century.
        guard clock.count == 3, clock.allSatisfy({ $0.utf8.count == 2 }), parts[1].utf8.count == 2,
            parts[3].utf8.count == 4
        else {
            return nil
        }
        self.init(
            year: parts[3], month: "\(month + 1)", day: parts[1], hour: clock[0], minute: clock[1], second: clock[2])
    }

    /// Parses `20130524T000000Z`.
    package init?(basicISO8601 text: String) {
        let c = Array(text)
        guard c.count == 16, c[8] == "T", c[15] == "Z" else { return nil }
        func cut(_ range: Range<Int>) -> String { String(c[range]) }
        self.init(
            year: cut(0..<4), month: cut(4..<6), day: cut(6..<8), hour: cut(9..<11), minute: cut(11..<13),
            second: cut(13..<15))
    }

    /// Parses RFC 3339 in UTC; the fraction is optional, at most nine digits.
    package init?(rfc3339 text: String) {
        let c = Array(text)
        guard c.count >= 20, c.last == "Z", c[4] == "-", c[7] == "-", c[10] == "T", c[13] == ":", c[16] == ":" else {
            return nil
        }
        func cut(_ range: Range<Int>) -> String { String(c[range]) }
        self.init(
            year: cut(0..<4), month: cut(5..<7), day: cut(8..<10), hour: cut(11..<13), minute: cut(14..<16),
            second: cut(17..<19))
        guard c.count > 20 else { return }
        let fraction = cut(20..<(c.count - 1))
        guard c[19] == ".", (1...9).contains(fraction.utf8.count),
            fraction.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            let value = Int32(fraction + String(repeating: "0", count: 9 - fraction.utf8.count))
        else { return nil }
        nanoseconds = value
    }

    private init?(
        year: some StringProtocol, month: some StringProtocol, day: some StringProtocol, hour: some StringProtocol,
        minute: some StringProtocol, second: some StringProtocol
    ) {
        func number(_ text: some StringProtocol, _ range: ClosedRange<Int64>) -> Int64? {
            guard text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let value = Int64(text) else { return nil }
            return range.contains(value) ? value : nil
        }
        guard let year = number(year, 1...9999), let month = number(month, 1...12), let day = number(day, 1...31),
            let hour = number(hour, 0...23), let minute = number(minute, 0...59), let second = number(second, 0...60)
        else { return nil }
        let days = Civil.days(year, month, day)
        // A day that its month does not have comes back as another one.
        guard Civil.date(days: days) == (year, month, day) else { return nil }
        self.init(seconds: days * 86_400 + hour * 3600 + minute * 60 + second)
    }
}
