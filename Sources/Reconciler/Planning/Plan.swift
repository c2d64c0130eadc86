package import Catalog
package import Spec

/// What a run would do: a value that can be printed, compared, and carried out.
package struct Plan: Sendable, Equatable {
    package var revision: Int64
    package var isSuspended: Bool
    /// Sorted by subject.
    package var changes: [Change]
    /// Steps of backends' phases, in the order in which they are to be taken.
    package var phases: [PhaseStep]
    /// Backends that are given up with the operator's token.
    package var abandons: [AbandonStep] = []
    /// By name of the backend that its copies leave; sorted.
    package var drains: [DrainEffect]
    package var repair: Effect
    /// Copies that objects have fewer than the factor, whether or not they can be made now.
    package var missing = Effect()
    /// Copies beyond the factor, each of which is dropped once it has been surplus for `trimDelay`.
    package var surplus: Effect
    package var trimDelay: Duration
    package var doomed: Effect
    package var rebalance = RebalancePlan()
    package var blockers: [Blocker]

    /// Nothing is left to do but what waits for time to pass.
    package var isEmpty: Bool {
        changes.allSatisfy { $0.kind == .notice } && phases.isEmpty && abandons.isEmpty && drains.isEmpty
            && repair.copies == 0
    }

    package struct Effect: Sendable, Equatable {
        package var copies: Int64 = 0
        package var bytes: ByteCount = .zero
        package init(copies: Int64 = 0, bytes: ByteCount = .zero) {
            self.copies = copies
            self.bytes = bytes
        }
        package mutating func add(_ copies: Int64, _ bytes: ByteCount) {
            self.copies += copies
            self.bytes += bytes
        }
    }
}

package struct Change: Sendable, Equatable {
    package enum Kind: String, Sendable { case add, change, remove, notice }
    package var kind: Kind
    package var subject: Subject
    package var detail: String
}

package struct PhaseStep: Sendable, Equatable {
    package var backend: BackendID
    package var name: String
    package var from: BackendPhase
    package var to: BackendPhase
    package init(backend: BackendID, name: String, from: BackendPhase, to: BackendPhase) {
        self.backend = backend
        self.name = name
        self.from = from
        self.to = to
    }
}

/// A backend that is lost, and what goes with it.
package struct AbandonStep: Sendable, Equatable {
    package var backend: BackendID
    package var name: String
    /// Versions whose only copy is there.
    package var soleCopies: Int64
    /// As many as the operator agreed to lose.
    package var soleCopiesMax: Int64
    package var copies: Int64
    package init(backend: BackendID, name: String, soleCopies: Int64, soleCopiesMax: Int64, copies: Int64) {
        self.backend = backend
        self.name = name
        self.soleCopies = soleCopies
        self.soleCopiesMax = soleCopiesMax
        self.copies = copies
    }
}

/// What leaves one backend, and where to.
package struct DrainEffect: Sendable, Equatable {
    package var backend: String
    package var move = Plan.Effect()
    /// Share of the moved copies by target, largest first.
    package var targets: [Share] = []
    /// Enough verified copies elsewhere.
    package var drop = Plan.Effect()
    /// Where months are limited: what it needs of them, beside what is left.
    package var demands: [MonthlyDemand] = []
    /// nil: nothing was measured yet, and no bandwidth is declared.
    package var estimate: MoveEstimate?
    package struct Share: Sendable, Equatable {
        package var backend: String
        package var copies: Int64
    }
}

/// Why something cannot go on, grouped, with an example and the way out.
package struct Blocker: Sendable, Equatable {
    package var subject: Subject
    package var reason: Reason
    package var copies: Int64
    package var bytes: ByteCount
    package var example: String?
    /// What is wrong and what to do.
    package var message: String
    package init(
        _ subject: Subject, _ reason: Reason, copies: Int64 = 0, bytes: ByteCount = .zero, example: String? = nil,
        message: String
    ) {
        self.subject = subject
        self.reason = reason
        self.copies = copies
        self.bytes = bytes
        self.example = example
        self.message = message
    }
}
