import Catalog
import S3
import Spec
import Transfer

/// What the spec says now and did not say before.
extension FleetPlanner {
    func changes() -> [Change] {
        var changes: [Change] = []
        for spec in desired.backends {
            let subject = Subject(.backend, spec.name)
            guard let record = observed.fleet.backend(spec.name) else {
                if spec.state != .removed {
                    let quota = spec.quota.map { ", quota \($0)" } ?? ""
                    changes.append(Change(kind: .add, subject: subject, detail: "\(spec.state.rawValue)\(quota)"))
                }
                continue
            }
            let fields = FleetPlanner.differences(record, spec)
            if !fields.isEmpty {
                changes.append(Change(kind: .change, subject: subject, detail: fields.joined(separator: ", ")))
            }
        }
        for record in observed.fleet.backends where record.phase != .retired && !record.isAbandoned {
            guard desired.backend(record.name) != nil, let detail = absence(of: record) else { continue }
            changes.append(Change(kind: .notice, subject: Subject(.backend, record.name), detail: detail))
        }
        for record in observed.fleet.backends where desired.backend(record.name) == nil {
            let live = observed.fleet.usage[record.id]?.live.copies ?? 0
            let sole = observed.groups.filter { $0.holders == [record.id] }.reduce(0) { $0 + $1.versions }
            changes.append(
                Change(
                    kind: .notice, subject: Subject(.backend, record.name),
                    detail:
                        "not declared, \(Grouped.number(live)) copies (\(Grouped.number(sole)) sole): kept read-only"))
        }
        for bucket in desired.buckets where observed.fleet.bucket(bucket.name)?.isDeclared != true {
            let factor = desired.replication(of: bucket.name).factor
            changes.append(Change(kind: .add, subject: Subject(.bucket, bucket.name), detail: "factor \(factor)"))
        }
        for bucket in observed.fleet.buckets where bucket.isServed && observed.fleet.revision > 0 {
            guard bucket.owner != nil || desired.bucket(bucket.name) != nil else { continue }
            let factor = desired.replication(of: bucket.name).factor
            guard bucket.factor > 0, bucket.isDeclared || bucket.owner != nil, bucket.factor != factor else { continue }
            changes.append(
                Change(
                    kind: .change, subject: Subject(.bucket, bucket.name),
                    detail: "factor: \(bucket.factor) -> \(factor)"))
        }
        for bucket in observed.fleet.buckets where bucket.isDeclared && desired.bucket(bucket.name) == nil {
            changes.append(
                Change(
                    kind: .remove, subject: Subject(.bucket, bucket.name),
                    detail: "not served any more; its objects are kept"))
        }
        return changes.sorted { $0.subject < $1.subject }
    }

    /// Why the copies of a backend cannot be used, and what that leads to; nil if they can.
    private func absence(of record: BackendRecord) -> String? {
        guard let probe = observed.probes[record.id], !observed.isTrusted(record) else { return nil }
        let reason =
            switch probe {
            case .failed(let error): "\(error.code.rawValue): \(error.evidence)"
            case .secretUnresolved(let reason): reason
            case .answered(let finding):
                finding == .absent
                    ? "IdentityMismatch: its marker is missing" : "IdentityMismatch: its marker is of another backend"
            }
        let delay = desired.fleet.replication.repairDelay
        return observed.isAwayBriefly(record, for: delay)
            ? "cannot be used (\(reason)); after \(delay.specText) its copies are made anew elsewhere"
            : "cannot be used (\(reason)); its copies are made anew elsewhere"
    }

    private static func differences(_ record: BackendRecord, _ spec: BackendSpec) -> [String] {
        var fields: [String] = []
        func compare<Value: Equatable>(_ name: String, _ old: Value, _ new: Value, _ text: (Value) -> String) {
            if old != new { fields.append("\(name): \(text(old)) -> \(text(new))") }
        }
        let old = record.spec
        func unlimited(_ value: ByteCount?) -> String { value.map { $0.description } ?? "unlimited" }
        if !record.isDeclared { fields.append("declared again") }
        compare("state", old.state, spec.state) { $0.rawValue }
        compare("endpoint", old.location, spec.location) { location in
            switch location {
            case .directory(let path): path
            case .s3(let endpoint, _, let bucket, _): "\(endpoint)/\(bucket)"
            }
        }
        compare("keyPrefix", old.keyPrefix, spec.keyPrefix) { $0 }
        compare("quota", old.quota, spec.quota, unlimited)
        compare("usageLimits.apiRequests", old.usageLimits.apiRequests, spec.usageLimits.apiRequests) {
            $0.map { Grouped.number($0) } ?? "unlimited"
        }
        compare("usageLimits.egress", old.usageLimits.egress, spec.usageLimits.egress, unlimited)
        compare("usageLimits.ingress", old.usageLimits.ingress, spec.usageLimits.ingress, unlimited)
        compare("drain.bandwidth", old.drain.bandwidth, spec.drain.bandwidth) { $0.map { "\($0)/s" } ?? "unlimited" }
        compare("drain.window", old.drain.window, spec.drain.window) { $0.map { "\($0)" } ?? "at any time" }
        compare("deletionProtection", old.isDeletionProtected, spec.isDeletionProtected) { String($0) }
        compare("removal.purge", old.removal == .purge, spec.removal == .purge) { String($0) }
        return fields
    }
}
