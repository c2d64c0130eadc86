import Spec

/// Turns arguments into an `Invocation`, or says what is wrong with them.
enum CommandLineParser {
    /// - Parameter arguments: without the program's name
    static func parse(_ arguments: [String], environment: [String: String]) throws(CommandFailure) -> Invocation {
        guard let name = arguments.first else {
            throw CommandFailure(.usage, "a command is needed\n\n" + Help.overview)
        }
        if name == "--help" || name == "-h" { return invocation(.help, environment) }
        if name == "--version" { return invocation(.version, environment) }
        guard let command = Command(rawValue: name) else {
            let hint = Spelling.nearest(name, Command.allCases.map(\.rawValue)).map { "; did you mean '\($0)'?" } ?? ""
            throw CommandFailure(.usage, "there is no command '\(name)'\(hint) 'sluice help' lists them")
        }
        var result = invocation(command, environment)
        var rest = arguments.dropFirst()
        while let argument = rest.popFirst() {
            if argument == "--" {
                result.operands += rest
                rest = []
            } else if argument.hasPrefix("-"), argument != "-" {
                try take(argument, &rest, into: &result)
            } else {
                result.operands.append(argument)
            }
        }
        if result.operands.count > command.operandsMax, !result.has(.help) {
            throw CommandFailure(
                .usage, "unexpected '\(result.operands[command.operandsMax])'; usage: \(Help.usage(command))")
        }
        return result
    }

    private static func invocation(_ command: Command, _ environment: [String: String]) -> Invocation {
        Invocation(command: command, options: [:], switches: [], operands: [], environment: environment)
    }

    private static func take(
        _ argument: String, _ rest: inout ArraySlice<String>, into result: inout Invocation
    ) throws(CommandFailure) {
        let command = result.command
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let flag = parts[0]
        if let one = command.switches.first(where: { flag == "--\($0.rawValue)" || ($0 == .help && flag == "-h") }) {
            guard parts.count == 1 else { throw CommandFailure(.usage, "\(flag) takes no value") }
            result.switches.insert(one)
            return
        }
        let option = command.options.first {
            flag == "--\($0.rawValue)" || ($0.short.map { flag == "-\($0)" } ?? false)
        }
        guard let option else {
            let known = command.options.map { "--\($0.rawValue)" } + command.switches.map { "--\($0.rawValue)" }
            let hint =
                Spelling.nearest(flag, known).map { "; did you mean \($0)?" }
                ?? "; see 'sluice help \(command.rawValue)'"
            throw CommandFailure(.usage, "\(command.rawValue) has no option \(flag)\(hint)")
        }
        guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else {
            throw CommandFailure(.usage, "\(flag) needs a value: \(option.help)")
        }
        guard result.options.updateValue(value, forKey: option) == nil else {
            throw CommandFailure(.usage, "\(flag) is given twice")
        }
    }
}
