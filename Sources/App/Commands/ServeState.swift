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
        var specProblem: SpecProblem?
        var mustReload = false
        var steps: [PassScope: Int] = [:]
    }
    private let value: Mutex<Value>

    init(_ desired: DesiredState) { value = Mutex(Value(desired: desired)) }

    func accept(_ desired: DesiredState, digest: String) {
        value.withLock { value in
            value.desired = desired
            value.digest = digest
            value.generation += 1
            value.isAccepted = true
            value.specProblem = nil
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
    /// The files were read, and could not be proposed.
    var mustReload: Bool {
        get { value.withLock { $0.mustReload } }
        set { value.withLock { $0.mustReload = newValue } }
    }
    var specProblem: SpecProblem? {
        get { value.withLock { $0.specProblem } }
        set { value.withLock { $0.specProblem = newValue } }
    }
}
