import Catalog
import EventLoop
import PostgresCatalog
import Reconciler
import Spec
import Telemetry

/// `sluice ok-to-stop NAME` and `sluice safe-to-remove NAME`.
struct AdviceCommand {
    private let invocation: Invocation
    private let instance: Instance
    private let question: RemovalAdvice.Question

    init(_ question: RemovalAdvice.Question, _ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.question = question
        self.invocation = invocation
        instance = try Instance(invocation, loops: loops, logger: .silent)
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        try await instance.requireSchema()
        guard let name = invocation.operands.first else {
            throw CommandFailure(.usage, "\(invocation.command.rawValue) needs the name of a backend")
        }
        let desired = try await SpecSource(path: try invocation.required(.spec), pool: instance.pool).loaded().desired
        let observed = try await instance.observe(desired)
        guard let record = observed.fleet.backend(name) else {
            let hint = Spelling.nearest(name, observed.fleet.backends.map(\.name)).map { "; did you mean \($0)?" } ?? ""
            throw CommandFailure(.failure, "there is no backend \(name)\(hint)")
        }
        let advice = RemovalAdvice(question, of: record, desired: desired, observed: observed)
        Terminal.print(advice.text)
        return advice.isYes ? .ok : .blocked
    }
}
