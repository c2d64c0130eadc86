package import Catalog
package import Spec

/// How long moving takes, from what was measured and what is allowed.
package struct MoveEstimate: Sendable, Equatable {
    package var duration: Duration
    /// What it is reckoned with, for people.
    package var basis: String

    /// A shorter measurement says little.
    private static let busyMin: Duration = .seconds(1)

    /// Objects cost time for their bytes and for themselves, and a measurement is a mixture of both: the slower of the two is taken, so
    /// that an estimate is rather too long where the objects are unlike those that were measured.
    ///
    /// - Parameter rate: what one instance measured; nil or too little of it: only a declared bandwidth is reckoned with
    /// - Returns: nil if nothing is known
    package static func of(_ effect: Plan.Effect, policy: DrainPolicy, rate: MoveRate?) -> MoveEstimate? {
        guard effect.copies > 0 else { return nil }
        var seconds: Double?
        var bases: [String] = []
        if let rate, rate.busy >= busyMin, rate.copies > 0 {
            let busy = rate.busy / .seconds(1)
            let bytesPerSecond = max(1, Double(rate.bytes) / busy)
            let copiesPerSecond = Double(rate.copies) / busy
            seconds = max(Double(effect.bytes.value) / bytesPerSecond, Double(effect.copies) / copiesPerSecond)
            let copies = copiesPerSecond >= 10 ? "\(Int(copiesPerSecond))" : "\((copiesPerSecond * 10).rounded() / 10)"
            bases.append("\(ByteCount(Int64(bytesPerSecond)))/s and \(copies) copies/s as one instance measured")
        }
        if let bandwidth = policy.bandwidth {
            let limited = Double(effect.bytes.value) / Double(max(1, bandwidth.value))
            if limited >= seconds ?? 0 { bases = ["the limit of \(bandwidth)/s"] }
            seconds = max(seconds ?? 0, limited)
        }
        guard var total = seconds else { return nil }
        if let window = policy.window {
            total /= window.share
            bases.append("\(window) only")
        }
        // Beyond ten years it is all the same.
        return MoveEstimate(
            duration: .seconds(Int64(min(total.rounded(.up), 3.2e8))), basis: bases.joined(separator: ", "))
    }

    /// `about 2h10m`: the two largest units.
    package var text: String { "about \(MoveEstimate.rough(duration))" }

    package static func rough(_ duration: Duration) -> String {
        let seconds = duration.components.seconds
        func two(_ a: Int64, _ unit: String, _ b: Int64, _ next: String) -> String {
            b == 0 ? "\(a)\(unit)" : "\(a)\(unit)\(b)\(next)"
        }
        switch seconds {
        case ..<60: return "\(max(1, seconds))s"
        case ..<3600: return two(seconds / 60, "m", seconds < 600 ? seconds % 60 : 0, "s")
        case ..<86_400: return two(seconds / 3600, "h", seconds % 3600 / 60, "m")
        default: return two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h")
        }
    }
}
