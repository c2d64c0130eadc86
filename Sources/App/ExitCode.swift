/// What every command's exit status means (DESIGN §1); scripts branch on these.
enum ExitCode: Int32, Sendable {
    case ok = 0
    case failure = 1
    /// Of a dry run with `--detailed-exitcode`, and of `diff`.
    case changesPending = 2
    case blocked = 3
    /// The spec is stale, or another instance accepted a different one.
    case stale = 4
    case specInvalid = 5
    case unreachable = 6
    case waitTimedOut = 7
    case usage = 64
}

/// Ends a command with one clear sentence on stderr.
struct CommandFailure: Error, Sendable {
    let code: ExitCode
    /// What happened, to what, and what to do.
    let message: String

    init(_ code: ExitCode, _ message: String) {
        self.code = code
        self.message = message
    }
}
