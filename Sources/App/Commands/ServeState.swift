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
        var controlSteps = 0
        var movementSteps = 0
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
    /// How often the other loop got on.
    func steps(of scope: PassScope) -> Int {
        value.withLock { scope == .movement ? $0.controlSteps : $0.movementSteps }
    }
    func noteStep(of scope: PassScope) {
        value.withLock { value in
            if scope == .movement { value.movementSteps += 1 } else { value.controlSteps += 1 }
        }
    }
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
