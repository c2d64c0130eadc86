import Catalog
import EventLoop
import PostgresCatalog
import Spec
import Telemetry

/// `sluice wait --for=condition=Drained backend/NAME`.
struct WaitCommand {
    private static let pause: Duration = .milliseconds(500)

    private let invocation: Invocation
    private let instance: Instance

    init(_ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.invocation = invocation
        instance = try Instance(invocation, loops: loops, logger: .silent)
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        let subject = try subject()
        let (type, wanted) = try condition()
        let limit = try timeout()
        try await instance.requireSchema()
        let began = SystemClock.elapsed()
        while true {
            let found: ConditionRecord?
            do throws(CatalogError) {
                found = try await instance.catalog.conditions().first { $0.subject == subject && $0.type == type }
            } catch {
                throw Instance.failure(error)
            }
            if found?.status == wanted { return .ok }
            guard SystemClock.elapsed() - began < limit else {
                let now =
                    found.map { "\($0.status.rawValue), \($0.reason.rawValue): \($0.message)" }
                    ?? "not known: is the name right?"
                throw CommandFailure(.waitTimedOut, "\(subject): \(type.rawValue) is still \(now)")
            }
            do throws(CancellationError) { try await EventLoop.sleep(for: WaitCommand.pause) } catch { return .failure }
        }
    }

    private func subject() throws(CommandFailure) -> Subject {
        guard let text = invocation.operands.first else {
            throw CommandFailure(.usage, "wait needs what to wait for, such as backend/b2-eu")
        }
        let parts = text.split(separator: "/", maxSplits: 1).map(String.init)
        guard parts.count == 2, let kind = Subject.Kind(rawValue: parts[0]) else {
            throw CommandFailure(
                .usage,
                "'\(text)' is not KIND/NAME with a kind of \(Subject.Kind.allCases.map(\.rawValue).joined(separator: ", "))"
            )
        }
        return Subject(kind, parts[1])
    }

    private func condition() throws(CommandFailure) -> (ConditionType, ConditionStatus) {
        let text = try invocation.required(.condition)
        let parts = text.split(separator: "=").map(String.init)
        guard parts.count == 2 || parts.count == 3, parts[0] == "condition",
            let type = ConditionType(rawValue: parts[1]),
            let status = ConditionStatus(rawValue: parts.count == 3 ? parts[2] : "True")
        else {
            throw CommandFailure(
                .usage,
                "--for=\(text) is not condition=TYPE or condition=TYPE=STATUS with a type of \(ConditionType.allCases.map(\.rawValue).joined(separator: ", "))"
            )
        }
        return (type, status)
    }

    private func timeout() throws(CommandFailure) -> Duration {
        guard let text = invocation.options[.timeout] else { return .seconds(600) }
        guard let duration = Duration(spec: text) else {
            throw CommandFailure(.usage, "--timeout \(text) is not a duration such as 90s or 2h")
        }
        return duration
    }
}
