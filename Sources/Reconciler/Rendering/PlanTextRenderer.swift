import Catalog
import Spec

/// A plan as people read it (DESIGN §7).
package struct PlanTextRenderer {
    private let usesColour: Bool
    package init(usesColour: Bool) { self.usesColour = usesColour }

    /// - Parameter source: what was planned from: the path of the spec
    package func render(_ plan: Plan, source: String) -> String {
        var lines = [
            plan.revision == 0 ? "\(source) against an empty catalog" : "\(source) against revision \(plan.revision)"
        ]
        if plan.isSuspended { lines.append("The fleet is suspended: nothing below is carried out.") }
        lines.append("")
        let width = (plan.changes.map { $0.subject.description.count } + [12]).max() ?? 12
        for change in plan.changes {
            lines.append("  \(symbol(change.kind)) \(padded(change.subject.description, width))   \(change.detail)")
            lines += details(change.subject, plan)
        }
        let shown = Set(plan.changes.map(\.subject))
        for drain in plan.drains where !shown.contains(Subject(.backend, drain.backend)) {
            let subject = Subject(.backend, drain.backend)
            lines.append("  ~ \(padded(subject.description, width))   draining")
            lines += details(subject, plan)
        }
        for blocker in plan.blockers
        where !shown.contains(blocker.subject)
            && !plan.drains.contains(where: { Subject(.backend, $0.backend) == blocker.subject })
        {
            lines.append("  ! \(padded(blocker.subject.description, width))   \(text(blocker))")
        }
        if lines.last == "" { lines.append("  Nothing to change.") }
        lines += ["", repairs(plan)]
        if !plan.rebalance.steps.isEmpty { lines.append(PlanTextRenderer.rebalance(plan.rebalance)) }
        lines.append(summary(plan))
        return lines.joined(separator: "\n") + "\n"
    }

    private func details(_ subject: Subject, _ plan: Plan) -> [String] {
        var lines: [String] = []
        if let abandon = plan.abandons.first(where: { Subject(.backend, $0.name) == subject }) {
            lines.append(
                "      " + padded("abandon", 9) + right(Grouped.number(abandon.copies), 8)
                    + " copies; \(Grouped.number(abandon.soleCopies)) objects are lost for ever")
        }
        if let drain = plan.drains.first(where: { Subject(.backend, $0.backend) == subject }) {
            if drain.move.copies > 0 {
                let shares = drain.targets.map { "\($0.backend) \(percent($0.copies, drain.move.copies))" }.joined(
                    separator: ", ")
                lines.append("      " + row("move", drain.move.copies, drain.move.bytes) + "-> \(shares)")
            }
            lines += drain.demands.map { "      " + text($0) }
            if let estimate = drain.estimate {
                lines.append("      " + padded("time", 9) + "\(estimate.text), with \(estimate.basis)")
            }
            if drain.drop.copies > 0 {
                lines.append(
                    "      " + row("drop", drain.drop.copies, drain.drop.bytes) + "enough verified copies elsewhere")
            }
        }
        for blocker in plan.blockers where blocker.subject == subject {
            lines.append(
                "      " + (blocker.copies > 0 ? row("blocked", blocker.copies, blocker.bytes) : "blocked   ")
                    + text(blocker))
        }
        return lines
    }

    private func text(_ demand: MonthlyDemand) -> String {
        func amount(_ value: Int64) -> String {
            demand.kind == .requests ? Grouped.number(value) : ByteCount(value).description
        }
        let verdict = demand.isEnough ? "within" : "more than"
        let hint = demand.kind == .egress ? "; copies elsewhere are read first" : ""
        return padded(demand.kind.rawValue, 9) + right("", 15) + " " + right(amount(demand.needed), 9)
            + "  of \(demand.backend), \(verdict) the \(amount(demand.left)) that are left this month\(hint)"
    }

    private func row(_ verb: String, _ copies: Int64, _ bytes: ByteCount) -> String {
        padded(verb, 9) + right(Grouped.number(copies), 8) + " copies " + right(bytes.description, 9) + "  "
    }

    private func text(_ blocker: Blocker) -> String {
        let example = blocker.example.map { " (such as \($0))" } ?? ""
        return "\(blocker.reason.rawValue): \(blocker.message)\(example)"
    }

    private func repairs(_ plan: Plan) -> String {
        var parts = ["\(Grouped.number(plan.repair.copies)) copies to make (\(plan.repair.bytes))"]
        if plan.surplus.copies > 0 {
            parts.append(
                "\(Grouped.number(plan.surplus.copies)) surplus copies (\(plan.surplus.bytes)) to drop after \(plan.trimDelay.specText)"
            )
        }
        parts.append("\(Grouped.number(plan.doomed.copies)) doomed copies to delete (\(plan.doomed.bytes))")
        return "Repairs: " + parts.joined(separator: ", ")
    }

    /// One line: what moves where, from the fullest backend on.
    package static func rebalance(_ plan: RebalancePlan) -> String {
        let steps = plan.steps.map { "\($0.fromName) -> \($0.toName) \($0.bytes)" }.joined(separator: ", ")
        let range = plan.utilisation.map { "utilised \($0.lowerBound)% to \($0.upperBound)%" } ?? ""
        return "Rebalance: " + (steps.isEmpty ? "nothing to move" : "up to \(steps)")
            + (range.isEmpty ? "" : " (\(range))")
    }

    private func summary(_ plan: Plan) -> String {
        func count(_ kind: Change.Kind) -> Int { plan.changes.filter { $0.kind == kind }.count }
        var parts = ["\(count(.add)) to add, \(count(.change)) to change, \(count(.remove)) to remove"]
        for drain in plan.drains {
            parts.append("\(Grouped.number(drain.move.copies + drain.drop.copies)) copies to leave \(drain.backend)")
        }
        if !plan.blockers.isEmpty {
            parts.append("\(plan.blockers.count) blocker\(plan.blockers.count == 1 ? "" : "s")")
        }
        return "Plan: \(parts.joined(separator: "; ")). Nothing was changed."
    }

    private func symbol(_ kind: Change.Kind) -> String {
        let (symbol, colour) =
            switch kind {
            case .add: ("+", "32")
            case .change: ("~", "33")
            case .remove: ("-", "31")
            case .notice: ("!", "35")
            }
        return usesColour ? "\u{1B}[\(colour)m\(symbol)\u{1B}[0m" : symbol
    }

    private func percent(_ part: Int64, _ whole: Int64) -> String { "\((part * 100 + whole / 2) / max(1, whole))%" }
    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
    private func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
