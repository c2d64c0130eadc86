import Catalog
import EventLoop
import HTTP
import PostgresCatalog
import Telemetry

/// `sluice events`: what happened, newest first.
struct EventsCommand {
    private static let shownMax = 200

    private let invocation: Invocation
    private let instance: Instance

    init(_ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.invocation = invocation
        instance = try Instance(invocation, loops: loops, logger: .silent)
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        try await instance.requireSchema()
        let events: [EventRecord]
        do throws(CatalogError) { events = try await instance.catalog.events(limit: EventsCommand.shownMax) } catch {
            throw Instance.failure(error)
        }
        guard try !invocation.wantsJSON() else {
            Terminal.print(
                JSONValue.object([("formatVersion", "1.0"), ("events", .array(events.map(EventsCommand.json)))])
                    .indented)
            return .ok
        }
        if events.isEmpty { Terminal.say("Nothing has happened yet.") }
        for one in events {
            let times = one.count > 1 ? " (\(one.count) times)" : ""
            let kind = one.isWarning ? "warning" : "normal "
            Terminal.print(
                "\(EventsCommand.time(one))  \(kind)  \(one.subject)  \(one.reason.rawValue): \(one.message)\(times)")
        }
        return .ok
    }

    private static func time(_ event: EventRecord) -> String { WallTime(seconds: event.lastAt / 1_000_000).rfc3339 }

    private static func json(_ event: EventRecord) -> JSONValue {
        .object([
            ("subject", .string(event.subject.description)), ("type", event.isWarning ? "Warning" : "Normal"),
            ("reason", .string(event.reason.rawValue)), ("message", .string(event.message)),
            ("count", .int(event.count)),
            ("lastTime", .string(time(event))),
        ])
    }
}
