package import Catalog
import Spec
package import Telemetry

/// What `sluice status` shows: read from Postgres alone.
package struct FleetStatus: Sendable {
    package var fleet: FleetSnapshot
    package var conditions: [ConditionRecord]
    package var drains: [DrainRecord]
    package var residues: [BackendID: BackendResidue]
    package var pace: PaceReading
    /// When a server last said that it is there, microseconds since 1970; nil if none ever did.
    package var aliveAt: Int64?
    package init(
        fleet: FleetSnapshot, conditions: [ConditionRecord], drains: [DrainRecord],
        residues: [BackendID: BackendResidue], pace: PaceReading = PaceReading(), aliveAt: Int64? = nil
    ) {
        self.fleet = fleet
        self.conditions = conditions
        self.drains = drains
        self.residues = residues
        self.pace = pace
        self.aliveAt = aliveAt
    }

    /// How long no server has been there: what is shown is as old; nil if one is.
    var silence: Duration? {
        guard let moment = pace.moment, let aliveAt, moment - aliveAt > 60_000_000 else { return nil }
        return .seconds((moment - aliveAt) / 1_000_000)
    }

    /// What is left of a drain, at the pace that it had since it began, all instances together; nil if it has hardly begun.
    func timeLeft(_ drain: DrainRecord) -> Duration? {
        let left = residues[drain.backend]?.live ?? 0
        let done = drain.totalCopies - left
        guard let moment = pace.moment, done > 0, left > 0, moment - drain.startedAt >= 10_000_000 else { return nil }
        return .seconds(Double(moment - drain.startedAt) / 1_000_000 * Double(left) / Double(done))
    }
}

package enum StatusRenderer {
    package static func text(_ status: FleetStatus) -> String {
        guard status.fleet.revision > 0 else {
            return "No spec was accepted yet. Start 'sluice serve' or run 'sluice reconcile'.\n"
        }
        var rows = [["BACKEND", "PHASE", "READY", "REASON", "COPIES", "BYTES", "QUOTA", "DOOMED"]]
        for backend in status.fleet.backends {
            let usage = status.fleet.usage[backend.id] ?? BackendUsage()
            let ready = condition(status, backend, .ready)
            rows.append([
                backend.name, backend.isDeclared ? backend.phase.rawValue : "undeclared",
                ready?.status.rawValue ?? "Unknown",
                ready?.reason.rawValue ?? "NotObservedYet", Grouped.number(usage.live.copies),
                usage.live.bytes.description,
                backend.spec.quota?.description ?? "-", Grouped.number(usage.doomed.copies),
            ])
        }
        var lines = [
            "revision \(status.fleet.revision), \(status.fleet.buckets.filter(\.isDeclared).count) buckets", "",
        ]
        if let silence = status.silence {
            lines.insert(
                "No server has been there for \(silence.specText): nothing is reconciled, and what follows is as old.",
                at: 1)
        }
        lines += table(rows, numeric: [4, 5, 6, 7])
        let left = status.fleet.buckets.filter { !$0.isServed }.map(\.name)
        if !left.isEmpty {
            let names = left.prefix(bucketsShownMax).joined(separator: ", ")
            lines += ["", "not declared any more, objects kept: \(names)"]
        }
        let made = status.fleet.buckets.filter { !$0.isDeclared && $0.owner != nil }
        if !made.isEmpty {
            let rows = made.map { [$0.name, $0.owner ?? ""] }
            lines += [""] + table([["BUCKET MADE BY A CLIENT", "OWNER"]] + rows.prefix(bucketsShownMax), numeric: [])
            if made.count > bucketsShownMax {
                lines.append("and \(made.count - bucketsShownMax) more; see --output json")
            }
        }
        let remarks = status.fleet.backends.flatMap { details(status, $0) }
        if !remarks.isEmpty { lines += [""] + remarks }
        if let fleet = status.conditions.first(where: { $0.subject.kind == .fleet && $0.type == .ready }) {
            lines += ["", "fleet: \(fleet.message)"]
        }
        if let deletes = status.conditions.first(where: { $0.subject.kind == .fleet && $0.type == .deletesHealthy }),
            deletes.status == .no
        {
            lines.append("fleet: DeletesHealthy=False \(deletes.reason.rawValue): \(deletes.message)")
        }
        if let spec = status.conditions.first(where: { $0.subject.kind == .fleet && $0.type == .specAccepted }),
            spec.status == .no
        {
            lines.append("fleet: SpecAccepted=False \(spec.reason.rawValue): \(spec.message)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func details(_ status: FleetStatus, _ backend: BackendRecord) -> [String] {
        var lines: [String] = []
        if let drain = status.drains.first(where: { $0.backend == backend.id }), backend.phase == .draining {
            let left = status.residues[backend.id]?.live ?? 0
            let done = max(0, drain.totalCopies - left)
            lines.append(
                "\(backend.name): drain \(Grouped.number(done)) of \(Grouped.number(drain.totalCopies)) copies have left"
                    + (status.timeLeft(drain).map { ", about \(MoveEstimate.rough($0)) to go" } ?? "")
            )
        }
        if backend.spec.usageLimits != UsageLimits() {
            let used = status.fleet.monthly[backend.id] ?? .zero
            let shares = MonthlyText.shares(used, backend.spec.usageLimits).joined(separator: ", ")
            lines.append("\(backend.name): this month \(shares)")
        }
        // What is not as it should be, with what to do about it.
        for one in status.conditions where one.subject == Subject(.backend, backend.name) {
            let isBad =
                switch one.type {
                case .reachable, .credentialsValid, .identified, .withinQuota, .withinUsage, .deletesHealthy:
                    one.status == .no
                case .stalled, .undeclared: one.status == .yes
                case .ready, .reconciling, .drained, .safeToRemove, .specAccepted: false
                }
            if isBad {
                lines.append(
                    "\(backend.name): \(one.type.rawValue)=\(one.status.rawValue) \(one.reason.rawValue): \(one.message)"
                )
            }
        }
        return lines
    }

    private static func condition(_ status: FleetStatus, _ backend: BackendRecord, _ type: ConditionType)
        -> ConditionRecord?
    {
        status.conditions.first { $0.subject == Subject(.backend, backend.name) && $0.type == type }
    }

    private static let bucketsShownMax = 50

    /// - Parameter numeric: the columns that are set to the right
    private static func table(_ rows: [[String]], numeric: Set<Int>) -> [String] {
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { index, cell in
                let fill = String(repeating: " ", count: widths[index] - cell.count)
                return numeric.contains(index) ? fill + cell : cell + fill
            }
            let line = cells.joined(separator: "  ")
            return String(line[..<(line.lastIndex { $0 != " " }.map { line.index(after: $0) } ?? line.startIndex)])
        }
    }

    // MARK: JSON

    package static func json(_ status: FleetStatus) -> JSONValue {
        .object([
            ("formatVersion", "1.0"), ("revision", .int(status.fleet.revision)),
            ("backends", .array(status.fleet.backends.map { backend(status, $0) })),
            ("buckets", .array(status.fleet.buckets.map { bucket($0) })),
            ("fleet", conditions(status) { $0.kind == .fleet }),
        ])
    }

    private static func bucket(_ record: BucketRecord) -> JSONValue {
        .object([
            ("name", .string(record.name)), ("declared", .bool(record.isDeclared)),
            ("owner", record.owner.map { .string($0) } ?? .null),
        ])
    }

    private static func backend(_ status: FleetStatus, _ backend: BackendRecord) -> JSONValue {
        let usage = status.fleet.usage[backend.id] ?? BackendUsage()
        func tally(_ tally: BackendUsage.Tally) -> JSONValue {
            .object([("copies", .int(tally.copies)), ("bytes", .int(tally.bytes.value))])
        }
        var members: [(String, JSONValue)] = [
            ("name", .string(backend.name)), ("generation", .int(backend.generation)),
            ("declared", .bool(backend.isDeclared)),
            ("state", .string(backend.spec.state.rawValue)), ("phase", .string(backend.phase.rawValue)),
            ("live", tally(usage.live)), ("writing", tally(usage.writing)), ("doomed", tally(usage.doomed)),
            ("quotaBytes", backend.spec.quota.map { .int($0.value) } ?? .null),
        ]
        let used = status.fleet.monthly[backend.id] ?? .zero
        members.append(
            (
                "month",
                .object([
                    ("requests", .int(used.requests)), ("egressBytes", .int(used.egress)),
                    ("ingressBytes", .int(used.ingress)),
                ])
            ))
        if let drain = status.drains.first(where: { $0.backend == backend.id }) {
            let left = status.residues[backend.id] ?? BackendResidue()
            members.append(
                (
                    "drain",
                    .object([
                        ("totalCopies", .int(drain.totalCopies)), ("totalBytes", .int(drain.totalBytes.value)),
                        ("remainingCopies", .int(left.live)), ("finished", .bool(drain.finishedAt != nil)),
                        ("estimatedSeconds", status.timeLeft(drain).map { .int($0.components.seconds) } ?? .null),
                    ])
                ))
        }
        members.append(("conditions", conditions(status) { $0 == Subject(.backend, backend.name) }))
        return .object(members)
    }

    private static func conditions(_ status: FleetStatus, _ isWanted: (Subject) -> Bool) -> JSONValue {
        .array(
            status.conditions.filter { isWanted($0.subject) }.map { one in
                .object([
                    ("type", .string(one.type.rawValue)), ("status", .string(one.status.rawValue)),
                    ("reason", .string(one.reason.rawValue)),
                    ("message", .string(one.message)), ("observedGeneration", .int(one.observedGeneration)),
                    ("lastTransitionMicroseconds", .int(one.lastTransitionAt)),
                ])
            })
    }
}
