import EventLoop
import Glibc
import Reconciler
import Synchronization
import Telemetry

/// The program: parses its arguments, runs one command, and ends with its exit status.
package enum SluiceProgram {
    package static let version = "0.1.0"

    /// Never returns. Called by `main` with nothing before it.
    package static func main() -> Never {
        // A peer that went away is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        let arguments = Array(CommandLine.arguments.dropFirst())
        exit(run(arguments, environment: environment()).rawValue)
    }

    private static func environment() -> [String: String] {
        var result: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            if let equals = text.firstIndex(of: "=") {
                result[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            next += 1
        }
        return result
    }

    private static func run(_ arguments: [String], environment: [String: String]) -> ExitCode {
        do throws(CommandFailure) {
            let invocation = try CommandLineParser.parse(arguments, environment: environment)
            if invocation.has(.help) {
                Terminal.print(Help.text(invocation.command))
                return .ok
            }
            return try perform(invocation)
        } catch {
            Terminal.say("sluice: \(error.message)")
            return error.code
        }
    }

    private static func perform(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        switch invocation.command {
        case .version:
            Terminal.print("sluice \(version)")
            return .ok
        case .help:
            guard let name = invocation.operands.first else {
                Terminal.print(Help.overview)
                return .ok
            }
            guard let command = Command(rawValue: name) else {
                throw CommandFailure(.usage, "there is no command '\(name)'")
            }
            Terminal.print(Help.text(command))
            return .ok
        case .serve:
            return try onLoops(count: max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))) {
                loops async throws(CommandFailure) in
                try await ServeCommand(invocation, loops).run()
            }
        case .reconcile, .apply:
            return try onLoops(count: 1) { loops async throws(CommandFailure) in
                try await ReconcileCommand(invocation, loops).run()
            }
        case .status:
            return try onLoops(count: 1) { loops async throws(CommandFailure) in
                try await StatusCommand(invocation, loops).run()
            }
        case .wait:
            return try onLoops(count: 1) { loops async throws(CommandFailure) in
                try await WaitCommand(invocation, loops).run()
            }
        case .export:
            return try onLoops(count: 1) { loops async throws(CommandFailure) in
                try await ExportCommand(invocation, loops).run()
            }
        case .events:
            return try onLoops(count: 1) { loops async throws(CommandFailure) in
                try await EventsCommand(invocation, loops).run()
            }
        case .object:
            return try onLoops(count: 1) { loops async throws(CommandFailure) in
                try await ObjectCommand(invocation, loops).run()
            }
        case .scrub:
            return try onLoops(count: 1) { loops async throws(CommandFailure) in
                try await ScrubCommand(invocation, loops).run()
            }
        case .adopt:
            return try onLoops(count: 1) { loops async throws(CommandFailure) in
                try await AdoptCommand(invocation, loops).run()
            }
        case .rebalance:
            return try onLoops(count: 1) { loops async throws(CommandFailure) in
                try await RebalanceCommand(invocation, loops).run()
            }
        case .inventory:
            return try onLoops(count: 1) { loops async throws(CommandFailure) in
                try await InventoryCommand(invocation, loops).run()
            }
        case .confirmCatalog:
            return try onLoops(count: 1) { loops async throws(CommandFailure) in
                try await ConfirmCatalogCommand(invocation, loops).run()
            }
        case .diff:
            return try onLoops(count: 1) { loops async throws(CommandFailure) in
                try await DiffCommand(invocation, loops).run()
            }
        case .okToStop, .safeToRemove:
            return try onLoops(count: 1) { loops async throws(CommandFailure) in
                try await AdviceCommand(invocation.command == .okToStop ? .stop : .remove, invocation, loops).run()
            }
        case .explain: return try ExplainCommand(invocation).run()
        case .schema:
            Terminal.print(SpecSchema.document.indented)
            return .ok
        case .completion:
            Terminal.print(try Completion.script(invocation.operands.first))
            return .ok
        case .validate:
            return try onLoops(count: 1) { _ async throws(CommandFailure) in try await ValidateCommand(invocation).run()
            }
        }
    }

    /// Runs a command's root task on the first loop, and waits for it on this thread.
    private static func onLoops(
        count: Int, _ body: @escaping @Sendable (LoopGroup) async throws(CommandFailure) -> ExitCode
    ) throws(CommandFailure) -> ExitCode {
        let loops: LoopGroup
        do throws(SystemError) {
            loops = try LoopGroup(count: count, name: "loop")
        } catch {
            throw CommandFailure(.failure, "cannot start: \(error)")
        }
        let done = ThreadLatch()
        let cell = Cell()
        loops.loops[0].spawn {
            do throws(CommandFailure) {
                cell.set(.success(try await body(loops)))
            } catch {
                cell.set(.failure(error))
            }
            done.open()
        }
        done.wait()
        loops.stop()
        guard let result = cell.value else { throw CommandFailure(.failure, "the command ended without a result") }
        return try result.get()
    }

    /// Carries the result from the loop's thread.
    private final class Cell: Sendable {
        private let outcome = Mutex<Result<ExitCode, CommandFailure>?>(nil)
        func set(_ result: Result<ExitCode, CommandFailure>) { outcome.withLock { $0 = result } }
        var value: Result<ExitCode, CommandFailure>? { outcome.withLock { $0 } }
    }
}
