package import Catalog
package import Spec

/// Whether a backend may stop, or go for good, counted from the catalog and what the other backends answer now.
package struct RemovalAdvice: Sendable, Equatable {
    package enum Question: Sendable {
        /// Would every object stay readable?
        case stop
        /// Would every object keep the copies it is to have?
        case remove
    }
    package struct Concern: Sendable, Equatable {
        package var versions: Int64
        package var bytes: ByteCount
        package var example: String
        package var reason: String
    }
    package let backend: String
    package let question: Question
    /// Versions with a copy there.
    package let versions: Int64
    /// Empty: yes.
    package let concerns: [Concern]
    package var isYes: Bool { concerns.isEmpty }

    /// - Parameter observed: with probes, so that a copy on a backend that does not answer is not counted
    package init(_ question: Question, of record: BackendRecord, desired: DesiredState, observed: ObservedState) {
        self.question = question
        backend = record.name
        let trusted = Set(observed.fleet.backends.filter { observed.isTrusted($0) }.map(\.id))
        let staying = Set(
            FleetPlanner(desired: desired, observed: observed).roles.filter { $0.value == .staying }.map { $0.key })
        var versions: Int64 = 0
        var concerns: [Concern] = []
        for group in observed.groups where (group.holders + group.suspects).contains(record.id) {
            versions += group.versions
            let bucket = observed.fleet.buckets.first { $0.id == group.bucket }?.name ?? "?"
            let reason: String?
            switch question {
            case .stop:
                let others = group.holders.filter { $0 != record.id && trusted.contains($0) }
                reason = others.isEmpty ? "bucket \(bucket): no other backend that answers has a copy" : nil
            case .remove:
                let others = group.holders.filter { $0 != record.id && staying.contains($0) }.count
                let factor = desired.replication(of: bucket).factor
                reason =
                    others < factor
                    ? "bucket \(bucket): \(others) of \(factor) copies are on backends that stay and answer" : nil
            }
            guard let reason else { continue }
            if let index = concerns.firstIndex(where: { $0.reason == reason }) {
                concerns[index].versions += group.versions
                concerns[index].bytes += group.bytes
            } else {
                concerns.append(
                    Concern(
                        versions: group.versions, bytes: group.bytes, example: "\(bucket)/\(group.example)",
                        reason: reason))
            }
        }
        self.versions = versions
        self.concerns = concerns.sorted { $0.reason < $1.reason }
    }

    package var text: String {
        let what = question == .stop ? "ok to stop" : "safe to remove"
        guard !isYes else {
            let why = question == .stop ? "each is readable elsewhere" : "each has its copies elsewhere"
            return "\(backend) is \(what): it has copies of \(Grouped.number(versions)) objects, and \(why)."
        }
        let lines = concerns.map { one in
            "  \(Grouped.number(one.versions)) objects (\(one.bytes)), such as \(one.example): \(one.reason)"
        }
        let remedy =
            question == .stop ? "Wait for repairs, or drain it: state: draining." : "Drain it first: state: draining."
        return (["\(backend) is not \(what):"] + lines + [remedy]).joined(separator: "\n")
    }
}
