import Catalog
import EventLoop
import PostgresCatalog
import Telemetry

/// `sluice confirm-catalog TOKEN`: the operator has looked at a database that may have gone back in time.
struct ConfirmCatalogCommand {
    private let invocation: Invocation
    private let instance: Instance

    init(_ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.invocation = invocation
        instance = try Instance(invocation, loops: loops, logger: .silent)
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        try await instance.requireSchema()
        let safeguard = try await Instance.catalogCall { () async throws(CatalogError) in
            try await instance.catalog.safeguard()
        }
        guard let halt = safeguard.halt else {
            Terminal.say("Nothing is held back.")
            return .ok
        }
        guard let token = invocation.operands.first else {
            throw CommandFailure(.usage, "usage: sluice confirm-catalog TOKEN; 'sluice status' shows the token")
        }
        let isConfirmed = try await Instance.catalogCall { () async throws(CatalogError) in
            try await instance.catalog.confirmCatalog(token: token, identity: safeguard.current)
        }
        guard isConfirmed else {
            throw CommandFailure(
                .blocked, "the token \(token) is not that of the halt: \(halt.evidence). 'sluice status' shows it")
        }
        Terminal.say("Confirmed: copies are dropped and deleted again.")
        return .ok
    }
}
