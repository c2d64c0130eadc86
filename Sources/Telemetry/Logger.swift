/// How much a log line matters.
package enum LogLevel: Int, Sendable, Comparable, CaseIterable {
    case debug, info, warning, error
    package static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }
    package var name: String {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        }
    }
}

/// Writes structured JSON lines: `{"time":…,"level":…,"message":…,…}`. No global state: who logs was given a logger.
package struct Logger: Sendable {
    private let level: LogLevel
    private let context: [(String, JSONValue)]
    private let sink: @Sendable (String) -> Void
    private let now: @Sendable () -> String

    /// - Parameters:
    ///   - now: the wall clock as RFC 3339 text
    ///   - sink: takes one finished line without its newline
    package init(level: LogLevel, now: @escaping @Sendable () -> String, sink: @escaping @Sendable (String) -> Void) {
        self.init(level: level, context: [], now: now, sink: sink)
    }

    private init(
        level: LogLevel, context: [(String, JSONValue)], now: @escaping @Sendable () -> String,
        sink: @escaping @Sendable (String) -> Void
    ) {
        self.level = level
        self.context = context
        self.now = now
        self.sink = sink
    }

    /// Drops everything; for tests and commands whose output is their result.
    package static let silent = Logger(level: .error, now: { "" }, sink: { _ in })

    /// The same logger with more fields on every line.
    package func with(_ fields: [(String, JSONValue)]) -> Logger {
        Logger(level: level, context: context + fields, now: now, sink: sink)
    }

    package func log(_ level: LogLevel, _ message: @autoclosure () -> String, _ fields: [(String, JSONValue)] = []) {
        guard level >= self.level else { return }
        let head: [(String, JSONValue)] = [
            ("time", .string(now())), ("level", .string(level.name)), ("message", .string(message())),
        ]
        sink(JSONValue.object(head + context + fields).description)
    }

    package func debug(_ message: @autoclosure () -> String, _ fields: [(String, JSONValue)] = []) {
        log(.debug, message(), fields)
    }
    package func info(_ message: @autoclosure () -> String, _ fields: [(String, JSONValue)] = []) {
        log(.info, message(), fields)
    }
    package func warning(_ message: @autoclosure () -> String, _ fields: [(String, JSONValue)] = []) {
        log(.warning, message(), fields)
    }
    package func error(_ message: @autoclosure () -> String, _ fields: [(String, JSONValue)] = []) {
        log(.error, message(), fields)
    }
}
