/// Completion scripts, made from the tables that the parser reads.
enum Completion {
    static func script(_ shell: String?) throws(CommandFailure) -> String {
        switch shell {
        case "bash": bash
        case "zsh": "autoload -U +X bashcompinit && bashcompinit\n" + bash
        case "fish": fish
        default: throw CommandFailure(.usage, "completion needs a shell: bash, zsh or fish")
        }
    }

    private static func flags(_ command: Command) -> [String] {
        command.options.map { "--\($0.rawValue)" } + command.switches.map { "--\($0.rawValue)" }
    }

    private static var bash: String {
        let cases = Command.allCases.map { "        \($0.rawValue)) words=\"\(flags($0).joined(separator: " "))\" ;;" }
        return """
            _sluice() {
                local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words=
                case $previous in
                --spec|-f|--tls-certificate|--tls-key) COMPREPLY=($(compgen -f -- "$word")); return ;;
                --output|-o) COMPREPLY=($(compgen -W "text json" -- "$word")); return ;;
                esac
                if [ "$COMP_CWORD" -eq 1 ]; then
                    words="\(Command.allCases.map(\.rawValue).joined(separator: " "))"
                else
                    case ${COMP_WORDS[1]} in
            \(cases.joined(separator: "\n"))
                    esac
                fi
                COMPREPLY=($(compgen -W "$words" -- "$word"))
            }
            complete -F _sluice sluice
            """
    }

    private static var fish: String {
        var lines = ["complete -c sluice -f"]
        for command in Command.allCases {
            lines.append("complete -c sluice -n __fish_use_subcommand -a \(command.rawValue) -d \"\(command.summary)\"")
            for option in command.options {
                let short = option.short.map { " -s \($0)" } ?? ""
                lines.append(
                    "complete -c sluice -n '__fish_seen_subcommand_from \(command.rawValue)' -l \(option.rawValue)\(short) -r -d \"\(option.help)\""
                )
            }
            for one in command.switches {
                lines.append(
                    "complete -c sluice -n '__fish_seen_subcommand_from \(command.rawValue)' -l \(one.rawValue) -d \"\(one.help)\""
                )
            }
        }
        return lines.joined(separator: "\n")
    }
}
