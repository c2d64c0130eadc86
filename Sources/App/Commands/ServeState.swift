import Reconciler
import Spec
import Synchronization

/// What the services of one server share.
final class ServeState: Sendable {
    private struct Value {
        var desired: DesiredState
        var generation = 0
        var isAccepted = false
        var isStopping = false
        var digest = ""
        var proposals = Proposals()
        var specProblem: SpecProblem?
        var mustReload = false
        var steps: [PassScope: Int] = [:]
    }
    /// By what the files are proposed.
    struct Proposals {
        /// The revision that the files come from.
        var base: Int64 = 0
        /// Of the files that were proposed last.
        var digest = ""
        /// Of files whose acceptance had no answer: what is in force may be theirs.
        var unresolved: String?
        /// The revision in force, as it was read last, and when the files were proposed last.
        var inForce: Int64 = 0
        var lookedAt: Int64 = 0
    }
    private let value: Mutex<Value>

    init(_ desired: DesiredState) { value = Mutex(Value(desired: desired)) }

    func accept(_ desired: DesiredState, digest: String, revision: Int64) {
        value.withLock { value in
            value.proposals = Proposals(base: revision, digest: digest, inForce: revision, lookedAt: revision)
            value.specProblem = nil
            // Asked again, and told the same: what is under way may go on.
            if value.isAccepted, value.digest == digest { return }
            value.desired = desired
            value.digest = digest
            value.generation += 1
            value.isAccepted = true
        }
    }

    /// The spec that this instance goes by, and its digest.
    var accepted: (desired: DesiredState, digest: String) { value.withLock { ($0.desired, $0.digest) } }
    var desired: DesiredState { value.withLock { $0.desired } }
    var generation: Int { value.withLock { $0.generation } }
    var isAccepted: Bool { value.withLock { $0.isAccepted } }
    var isStopping: Bool {
        get { value.withLock { $0.isStopping } }
        set { value.withLock { $0.isStopping = newValue } }
    }
    /// How often the other loops got on.
    func steps(besides scope: PassScope) -> Int {
        value.withLock { value in value.steps.reduce(0) { $0 + ($1.key == scope ? 0 : $1.value) } }
    }
    func noteStep(of scope: PassScope) { value.withLock { $0.steps[scope, default: 0] += 1 } }
    func noteInForce(_ revision: Int64) { value.withLock { $0.proposals.inForce = revision } }
    var proposals: Proposals { value.withLock { $0.proposals } }
    /// In one step: what is in force is noted meanwhile.
    func propose(_ change: (inout Proposals) -> Void) { value.withLock { change(&$0.proposals) } }
    /// The files are to be proposed, though they did not change: they could not be before, or another spec is in force since, which may be
    /// what they say.
    var mustReload: Bool {
        get { value.withLock { $0.mustReload || $0.proposals.inForce != $0.proposals.lookedAt } }
        set { value.withLock { $0.mustReload = newValue } }
    }
    var specProblem: SpecProblem? {
        get { value.withLock { $0.specProblem } }
        set { value.withLock { $0.specProblem = newValue } }
    }
}
