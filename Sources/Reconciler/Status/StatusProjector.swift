package import Catalog
import S3
import Spec
import Transfer

/// Why the files that an instance reads are not what is in force.
package struct SpecProblem: Sendable, Equatable {
    package let reason: Reason
    package let message: String
    package init(_ reason: Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }
}

/// Desired × observed × outcome → conditions. Pure; each message says what to do.
struct StatusProjector {
    let desired: DesiredState
    let observed: ObservedState
    let plan: Plan
    let outcome: PassOutcome
    var specProblem: SpecProblem?
    /// Backends whose copies have become fewer or more of late, by whatever instance.
    var moving: Set<BackendID> = []

    func conditions() -> [ConditionRecord] {
        observed.fleet.backends.flatMap { backend($0) } + fleet()
    }

    private func fleet() -> [ConditionRecord] {
        let subject = Subject(.fleet, desired.fleet.name)
        let revision = observed.fleet.revision
        let halt = plan.blockers.first { $0.reason == .catalogRewound || $0.reason == .deletionCeiling }
        return [
            ConditionRecord(
                subject, .deletesHealthy, halt == nil ? .yes : .no, halt?.reason ?? .deletesHealthy,
                halt?.message ?? "nothing is held back", observedGeneration: revision),
            specProblem.map { problem in
                ConditionRecord(
                    subject, .specAccepted, .no, problem.reason, problem.message, observedGeneration: revision)
            }
                ?? ConditionRecord(
                    subject, .specAccepted, .yes, .specAccepted, "revision \(revision) is in force",
                    observedGeneration: revision),
            ready(subject, revision),
            stalled(subject, revision),
        ]
    }

    /// What keeps objects from having their copies, the worst first.
    private var obstacles: [Blocker] {
        [.sourceUnreadable, .insufficientRoom, .insufficientTargets].flatMap { reason in
            plan.blockers.filter { $0.reason == reason && $0.subject.kind == .bucket }
        }
    }

    private static func text(_ blockers: [Blocker]) -> String {
        guard let first = blockers.first else { return "nothing is in the way" }
        let example = first.example.map { ", such as \($0)" } ?? ""
        let more = blockers.count > 1 ? " (and \(blockers.count - 1) more)" : ""
        return "\(Grouped.number(first.copies)) objects\(example): \(first.message)\(more)"
    }

    private func ready(_ subject: Subject, _ revision: Int64) -> ConditionRecord {
        func make(_ status: ConditionStatus, _ reason: Reason, _ message: String) -> ConditionRecord {
            ConditionRecord(subject, .ready, status, reason, message, observedGeneration: revision)
        }
        let missing = plan.missing.copies
        if desired.fleet.isSuspended { return make(.no, .suspended, "suspend is true: plan and status only") }
        if let first = obstacles.first { return make(.no, first.reason, StatusProjector.text(obstacles)) }
        return missing > 0
            ? make(.yes, .underReplicated, "\(Grouped.number(missing)) copies are still to be made")
            : make(.yes, .converged, "every object has its copies")
    }

    private func stalled(_ subject: Subject, _ revision: Int64) -> ConditionRecord {
        let first = outcome.hasProgressed || !moving.isEmpty ? nil : obstacles.first
        return ConditionRecord(
            subject, .stalled, first == nil ? .no : .yes, first?.reason ?? .progressing,
            first == nil ? "nothing is in the way" : StatusProjector.text(obstacles), observedGeneration: revision)
    }

    private func backend(_ record: BackendRecord) -> [ConditionRecord] {
        let subject = Subject(.backend, record.name)
        func condition(_ type: ConditionType, _ status: ConditionStatus, _ reason: Reason, _ message: String)
            -> ConditionRecord
        {
            ConditionRecord(subject, type, status, reason, message, observedGeneration: record.generation)
        }
        let blockers = plan.blockers.filter { $0.subject == subject }
        return reachability(record, condition) + movement(record, blockers, condition) + removal(record, condition)
            + limits(record, condition) + [
                record.isDeclared && desired.backend(record.name) != nil
                    ? condition(.undeclared, .no, .declared, "declared in the spec")
                    : condition(
                        .undeclared, .yes, .undeclared,
                        "not in the spec files: read, never written, never purged. Declare it again, or declare it with state: removed"
                    )
            ]
    }

    private typealias Make = (ConditionType, ConditionStatus, Reason, String) -> ConditionRecord

    private func reachability(_ record: BackendRecord, _ make: Make) -> [ConditionRecord] {
        switch observed.probes[record.id] {
        case nil:
            return [
                make(.reachable, .unknown, .notObservedYet, "not asked yet"),
                make(.credentialsValid, .unknown, .notObservedYet, "not asked yet"),
                make(.identified, .unknown, .notObservedYet, "not asked yet"),
                make(.ready, .unknown, .notObservedYet, "not asked yet"),
            ]
        case .secretUnresolved(let reason):
            return [
                make(.reachable, .unknown, .secretUnresolved, reason),
                make(.credentialsValid, .no, .secretUnresolved, reason),
                make(.identified, .unknown, .secretUnresolved, reason),
                make(.ready, .no, .secretUnresolved, "\(reason). Provide the secret."),
            ]
        case .failed(let error): return failed(record, error, make)
        case .answered(let finding):
            let base = [
                make(.reachable, .yes, .reachable, "answers"),
                make(.credentialsValid, .yes, .credentialsAccepted, "accepted"),
            ]
            if observed.isTrusted(record) {
                return base + [make(.identified, .yes, .identityConfirmed, "the marker matches"), ready(record, make)]
            }
            let found: String
            if case .mismatch(found: let text) = finding {
                found = "the marker there is '\(text.filter { $0 != "\n" })'"
            } else {
                found = "its marker is missing"
            }
            let message =
                "\(found): is this another bucket or an empty disk? Nothing is written or deleted there until the right one is back; after replication.repairDelay its copies are made anew elsewhere."
            return base + [
                make(.identified, .no, .identityMismatch, message), make(.ready, .no, .identityMismatch, message),
            ]
        }
    }

    private func failed(_ record: BackendRecord, _ error: StoreError, _ make: Make) -> [ConditionRecord] {
        let message = String(error.evidence.prefix(300))
        switch error.code {
        case .accessDenied:
            return [
                make(.reachable, .yes, .reachable, "answers"),
                make(.credentialsValid, .no, .accessDenied, "\(message). Check the credentials and their permissions."),
                make(.identified, .unknown, .accessDenied, message), make(.ready, .no, .accessDenied, message),
            ]
        case .wrongLocation:
            return [
                make(.reachable, .yes, .reachable, "answers"),
                make(.credentialsValid, .unknown, .wrongLocation, message),
                make(.identified, .no, .wrongLocation, "\(message). Check endpoint, region, bucket, or the mount."),
                make(.ready, .no, .wrongLocation, message),
            ]
        default:
            return [
                make(.reachable, .no, .unreachable, "\(message). Check the endpoint and the network."),
                make(.credentialsValid, .unknown, .unreachable, message),
                make(.identified, .unknown, .unreachable, message),
                make(.ready, .no, .unreachable, message),
            ]
        }
    }

    private func ready(_ record: BackendRecord, _ make: Make) -> ConditionRecord {
        guard record.isDeclared, desired.backend(record.name) != nil else {
            return make(.ready, .no, .undeclared, "read, but not written: it is not in the spec files")
        }
        return switch record.phase {
        case .active: make(.ready, .yes, .active, "takes reads and writes")
        case .draining: make(.ready, .no, .draining, "read, but takes no new copies")
        case .drained: make(.ready, .no, .drained, "empty; takes no new copies")
        case .retiring, .retired: make(.ready, .no, .purging, "is being retired")
        }
    }

    private func movement(_ record: BackendRecord, _ blockers: [Blocker], _ make: Make) -> [ConditionRecord] {
        let residue = observed.residues[record.id] ?? BackendResidue()
        var list: [ConditionRecord] = []
        switch record.phase {
        case .draining:
            list.append(
                make(.reconciling, .yes, .drainInProgress, "\(Grouped.number(residue.live)) copies are still here"))
        case .retiring: list.append(make(.reconciling, .yes, .purging, "verifying that nothing is left"))
        case .active, .drained, .retired: list.append(make(.reconciling, .no, .converged, "nothing to do"))
        }
        if let blocker = blockers.first, !outcome.hasProgressed, !moving.contains(record.id) {
            let more = blockers.count > 1 ? " (and \(blockers.count - 1) more)" : ""
            list.append(make(.stalled, .yes, blocker.reason, blocker.message + more))
        } else if let unknown = outcome.unknownObjects[record.id] {
            list.append(
                make(
                    .stalled, .yes, .unknownObjectsFound,
                    "\(unknown.count) objects look like ours but no row names them, such as \(unknown.example). They are deleted after safety.orphanQuarantine; remove by hand what 'sluice inventory' shows as foreign."
                ))
        } else {
            list.append(make(.stalled, .no, .progressing, "nothing is in the way"))
        }
        list.append(drained(record, residue, make))
        return list
    }

    private func drained(_ record: BackendRecord, _ residue: BackendResidue, _ make: Make) -> ConditionRecord {
        switch record.phase {
        case .active: return make(.drained, .no, .notDraining, "state is active")
        case .drained, .retiring, .retired: return make(.drained, .yes, .drained, "no copy is left")
        case .draining:
            if residue.live > 0 {
                return make(.drained, .no, .copiesRemain, "\(Grouped.number(residue.live)) copies remain")
            }
            if residue.writing > 0 {
                return make(.drained, .no, .writersActive, "\(residue.writing) writes that began before are under way")
            }
            if residue.openUploads > 0 {
                return make(
                    .drained, .no, .uploadsOpen,
                    "\(residue.openUploads) uploads are open; they are aborted after drainUploadGrace")
            }
            return make(.drained, .no, .deletesPending, "\(Grouped.number(residue.doomed)) copies are being deleted")
        }
    }

    private func removal(_ record: BackendRecord, _ make: Make) -> [ConditionRecord] {
        let residue = observed.residues[record.id] ?? BackendResidue()
        guard record.phase != .active, record.phase != .draining else {
            return [
                make(
                    .safeToRemove, .no, .copiesRemain,
                    "\(Grouped.number(residue.live)) copies are here. Set state: draining first.")
            ]
        }
        guard residue.allowsRetired else {
            return [
                make(
                    .safeToRemove, .no, .waitingForHorizon,
                    "\(residue.waitingHorizon) deleted names wait for writes that may arrive late")
            ]
        }
        return [
            make(
                .safeToRemove, .yes, .nothingStored,
                "nothing is stored here; state: removed with purge: true retires it")
        ]
    }

    private func monthly(_ record: BackendRecord, _ make: Make) -> ConditionRecord {
        let limits = record.spec.usageLimits
        let used = observed.fleet.monthly[record.id] ?? .zero
        guard limits != UsageLimits() else { return make(.withinUsage, .yes, .withinUsage, "no limit is declared") }
        let shares = MonthlyText.shares(used, limits).joined(separator: ", ")
        let isOver = limits.forbidReads(after: used) || !limits.allowsWrite(of: ByteCount(1), after: used)
        return isOver
            ? make(
                .withinUsage, .no, .overUsage,
                "this month: \(shares). Other backends are read and written. Raise the limit, or wait for the next month."
            )
            : make(.withinUsage, .yes, .withinUsage, "this month: \(shares)")
    }

    private func limits(_ record: BackendRecord, _ make: Make) -> [ConditionRecord] {
        let usage = observed.fleet.usage[record.id] ?? BackendUsage()
        let residue = observed.residues[record.id] ?? BackendResidue()
        var list: [ConditionRecord] = []
        if let quota = record.spec.quota, usage.occupied > quota {
            list.append(
                make(
                    .withinQuota, .no, .overQuota,
                    "\(usage.occupied) of \(quota): no new copies. Raise the quota, or drain."))
        } else {
            list.append(
                make(
                    .withinQuota, .yes, .withinQuota,
                    record.spec.quota.map { "\(usage.occupied) of \($0)" } ?? "unlimited"))
        }
        list.append(monthly(record, make))
        list.append(
            residue.deadLetters > 0
                ? make(
                    .deletesHealthy, .no, .deletesFailing,
                    "\(residue.deadLetters) deletions failed ten times or more. See the log for the error.")
                : make(.deletesHealthy, .yes, .deletesHealthy, "deletions succeed"))
        return list
    }
}
