import HTTP
import Testing

@Suite struct DateFormatTests {
    @Test(
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_827_696, "Tue, 29 Feb 2000 12:34:56 GMT"), (1_369_353_600, "Fri, 24 May 2013 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"), (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
        ] as [(Int64, String)])
    func `IMF-fixdate is written and read`(seconds: Int64, text: String) {
        #expect(WallTime(seconds: seconds).httpDate == text)
        #expect(WallTime(httpDate: text) == WallTime(seconds: seconds))
    }

    @Test func `basic and extended ISO 8601 are written and read`() {
        let time = WallTime(seconds: 1_767_225_600, nanoseconds: 7_000_000)
        #expect(time.basicISO8601 == "20260101T000000Z")
        #expect(time.rfc3339 == "2026-01-01T00:00:00.007Z")
        #expect(WallTime(basicISO8601: "20260101T000000Z") == WallTime(seconds: 1_767_225_600))
        #expect(WallTime(rfc3339: "2026-01-01T00:00:00.007Z") == time)
        #expect(WallTime(rfc3339: "2026-01-01T00:00:00Z") == WallTime(seconds: 1_767_225_600))
        #expect(WallTime(rfc3339: "2026-01-01T00:00:00.123456789Z")?.nanoseconds == 123_456_789)
    }

    @Test(arguments: [
        "", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Thu, 30 Feb 2023 00:00:00 GMT", "Thu, 29 Feb 2023 00:00:00 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 06 Nov 1994 8:49:37 GMT", "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ", "20260101T000000Z",
    ])
    func `another format is not a date of HTTP`(text: String) { #expect(WallTime(httpDate: text) == nil) }

    @Test(arguments: [
        "", "20260101T000000", "2026-01-01T00:00:00Z", "20261301T000000Z", "20260101t000000Z", "2026010१T000000Z",
        "20260101T0000+0Z",
    ])
    func `another format is not basic ISO 8601`(text: String) { #expect(WallTime(basicISO8601: text) == nil) }

    @Test(arguments: [
        "2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00xZ",
        "2026-01-01T00:00:00.12x4Z", "2026-01-01T00:00:00.1234567890Z", "2026-02-30T00:00:00Z", "2026-01-01 00:00:00Z",
    ])
    func `another format is not RFC 3339 in UTC`(text: String) { #expect(WallTime(rfc3339: text) == nil) }

    @Test func `every format is read back, whatever the time`() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed)
        for _ in 0..<2000 {
            let time = WallTime(seconds: .random(in: -60_000_000_000...250_000_000_000, using: &random))
            #expect(WallTime(httpDate: time.httpDate) == time, "seed \(seed)")
            #expect(WallTime(basicISO8601: time.basicISO8601) == time, "seed \(seed)")
            #expect(WallTime(rfc3339: time.rfc3339) == time, "seed \(seed)")
        }
    }

    @Test func `microseconds of Postgres keep their place before 1970 too`() {
        #expect(WallTime(microseconds: 1_500_000) == WallTime(seconds: 1, nanoseconds: 500_000_000))
        #expect(WallTime(microseconds: -1) == WallTime(seconds: -1, nanoseconds: 999_999_000))
    }
}
