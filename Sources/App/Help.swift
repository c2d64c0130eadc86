/// Help texts; made from the same tables that the parser reads, so that they cannot go stale.
enum Help {
    static var overview: String {
        let commands = Command.allCases.map { "  \(padded($0.rawValue, 16))\($0.summary)" }.joined(separator: "\n")
        return """
            Sluice keeps many S3 backends in the state that spec files declare, and serves them as one S3 endpoint.

            Usage: sluice COMMAND [OPTIONS]

            \(commands)

            'sluice help COMMAND' explains one. Exit status: 0 ok, 1 failure, 2 changes pending, 3 blocked, 4 stale spec,
            5 invalid spec, 6 database unreachable, 7 wait timed out, 64 usage.
            """
    }

    static func usage(_ command: Command) -> String {
        ["sluice", command.rawValue, command.options.isEmpty ? "" : "[OPTIONS]", command.operands]
            .filter { !$0.isEmpty }.joined(separator: " ")
    }

    static func text(_ command: Command) -> String {
        var lines = [
            "Usage: \(usage(command))", "", "\(command.summary.prefix(1).uppercased())\(command.summary.dropFirst()).",
        ]
        if !command.explanation.isEmpty { lines += ["", command.explanation] }
        let options = command.options.map { option in
            let short = option.short.map { "-\($0), " } ?? ""
            let variable = option.variable.map { " [\($0)]" } ?? ""
            return ("\(short)--\(option.rawValue) VALUE", option.help + variable)
        }
        let switches = command.switches.map { ("--\($0.rawValue)", $0.help) }
        lines += ["", "Options:"] + (options + switches).map { "  \(padded($0.0, 26))\($0.1)" }
        return lines.joined(separator: "\n")
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}
