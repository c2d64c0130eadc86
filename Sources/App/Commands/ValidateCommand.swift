import Crypto
import EventLoop
import Spec
import Telemetry

/// `sluice validate`: spec files only; no database, no network.
struct ValidateCommand {
    private let invocation: Invocation
    init(_ invocation: Invocation) { self.invocation = invocation }

    func run() async throws(CommandFailure) -> ExitCode {
        let path = if let operand = invocation.operands.first { operand } else { try invocation.required(.spec) }
        let pool = BlockingPool(threads: 1)
        let load = await SpecSource(path: path, pool: pool).load()
        pool.stop()
        var (findings, sources): ([Diagnostic], [String: String]) =
            switch load {
            case .accepted(let spec): (spec.warnings, spec.sources)
            case .rejected(let findings, let sources): (findings, sources)
            }
        if case .accepted(let spec) = load, invocation.has(.resolveSecrets) { findings += unresolved(spec.desired) }
        let errors = findings.filter { $0.severity == .error }.count
        if try invocation.wantsJSON() {
            Terminal.print(JSONValue.array(findings.map(ValidateCommand.json)).indented)
        } else {
            if !findings.isEmpty { Terminal.say(DiagnosticRenderer.text(findings, sources: sources)) }
            if case .accepted(let spec) = load, errors == 0 {
                Terminal.print(
                    "\(path) is valid: \(spec.desired.backends.count) backends, \(spec.desired.buckets.count) buckets")
            } else {
                Terminal.say("\(errors) error\(errors == 1 ? "" : "s")")
            }
        }
        return errors == 0 ? .ok : .specInvalid
    }

    private func unresolved(_ desired: DesiredState) -> [Diagnostic] {
        let resolver = SecretResolver(environment: invocation.environment)
        let references =
            desired.backends.flatMap { backend in
                backend.credentials.map {
                    [("backend \(backend.name)", $0.accessKeyID), ("backend \(backend.name)", $0.secretAccessKey)]
                } ?? []
            }
            + desired.buckets.flatMap { bucket in
                bucket.credentials.map { ("bucket \(bucket.name)", $0.secretAccessKey) }
            }
        return references.compactMap { owner, reference in
            do throws(SecretError) {
                _ = try resolver.resolve(reference)
                return nil
            } catch {
                return Diagnostic(.secretUnresolved, nil, "\(owner): \(error.description)")
            }
        }
    }

    private static func json(_ finding: Diagnostic) -> JSONValue {
        .object([
            ("severity", .string(finding.severity.rawValue)), ("code", .string(finding.code.rawValue)),
            ("file", finding.mark.map { .string($0.file) } ?? .null),
            ("line", finding.mark.map { .int(Int64($0.line)) } ?? .null),
            ("column", finding.mark.map { .int(Int64($0.column)) } ?? .null), ("message", .string(finding.message)),
            ("hint", finding.hint.map { .string($0) } ?? .null),
        ])
    }
}
