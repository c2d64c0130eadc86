import Catalog
import Spec

/// What stands in the way of objects, grouped.
extension FleetPlanner {
    /// Repair tries to read what is in doubt; only where that fails this stays.
    func doubtful(_ group: CopyGroup, _ bucket: String) -> Blocker {
        let names = group.suspects.compactMap { observed.fleet.backend($0)?.name }.joined(separator: ", ")
        return Blocker(
            Subject(.bucket, bucket), .sourceUnreadable, copies: group.versions, bytes: group.bytes,
            example: "\(bucket)/\(group.example)",
            message:
                "bucket \(bucket): every copy was found absent or damaged (\(names)). 'sluice object locate' shows where they were: bring the files back, or delete the object."
        )
    }

    /// Who has the copies of a group, if none of them can be read; nil if one can, or nobody has any.
    func unreadable(_ group: CopyGroup) -> [String]? {
        let holders = (group.holders + group.suspects).compactMap { observed.fleet.backend($0) }
        return holders.isEmpty || holders.contains { observed.isTrusted($0) } ? nil : holders.map(\.name)
    }

    func block(
        _ plan: inout Plan, _ group: CopyGroup, _ decision: VersionDecision, _ bucket: String, _ factor: Int,
        _ leaving: [BackendRecord], _ silent: [String]
    ) {
        guard let reason = decision.blocked else { return }
        let available = roles.values.filter { $0 == .staying }.count
        let message =
            switch reason {
            case .insufficientRoom:
                "bucket \(bucket): no backend has room for the largest object (\(group.largest)). Raise a quota or add a backend."
            case .sourceUnreadable where silent.isEmpty: "bucket \(bucket): no live copy is left to read from."
            case .sourceUnreadable:
                "bucket \(bucket): the only copies are on \(silent.joined(separator: ", ")), which cannot be read now. Bring it back, or give it up with removal.abandon."
            default: "bucket \(bucket) needs \(factor) backends, has \(available). Add a backend, or lower the factor."
            }
        let subjects = leaving.isEmpty ? [Subject(.bucket, bucket)] : leaving.map { Subject(.backend, $0.name) }
        for subject in subjects {
            plan.blockers.append(
                Blocker(
                    subject, reason, copies: group.versions, bytes: group.bytes, example: "\(bucket)/\(group.example)",
                    message: message))
        }
    }

    /// One blocker for each subject and message, with the counts added up.
    static func merged(_ blockers: [Blocker]) -> [Blocker] {
        var result: [Blocker] = []
        for blocker in blockers {
            if let index = result.firstIndex(where: {
                $0.subject == blocker.subject && $0.reason == blocker.reason && $0.message == blocker.message
            }) {
                result[index].copies += blocker.copies
                result[index].bytes += blocker.bytes
            } else {
                result.append(blocker)
            }
        }
        return result.sorted {
            ($0.subject, $0.reason.rawValue, $0.message) < ($1.subject, $1.reason.rawValue, $1.message)
        }
    }
}

/// Numbers for people: `6,909`.
enum Grouped {
    static func number(_ value: Int64) -> String {
        var digits = String(abs(value))
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return (value < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
    }
}
