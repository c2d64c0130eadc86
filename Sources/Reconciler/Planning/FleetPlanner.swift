package import Catalog
package import Spec

/// Desired × observed → plan. Pure: no I/O, no clock, no randomness; the same input gives the same plan.
package struct FleetPlanner {
    let desired: DesiredState
    let observed: ObservedState
    /// Declared backends that have no row yet get ids of their own for the time of the plan.
    private let provisional: [String: BackendID]
    package private(set) var roles: [BackendID: BackendRole]
    package private(set) var standings: [BackendStanding]
    /// Backends whose drain begins with this plan.
    private let admitted: Set<BackendID>

    package init(desired: DesiredState, observed: ObservedState) {
        self.desired = desired
        self.observed = observed
        var provisional: [String: BackendID] = [:]
        for spec in desired.backends where observed.fleet.backend(spec.name) == nil && spec.state == .active {
            provisional[spec.name] = BackendID(Int32(-1 - provisional.count))
        }
        self.provisional = provisional
        let admitted = FleetPlanner.admittedDrains(desired, observed)
        self.admitted = admitted
        var roles: [BackendID: BackendRole] = [:]
        var standings: [BackendStanding] = []
        for record in observed.fleet.backends {
            let role = FleetPlanner.role(
                of: record, desired.backend(record.name), observed, isAdmitted: admitted.contains(record.id),
                repairDelay: desired.fleet.replication.repairDelay)
            roles[record.id] = role
            let quota = desired.backend(record.name)?.quota
            standings.append(
                BackendStanding(
                    id: record.id, name: record.name, isEligible: role == .staying, isHealthy: role == .staying,
                    quota: quota,
                    occupied: observed.fleet.usage[record.id]?.occupied ?? .zero,
                    limits: desired.backend(record.name)?.usageLimits ?? record.spec.usageLimits,
                    monthly: observed.fleet.monthly[record.id] ?? .zero))
        }
        for (name, id) in provisional {
            roles[id] = .staying
            standings.append(
                BackendStanding(
                    id: id, name: name, isEligible: true, isHealthy: true, quota: desired.backend(name)?.quota,
                    occupied: .zero))
        }
        self.roles = roles
        self.standings = standings.sorted { $0.name < $1.name }
    }

    /// As workers go by it: a backend that is wanted again takes no copies, and none elsewhere is dropped because of it, until its phase
    /// has changed.
    package func working() -> FleetPlanner {
        var planner = self
        for record in observed.fleet.backends where record.phase != .active && roles[record.id] == .staying {
            planner.roles[record.id] = .away
            guard let index = standings.firstIndex(where: { $0.id == record.id }) else { continue }
            planner.standings[index].isEligible = false
            planner.standings[index].isHealthy = false
        }
        return planner
    }

    private static func role(
        of record: BackendRecord, _ spec: BackendSpec?, _ observed: ObservedState, isAdmitted: Bool,
        repairDelay: Duration
    ) -> BackendRole {
        guard let spec, !record.isAbandoned else { return .uncounted }
        let isWanted = spec.state == .active && record.phase != .retiring
        if !isWanted, record.phase != .active || isAdmitted { return .leaving }
        if observed.isTrusted(record) { return isWanted ? .staying : .waiting }
        guard observed.isAwayBriefly(record, for: repairDelay) else { return .uncounted }
        return isWanted ? .away : .waiting
    }

    /// Drains that may begin now, in the order of the fleet, up to `safety.maxConcurrentDrains` with those under way.
    private static func admittedDrains(_ desired: DesiredState, _ observed: ObservedState) -> Set<BackendID> {
        // One that is called off makes room at once.
        var underWay = observed.fleet.backends.filter {
            $0.phase == .draining && desired.backend($0.name)?.state != .active
        }.count
        var admitted: Set<BackendID> = []
        for record in observed.fleet.backends where record.phase == .active && !record.isAbandoned {
            guard let spec = desired.backend(record.name), spec.state != .active,
                !isRemovalRefused(record, spec, observed), underWay < desired.fleet.safety.maxConcurrentDrains
            else { continue }
            underWay += 1
            admitted.insert(record.id)
        }
        return admitted
    }

    private static func isRemovalRefused(
        _ record: BackendRecord, _ spec: BackendSpec, _ observed: ObservedState
    ) -> Bool {
        spec.state == .removed && spec.isDeletionProtected && record.phase == .active
            && (observed.residues[record.id]?.live ?? 0) > 0
    }

    package func plan() -> Plan {
        var plan = Plan(
            revision: observed.fleet.revision, isSuspended: desired.fleet.isSuspended, changes: changes(), phases: [],
            drains: [],
            repair: Plan.Effect(), surplus: Plan.Effect(),
            trimDelay: desired.fleet.safety.trimDelay, doomed: Plan.Effect(), blockers: [])
        planPhases(&plan)
        planCopies(&plan)
        plan.blockers += pauses(plan)
        planRebalance(&plan)
        if let blocker = safeguard() { plan.blockers.insert(blocker, at: 0) }
        for backend in observed.fleet.backends {
            let tally = observed.fleet.usage[backend.id]?.doomed ?? BackendUsage.Tally()
            plan.doomed.add(tally.copies, tally.bytes)
        }
        return plan
    }

    /// Not while copies are missing or leave: what those need comes first, and changes what is even.
    private func planRebalance(_ plan: inout Plan) {
        guard plan.repair.copies == 0, plan.drains.isEmpty,
            observed.fleet.backends.allSatisfy({ $0.phase != .draining })
        else { return }
        plan.rebalance = rebalance(observed.fleet.usage)
    }

    /// With other usage than was observed: what another instance has moved since must not move again.
    func rebalance(_ usage: [BackendID: BackendUsage]) -> RebalancePlan {
        let threshold = observed.rebalance.isRequested ? 0 : desired.fleet.rebalanceThreshold
        // Where nothing may be dropped, moving would only make copies.
        let isCeilingReached =
            desired.fleet.safety.deletionsPerHourMax.map { observed.pace.dropsLastHour >= $0 } ?? false
        guard let threshold, desired.fleet.routing == .spread, observed.mayDestroy, !isCeilingReached else {
            return RebalancePlan()
        }
        let known = standings.filter { $0.id.raw > 0 }.map { standing in
            var standing = standing
            standing.occupied = usage[standing.id]?.occupied ?? standing.occupied
            return standing
        }
        return RebalancePlanner.plan(standings: known, usage: usage, groups: observed.groups, threshold: threshold)
    }

    /// What waits for nothing but time.
    private func pauses(_ plan: Plan) -> [Blocker] {
        var blockers: [Blocker] = []
        for record in observed.fleet.backends where record.phase == .draining && roles[record.id] == .leaving {
            guard let window = desired.backend(record.name)?.drain.window, let moment = observed.pace.moment,
                !window.contains(moment), (observed.residues[record.id]?.live ?? 0) > 0
            else { continue }
            blockers.append(
                Blocker(
                    Subject(.backend, record.name), .outsideWindow,
                    message: "copies leave from \(window), by drain.window. Change the window to go on now."))
        }
        if let ceiling = desired.fleet.safety.deletionsPerHourMax, observed.pace.dropsLastHour >= ceiling,
            !plan.drains.isEmpty || plan.surplus.copies > 0 || observed.rebalance.isRequested
        {
            blockers.append(
                Blocker(
                    Subject(.fleet, desired.fleet.name), .deletionCeiling,
                    message:
                        "\(Grouped.number(observed.pace.dropsLastHour)) copies were dropped within the hour, as many as safety.maxDeletionsPerHour allows. The others wait; raise it if this is what you want."
                ))
        }
        return blockers
    }

    private func safeguard() -> Blocker? {
        let subject = Subject(.fleet, desired.fleet.name)
        let rule = "Copies are made, none is dropped or deleted."
        if let halt = observed.safeguard.halt {
            return Blocker(
                subject, .catalogRewound,
                message:
                    "\(halt.evidence). \(rule) If the database is the right one: sluice confirm-catalog \(halt.token)")
        }
        return observed.rewindEvidence.map { evidence in
            Blocker(
                subject, .catalogRewound,
                message: "\(evidence.description). \(rule) The next pass prints the token that ends this.")
        }
    }

    // MARK: Phases

    private func planPhases(_ plan: inout Plan) {
        let underWay = observed.fleet.backends.filter { $0.phase == .draining }.count + admitted.count
        for record in observed.fleet.backends {
            guard let spec = desired.backend(record.name) else { continue }
            let subject = Subject(.backend, record.name)
            func step(_ to: BackendPhase) {
                plan.phases.append(PhaseStep(backend: record.id, name: record.name, from: record.phase, to: to))
            }
            if case .abandon(let text) = spec.removal, spec.state == .removed {
                planAbandon(record, text, isProtected: spec.isDeletionProtected, &plan)
            }
            let residue = observed.residues[record.id] ?? BackendResidue()
            // There is only one way from here, whatever the files say.
            let state = record.isAbandoned ? .removed : spec.state
            switch (state, record.phase) {
            case (.active, .draining), (.active, .drained): step(.active)
            case (.draining, .active), (.removed, .active):
                if FleetPlanner.isRemovalRefused(record, spec, observed) {
                    plan.blockers.append(
                        Blocker(
                            subject, .deletionProtected, copies: residue.live,
                            message:
                                "state removed, but \(Grouped.number(residue.live)) copies remain and deletionProtection is true. "
                                + "Set state: draining first, or deletionProtection: false."))
                } else if admitted.contains(record.id) {
                    step(.draining)
                } else {
                    plan.blockers.append(
                        Blocker(
                            subject, .tooManyDrains,
                            message:
                                "waits: \(underWay) of safety.maxConcurrentDrains \(desired.fleet.safety.maxConcurrentDrains) drains are under way."
                        ))
                }
            case (.draining, .draining), (.removed, .draining): if residue.allowsDrained { step(.drained) }
            case (.removed, .drained):
                if spec.removal == .purge || record.isAbandoned, observed.mayDestroy { step(.retiring) }
            case (_, .retiring): if residue.allowsRetired, observed.mayDestroy { step(.retired) }
            case (.active, .active), (.draining, .drained), (_, .retired): break
            }
        }
    }

    /// With the right token the backend is given up; else the plan says what would be lost, and the token that agrees to it.
    private func planAbandon(_ record: BackendRecord, _ text: String, isProtected: Bool, _ plan: inout Plan) {
        guard !record.isAbandoned, record.phase == .active || record.phase == .draining else { return }
        guard !isProtected else {
            plan.blockers.append(
                Blocker(
                    Subject(.backend, record.name), .deletionProtected,
                    message: "removal.abandon, but deletionProtection is true. Set deletionProtection: false."))
            return
        }
        let given = Set(observed.fleet.backends.filter(\.isAbandoned).map(\.id))
        let sole = observed.groups.filter { group in
            (group.holders + group.suspects).contains(record.id)
                && group.holders.allSatisfy { $0 == record.id || given.contains($0) }
        }
        let versions = sole.reduce(0) { $0 + $1.versions }
        if let token = AbandonToken(text, of: record.uid), token.soleCopies >= versions {
            // Also while the drain is still to begin: what a plan leads to is in the plan.
            plan.abandons.append(
                AbandonStep(
                    backend: record.id, name: record.name, soleCopies: versions, soleCopiesMax: token.soleCopies,
                    copies: observed.fleet.usage[record.id]?.live.copies ?? 0))
            return
        }
        let token = AbandonToken(soleCopies: versions, of: record.uid)
        let names = Dictionary(observed.fleet.buckets.map { ($0.id, $0.name) }) { first, _ in first }
        plan.blockers.append(
            Blocker(
                Subject(.backend, record.name), .removalRefused, copies: versions,
                bytes: sole.reduce(.zero) { $0 + $1.bytes },
                example: sole.first.map { "\(names[$0.bucket] ?? "?")/\($0.example)" },
                message: versions == 0
                    ? "every object has a copy elsewhere, none would be lost. To give the backend up for ever: removal: { abandon: \(token) }"
                    : "\(Grouped.number(versions)) objects have their only copy here. To lose them for ever: removal: { abandon: \(token) }"
            ))
    }

    // MARK: Copies

    private func planCopies(_ plan: inout Plan) {
        var effects: [BackendID: DrainEffect] = [:]
        var targets: [BackendID: [BackendID: Plan.Effect]] = [:]
        var room = standings
        for group in observed.groups {
            guard let bucket = observed.fleet.buckets.first(where: { $0.id == group.bucket }) else { continue }
            let factor = desired.replication(of: bucket.name).factor
            var sources: [String] = []
            var decision = VersionPlanner.decide(
                holders: group.holders, suspects: group.suspects, factor: factor, size: group.largest, roles: roles,
                standings: room,
                routing: desired.fleet.routing)
            if let silent = unreadable(group), decision.blocked != nil || !decision.targets.isEmpty {
                decision = VersionDecision(targets: [], dooms: [], blocked: .sourceUnreadable)
                sources = silent
            }
            let held = group.holders.count { roles[$0] != nil && roles[$0] != .uncounted }
            plan.missing.add(
                Int64(max(0, factor - held)) * group.versions,
                ByteCount(Int64(max(0, factor - held)) * group.bytes.value))
            if group.holders.isEmpty, decision.blocked == nil, !group.suspects.isEmpty {
                plan.blockers.append(doubtful(group, bucket.name))
                continue
            }
            let leaving = observed.fleet.backends.filter { record in
                (group.holders + group.suspects).contains(record.id) && roles[record.id] == .leaving
            }
            for (target, spec) in decision.targets.map({ ($0, group.bytes) }) {
                if let index = room.firstIndex(where: { $0.id == target }) { room[index].occupied += spec }
            }
            block(&plan, group, decision, bucket.name, factor, leaving, sources)
            if leaving.isEmpty {
                plan.repair.add(
                    Int64(decision.targets.count) * group.versions,
                    ByteCount(Int64(decision.targets.count) * group.bytes.value))
            }
            for (index, record) in leaving.enumerated() {
                var effect = effects[record.id] ?? DrainEffect(backend: record.name)
                if index < decision.targets.count {
                    effect.move.add(group.versions, group.bytes)
                    targets[record.id, default: [:]][decision.targets[index], default: Plan.Effect()].add(
                        group.versions, group.bytes)
                } else if decision.dooms.contains(record.id) {
                    effect.drop.add(group.versions, group.bytes)
                }
                effects[record.id] = effect
            }
            let staying = group.holders.filter { roles[$0] == .staying }.count
            if staying > factor {
                plan.surplus.add(
                    Int64(staying - factor) * group.versions, ByteCount(Int64(staying - factor) * group.bytes.value))
            }
        }
        let names = Dictionary(standings.map { ($0.id, $0.name) }) { first, _ in first }
        plan.drains = effects.map { id, effect in
            var effect = effect
            effect.demands = MonthlyDemand.of(effect, received: targets[id] ?? [:], standings: standings)
            effect.estimate = MoveEstimate.of(
                effect.move, policy: desired.backend(effect.backend)?.drain ?? DrainPolicy(),
                rate: observed.pace.rates[id] ?? observed.pace.rates.values.reduce(into: MoveRate()) { $0 += $1 })
            effect.targets = (targets[id] ?? [:]).map {
                DrainEffect.Share(backend: names[$0.key] ?? "?", copies: $0.value.copies)
            }
            .sorted { ($1.copies, $0.backend) < ($0.copies, $1.backend) }
            return effect
        }.sorted { $0.backend < $1.backend }
        plan.blockers = FleetPlanner.merged(plan.blockers)
    }
}
