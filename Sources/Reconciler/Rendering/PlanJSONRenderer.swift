import Catalog
import Spec
package import Telemetry

/// A plan for programs; no secrets are in a plan. Fields are only ever added within a `formatVersion`.
package enum PlanJSONRenderer {
    package static func render(_ plan: Plan) -> JSONValue {
        .object([
            ("formatVersion", "1.0"), ("baseRevision", .int(plan.revision)), ("suspended", .bool(plan.isSuspended)),
            (
                "summary",
                .object([
                    ("add", count(plan, .add)), ("change", count(plan, .change)), ("remove", count(plan, .remove)),
                    ("blocked", .int(Int64(plan.blockers.count))),
                ])
            ),
            (
                "changes",
                .array(
                    plan.changes.map { change in
                        .object([
                            ("action", .string(change.kind.rawValue)), ("kind", .string(change.subject.kind.rawValue)),
                            ("name", .string(change.subject.name)), ("detail", .string(change.detail)),
                        ])
                    })
            ),
            (
                "phases",
                .array(
                    plan.phases.map { step in
                        .object([
                            ("backend", .string(step.name)), ("from", .string(step.from.rawValue)),
                            ("to", .string(step.to.rawValue)),
                        ])
                    })
            ),
            (
                "abandons",
                .array(
                    plan.abandons.map { step in
                        .object([
                            ("backend", .string(step.name)), ("copies", .int(step.copies)),
                            ("soleCopies", .int(step.soleCopies)),
                        ])
                    })
            ),
            ("drains", .array(plan.drains.map(drain))), ("repairs", effect(plan.repair)),
            ("surplus", effect(plan.surplus)),
            ("rebalance", .array(plan.rebalance.steps.map(step))),
            ("doomed", effect(plan.doomed)), ("blockers", .array(plan.blockers.map(blocker))),
        ])
    }

    private static func count(_ plan: Plan, _ kind: Change.Kind) -> JSONValue {
        .int(Int64(plan.changes.filter { $0.kind == kind }.count))
    }

    private static func effect(_ effect: Plan.Effect) -> JSONValue {
        .object([("copies", .int(effect.copies)), ("bytes", .int(effect.bytes.value))])
    }

    private static func step(_ step: RebalanceStep) -> JSONValue {
        .object([("from", .string(step.fromName)), ("to", .string(step.toName)), ("bytes", .int(step.bytes.value))])
    }

    private static func drain(_ drain: DrainEffect) -> JSONValue {
        .object([
            ("estimatedSeconds", drain.estimate.map { .int($0.duration.components.seconds) } ?? .null),
            (
                "monthly",
                .array(
                    drain.demands.map {
                        .object([
                            ("backend", .string($0.backend)), ("kind", .string($0.kind.rawValue)),
                            ("needed", .int($0.needed)), ("left", .int($0.left)),
                        ])
                    })
            ),
            ("backend", .string(drain.backend)), ("move", effect(drain.move)), ("drop", effect(drain.drop)),
            (
                "targets",
                .array(drain.targets.map { .object([("backend", .string($0.backend)), ("copies", .int($0.copies))]) })
            ),
        ])
    }

    package static func blocker(_ blocker: Blocker) -> JSONValue {
        .object([
            ("subject", .string(blocker.subject.description)), ("reason", .string(blocker.reason.rawValue)),
            ("copies", .int(blocker.copies)), ("bytes", .int(blocker.bytes.value)),
            ("example", blocker.example.map { .string($0) } ?? .null), ("message", .string(blocker.message)),
        ])
    }
}
