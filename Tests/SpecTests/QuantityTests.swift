import Spec
import Testing

@Suite("Quantities") struct QuantityTests {
    @Test(
        arguments: [
            ("10GB", 10_000_000_000), ("1KiB", 1024), ("1.5MiB", 1_572_864), ("4096", 4096), ("0B", 0),
            ("2 TB", 2_000_000_000_000),
        ] as [(String, Int64)])
    func `a size is read with its unit`(text: String, value: Int64) { #expect(ByteCount(spec: text)?.value == value) }

    @Test(arguments: ["", "GB", "10gb", "10 G", "-1GB", "1e3", "99999999999TB", "1.5"])
    func `what is no size is refused`(text: String) { #expect(ByteCount(spec: text) == nil) }

    @Test(
        arguments: [
            (0, "0 B"), (999, "999 B"), (8_000_000_000, "8.0 GB"), (999_999, "1.0 MB"), (1_100_000_000_000, "1.1 TB"),
        ] as [(Int64, String)])
    func `a size is printed for people`(value: Int64, text: String) { #expect(ByteCount(value).description == text) }

    @Test(arguments: [("30s", 30.0), ("10m", 600), ("1h30m", 5400), ("7d", 604_800), ("250ms", 0.25)])
    func `a duration is read, and printed as it was read`(text: String, seconds: Double) {
        #expect(Duration(spec: text) == .milliseconds(Int64(seconds * 1000)))
        #expect(Duration(spec: text)?.specText == text)
    }

    @Test func `a window of the day may go over midnight`() throws {
        let night = try #require(DailyWindow(start: 1320, end: 360))
        let noon = try #require(DailyWindow(start: 660, end: 720))
        let day: Int64 = 86_400_000_000
        func at(_ minute: Int64) -> Int64 { 20_000 * day + minute * 60_000_000 + 59_000_000 }
        #expect([1319, 1320, 0, 359, 360].map { night.contains(at($0)) } == [false, true, true, true, false])
        #expect([659, 660, 719, 720].map { noon.contains(at($0)) } == [false, true, true, false])
        #expect(night.share == 1.0 / 3 && noon.share == 1.0 / 24)
        #expect("\(night)" == "22:00 to 06:00 UTC")
        #expect(DailyWindow(start: 60, end: 60) == nil && DailyWindow(start: 0, end: 1440) == nil)
    }

    @Test(arguments: ["", "10", "m", "10 m", "-5s", "5y", "99999d"])
    func `what is no duration is refused`(text: String) { #expect(Duration(spec: text) == nil) }
}
