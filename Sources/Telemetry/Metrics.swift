import Synchronization

/// A registry of metrics in the Prometheus text format (exposition format 0.0.4). No global state.
///
/// Families are declared when the program is composed, series appear with their first use. The number of series of a
/// family is bounded; what comes later is counted in the series whose labels are all `other`.
package final class Metrics: Sendable {
    /// A counter or a gauge with a fixed list of labels.
    package final class Family: Sendable {
        package let name: String
        package let help: String
        package let kind: String
        package let labels: [String]
        private let series = Mutex<[[String]: Double]>([:])

        fileprivate init(name: String, help: String, kind: String, labels: [String]) {
            self.name = name
            self.help = help
            self.kind = kind
            self.labels = labels
        }

        package func add(_ amount: Double = 1, _ values: String...) { update(values) { $0 += amount } }
        package func set(_ value: Double, _ values: String...) { update(values) { $0 = value } }

        private func update(_ values: [String], _ change: (inout Double) -> Void) {
            precondition(values.count == labels.count, "\(name) takes \(labels.count) labels")
            series.withLock { series in
                let full = series.count >= Metrics.seriesMax && series[values] == nil
                change(&series[full ? labels.map { _ in "other" } : values, default: 0])
            }
        }

        fileprivate func render(to text: inout String) {
            text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n"
            for (values, value) in series.withLock({ $0 }).sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
                text += name + Metrics.labelText(zip(labels, values).map { ($0, $1) }) + " \(Metrics.number(value))\n"
            }
        }
    }

    /// A histogram of seconds with the buckets of `Metrics.secondsBuckets`.
    package final class Histogram: Sendable {
        private struct Series {
            var counts = [UInt64](repeating: 0, count: Metrics.secondsBuckets.count + 1)
            var sum = 0.0
        }
        package let name: String
        package let help: String
        package let labels: [String]
        private let series = Mutex<[[String]: Series]>([:])

        fileprivate init(name: String, help: String, labels: [String]) {
            self.name = name
            self.help = help
            self.labels = labels
        }

        package func observe(_ duration: Duration, _ values: String...) {
            precondition(values.count == labels.count, "\(name) takes \(labels.count) labels")
            let seconds = duration / .seconds(1)
            let bucket = Metrics.secondsBuckets.firstIndex { seconds <= $0 } ?? Metrics.secondsBuckets.count
            series.withLock { series in
                let full = series.count >= Metrics.seriesMax && series[values] == nil
                let key = full ? labels.map { _ in "other" } : values
                series[key, default: Series()].counts[bucket] += 1
                series[key, default: Series()].sum += seconds
            }
        }

        fileprivate func render(to text: inout String) {
            text += "# HELP \(name) \(help)\n# TYPE \(name) histogram\n"
            for (values, one) in series.withLock({ $0 }).sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
                let pairs = zip(labels, values).map { ($0, $1) }
                var total: UInt64 = 0
                for (index, count) in one.counts.enumerated() {
                    total += count
                    let edge =
                        index < Metrics.secondsBuckets.count ? Metrics.number(Metrics.secondsBuckets[index]) : "+Inf"
                    text += "\(name)_bucket\(Metrics.labelText(pairs + [("le", edge)])) \(total)\n"
                }
                text += "\(name)_sum\(Metrics.labelText(pairs)) \(one.sum)\n"
                text += "\(name)_count\(Metrics.labelText(pairs)) \(total)\n"
            }
        }
    }

    /// Upper edges in seconds.
    package static let secondsBuckets = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
    ]
    /// How many label combinations one family may hold.
    package static let seriesMax = 1_000

    private struct Registry {
        var families: [Family] = []
        var histograms: [Histogram] = []
    }
    private let registry = Mutex(Registry())

    package init() {}

    /// - Parameter name: with the unit and `_total`, as Prometheus names counters.
    package func counter(_ name: String, help: String, labels: [String] = []) -> Family {
        register(Family(name: name, help: help, kind: "counter", labels: labels))
    }

    package func gauge(_ name: String, help: String, labels: [String] = []) -> Family {
        register(Family(name: name, help: help, kind: "gauge", labels: labels))
    }

    package func histogram(_ name: String, help: String, labels: [String] = []) -> Histogram {
        let histogram = Histogram(name: name, help: help, labels: labels)
        registry.withLock { $0.histograms.append(histogram) }
        return histogram
    }

    private func register(_ family: Family) -> Family {
        registry.withLock { $0.families.append(family) }
        return family
    }

    /// The whole registry in the Prometheus text format.
    package func render() -> String {
        let (families, histograms) = registry.withLock { ($0.families, $0.histograms) }
        var text = ""
        for family in families { family.render(to: &text) }
        for histogram in histograms { histogram.render(to: &text) }
        return text
    }

    fileprivate static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }

    fileprivate static func labelText(_ pairs: [(String, String)]) -> String {
        guard !pairs.isEmpty else { return "" }
        let parts = pairs.map { name, value in
            let escaped = value.flatMap { $0 == "\\" ? "\\\\" : $0 == "\"" ? "\\\"" : $0 == "\n" ? "\\n" : String($0) }
            return "\(name)=\"\(String(escaped))\""
        }
        return "{" + parts.joined(separator: ",") + "}"
    }
}
