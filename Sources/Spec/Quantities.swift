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

extension ByteCount: CustomStringConvertible {
    private static let units: [(String, Int64)] = [
        ("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1),
    ]

    /// `10GB`, `1.5TiB`, `4096`; nil for anything else, or beyond 2^62.
    package init?(spec text: String) {
        let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text.dropFirst(number.count).drop { $0 == " " }
        guard let scale = unit.isEmpty ? 1 : ByteCount.units.first(where: { $0.0 == unit })?.1 else { return nil }
        if let whole = Int64(number) {
            let (product, overflow) = whole.multipliedReportingOverflow(by: scale)
            guard !overflow, product <= 1 << 62 else { return nil }
            self.init(product)
        } else {
            guard let fraction = Double(number), fraction.isFinite, fraction * Double(scale) < Double(Int64(1) << 62),
                scale > 1
            else { return nil }
            self.init(Int64((fraction * Double(scale)).rounded()))
        }
    }

    /// For people, in powers of 1000: `8.0 GB`, `512 B`.
    package var description: String {
        var unit: (String, Int64) = ("B", 1)
        for one in ByteCount.units.prefix(4) where abs(value) >= one.1 { unit = one }
        if unit.1 == 1 { return "\(value) B" }
        let tenths = (Double(value) / Double(unit.1) * 10).rounded() / 10
        if tenths >= 1000, unit.0 != "TB" { return "1.0 \(["kB": "MB", "MB": "GB", "GB": "TB"][unit.0] ?? "TB")" }
        return "\(tenths) \(unit.0)"
    }
}

extension Duration {
    private static let specUnits: [(String, Int64)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    /// `30s`, `10m`, `1h30m`, `7d`; nil for anything else, or beyond ten years.
    package init?(spec text: String) {
        var rest = Substring(text)
        var milliseconds: Int64 = 0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let number = rest.prefix { $0.isASCII && $0.isNumber }
            let unit = rest.dropFirst(number.count).prefix { $0.isLetter }
            guard let value = Int64(number), number.count <= 12,
                let scale = Duration.specUnits.first(where: { $0.0 == unit })?.1
            else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: scale)
            milliseconds += overflow ? .max / 4 : min(product, .max / 4)
            guard milliseconds <= 3650 * 86_400_000 else { return nil }
            rest = rest.dropFirst(number.count + unit.count)
        }
        self = .milliseconds(milliseconds)
    }

    /// As a spec writes it: `1h30m`, `0s`.
    package var specText: String {
        var left = Int64(self / .milliseconds(1))
        guard left > 0 else { return "0s" }
        var text = ""
        for (unit, scale) in Duration.specUnits.reversed() where left >= scale {
            text += "\(left / scale)\(unit)"
            left %= scale
        }
        return text
    }
}
