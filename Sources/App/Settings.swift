import Glibc
import HTTP
import Telemetry

/// A command-line option with a value, and where else its value may come from.
enum Option: String, CaseIterable, Sendable {
    case spec
    case databaseURL = "database-url"
    case listen
    case adminListen = "admin-listen"
    case instance
    case logLevel = "log-level"
    case region, domain
    case tlsCertificate = "tls-certificate"
    case tlsKey = "tls-key"
    case output, timeout
    case condition = "for"

    /// The environment variable that stands in for the flag; its name with `_FILE` added names a file with the value.
    var variable: String? {
        switch self {
        case .spec: "SLUICE_SPEC"
        case .databaseURL: "SLUICE_DATABASE_URL"
        case .listen: "SLUICE_LISTEN"
        case .adminListen: "SLUICE_ADMIN_LISTEN"
        case .instance: "SLUICE_INSTANCE"
        case .logLevel: "SLUICE_LOG_LEVEL"
        case .region: "SLUICE_REGION"
        case .domain: "SLUICE_DOMAIN"
        case .tlsCertificate: "SLUICE_TLS_CERTIFICATE"
        case .tlsKey: "SLUICE_TLS_KEY"
        case .output, .timeout, .condition: nil
        }
    }

    /// The short form, if there is one.
    var short: Character? {
        switch self {
        case .output: "o"
        case .spec: "f"
        case .databaseURL, .listen, .adminListen, .instance, .logLevel, .region, .domain, .tlsCertificate, .tlsKey,
            .timeout,
            .condition:
            nil
        }
    }

    var help: String {
        switch self {
        case .spec: "spec file, or folder of *.yaml files"
        case .databaseURL: "Postgres, as a libpq URI"
        case .listen: "address of the S3 endpoint (default 127.0.0.1:9000)"
        case .adminListen: "address of health, readiness and metrics (default 127.0.0.1:9001)"
        case .instance: "name of this instance in revisions and logs (default: the host's name)"
        case .logLevel: "debug, info, warning or error (default info)"
        case .region: "S3 region that clients must sign for (default us-east-1)"
        case .domain: "host name below which bucket.DOMAIN addresses a bucket"
        case .tlsCertificate: "PEM file: serve S3 over TLS with this certificate chain"
        case .tlsKey: "PEM file: its private key"
        case .output: "text or json; with --dry-run also a file, such as plan.json"
        case .timeout: "how long to wait, such as 90s or 2h"
        case .condition: "condition=TYPE or condition=TYPE=STATUS"
        }
    }
}

/// A command-line option without a value.
enum Switch: String, CaseIterable, Sendable {
    case dryRun = "dry-run"
    case detailedExitcode = "detailed-exitcode"
    case allowRollback = "allow-rollback"
    case noColor = "no-color"
    case watch
    case cancel
    case resolveSecrets = "resolve-secrets"
    case help

    var help: String {
        switch self {
        case .dryRun: "print the plan and change nothing"
        case .detailedExitcode: "with --dry-run: exit 2 if there are changes"
        case .allowRollback: "accept a spec that was accepted before and superseded"
        case .noColor: "no colours, as with NO_COLOR in the environment"
        case .watch: "print again whenever something changed, until interrupted"
        case .cancel: "end what was asked for before"
        case .resolveSecrets: "also read the secrets that the spec refers to"
        case .help: "print this text"
        }
    }
}

/// A parsed command line.
struct Invocation: Sendable {
    var command: Command
    var options: [Option: String]
    var switches: Set<Switch>
    var operands: [String]
    var environment: [String: String]

    func has(_ one: Switch) -> Bool { switches.contains(one) }

    /// The flag, else the environment variable, else the file that the variable with `_FILE` names.
    func value(_ option: Option) throws(CommandFailure) -> String? {
        if let value = options[option] { return value }
        guard let variable = option.variable else { return nil }
        if let value = environment[variable], !value.isEmpty { return value }
        guard let path = environment[variable + "_FILE"], !path.isEmpty else { return nil }
        guard let text = readTextFile(path, limit: 64 * 1024) else {
            throw CommandFailure(.usage, "cannot read \(path), which \(variable)_FILE names; check its path and mode")
        }
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    func required(_ option: Option) throws(CommandFailure) -> String {
        if let value = try value(option) { return value }
        let variable = option.variable.map { " or set \($0)" } ?? ""
        throw CommandFailure(.usage, "\(command.rawValue) needs --\(option.rawValue)\(variable): \(option.help)")
    }

    /// Of the gateway, not of backends.
    func region() throws(CommandFailure) -> String {
        guard let name = try value(.region) else { return "us-east-1" }
        let isPlain = name.utf8.allSatisfy { byte in
            (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D
        }
        guard isPlain, (1...64).contains(name.utf8.count) else {
            throw CommandFailure(
                .usage, "--region \(name) is not a region: small letters, digits and hyphens, as in eu-central-1")
        }
        return name
    }

    /// For commands that work before the operator's eyes.
    func terminalLogger() throws(CommandFailure) -> Logger {
        Logger(level: try logLevel(), now: { SystemClock.now().rfc3339 }, sink: Terminal.say)
    }

    func logLevel() throws(CommandFailure) -> LogLevel {
        guard let name = try value(.logLevel) else { return .info }
        guard let level = LogLevel.allCases.first(where: { $0.name == name }) else {
            throw CommandFailure(.usage, "--log-level \(name) is not one of debug, info, warning, error")
        }
        return level
    }

    /// Whether the result is to be JSON.
    func wantsJSON() throws(CommandFailure) -> Bool {
        switch options[.output] {
        case nil, "text": return false
        case "json": return true
        case .some(let other): throw CommandFailure(.usage, "--output \(other) is not one of text, json")
        }
    }

    /// Colour only on a terminal, and never against NO_COLOR (no-color.org).
    var wantsColour: Bool {
        !has(.noColor) && (environment["NO_COLOR"] ?? "").isEmpty && isatty(STDOUT_FILENO) == 1
    }
}

/// Writes a file of the owner's, whole or not at all; false if that is not possible.
func writeTextFile(_ path: String, _ text: String) -> Bool {
    let draft = "\(path).\(getpid()).tmp"
    let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return false }
    let bytes = Array(text.utf8)
    var written = 0
    while written < bytes.count {
        let count = bytes.withUnsafeBytes {
            write(descriptor, $0.baseAddress?.advanced(by: written), bytes.count - written)
        }
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { break }
        written += count
    }
    let isWhole = written == bytes.count && fsync(descriptor) == 0
    close(descriptor)
    if isWhole, rename(draft, path) == 0 { return true }
    unlink(draft)
    return false
}

/// The whole file as text, or nil if it cannot be read or is longer than `limit` bytes.
func readTextFile(_ path: String, limit: Int) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: limit + 1)
    var count = 0
    while count <= limit {
        let got = bytes.withUnsafeMutableBytes {
            read(descriptor, $0.baseAddress?.advanced(by: count), limit + 1 - count)
        }
        if got < 0 && errno == EINTR { continue }
        guard got >= 0 else { return nil }
        if got == 0 { return String(decoding: bytes[0..<count], as: UTF8.self) }
        count += got
    }
    return nil
}
