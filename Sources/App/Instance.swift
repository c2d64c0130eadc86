import Catalog
import Crypto
import EventLoop
import Postgres
import PostgresCatalog
import Reconciler
import S3
import Spec
import Synchronization
import Telemetry
import Transfer
import Transport

/// What every command with a database works with, wired by hand, top to bottom.
final class Instance: Sendable {
    let name: String
    let loops: LoopGroup
    let pool: BlockingPool
    let database: PostgresPool
    let catalog: PostgresCatalogStore
    let secrets: SecretResolver
    let client: HTTPClient
    let registry: StoreRegistry
    let metrics: Metrics
    let logger: Logger
    let crashPlan: CrashPlan
    let identifiers = SystemIdentifiers()
    private let lastAlive = Mutex<Duration?>(nil)

    init(_ invocation: Invocation, loops: LoopGroup, logger: Logger) throws(CommandFailure) {
        name = try invocation.value(.instance) ?? SystemClock.instanceName()
        self.loops = loops
        self.logger = logger
        metrics = Metrics()
        pool = BlockingPool(threads: 16)
        database = PostgresPool(uri: try invocation.required(.databaseURL))
        catalog = PostgresCatalogStore(pool: database)
        secrets = SecretResolver(environment: invocation.environment)
        crashPlan = try CrashSwitch.plan(invocation.environment)
        let tls: TLSContext
        do throws(TLSError) {
            tls = try TLSContext(trustFile: invocation.environment["SSL_CERT_FILE"])
        } catch {
            throw CommandFailure(.failure, "cannot set up TLS for backends: \(error)")
        }
        client = HTTPClient(pool: pool, tls: tls, loop: loops.loops[0])
        registry = StoreRegistry(pool: pool, network: NetworkStores(client: client, metrics: metrics), secrets: secrets)
    }

    var ledgers: ReconcilerLedgers {
        ReconcilerLedgers(
            fleet: catalog, moves: catalog, writes: catalog, deletions: catalog, objects: catalog, status: catalog,
            inventory: catalog, safeguard: catalog, scrubs: catalog, pace: catalog,
            rebalance: catalog)
    }

    /// Reads backends only: what a dry run is made of.
    var observer: Observer {
        let registry = registry
        return Observer(ledger: catalog, readers: { registry.readers }) { limit, probe in
            await Instance.within(limit, probe)
        }
    }

    /// The answer, or nil if it takes longer: then it is cancelled, and is to end soon.
    static func within<Answer: Sendable>(
        _ limit: Duration, _ body: @escaping @Sendable () async -> Answer
    ) async -> Answer? {
        await withTaskGroup(of: Answer?.self) { group in
            group.addTask { await body() }
            group.addTask {
                do throws(CancellationError) { try await EventLoop.sleep(for: limit) } catch { return nil }
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    /// What is known and what is there, the backends opened as the spec declares them. Changes nothing.
    func observe(_ desired: DesiredState) async throws(CommandFailure) -> ObservedState {
        _ = try await openFleet(desired)
        return try await Instance.catalogCall { () async throws(CatalogError) in try await observer.observe() }
    }

    /// Opens the backends that the catalog knows, as the spec declares them.
    func openFleet(_ desired: DesiredState) async throws(CommandFailure) -> FleetSnapshot {
        let fleet = try await Instance.catalogCall { () async throws(CatalogError) in try await catalog.snapshot() }
        await registry.update(fleet, desired)
        return fleet
    }

    func transferContext(_ fleet: FleetSnapshot?) -> TransferContext {
        let prefixes = (fleet?.backends ?? []).map { ($0.id, $0.spec.keyPrefix) }
        return TransferContext(
            stores: registry.stores, keyPrefixes: Dictionary(prefixes) { first, _ in first }, identifiers: identifiers,
            crashPlan: crashPlan
        ) { duration async throws(CancellationError) in try await EventLoop.sleep(for: duration) }
    }

    /// Adds what the backends were used for to the month; what cannot be added now is added next time.
    func flushUsage() async {
        let usage = registry.takeUsage()
        do throws(CatalogError) { try await catalog.add(usage) } catch {
            // It may have been added: counting twice is the safer mistake for a limit.
            registry.giveBack(usage)
            logger.debug("cannot record usage", [("error", .string("\(error)"))])
        }
    }

    /// Tells the catalog that it is alive, now and then; well within `ReconcilerLimits.aliveTolerance`.
    func noteAlive() async {
        let now = SystemClock.elapsed()
        let isDue = lastAlive.withLock { last in
            if let before = last, now - before < ReconcilerLimits.alivePause { return false }
            last = now
            return true
        }
        guard isDue else { return }
        do throws(CatalogError) { try await catalog.noteAlive() } catch {
            lastAlive.withLock { $0 = nil }
        }
    }

    func close() {
        client.close()
        registry.close()
        pool.stop()
    }

    /// Waits for Postgres and brings its schema up to date.
    ///
    /// - Parameter patience: how long; nil waits for ever, saying so
    func prepareDatabase(patience: Duration?) async throws(CommandFailure) {
        let began = SystemClock.elapsed()
        var pause = Duration.milliseconds(250)
        while true {
            do throws(CatalogError) {
                return try await Migrations.run(database)
            } catch {
                switch error {
                case .internalError(let evidence):
                    throw CommandFailure(.failure, "the database's schema cannot be used: \(evidence)")
                case .readOnly(let evidence):
                    throw CommandFailure(
                        .unreachable, "the database is read-only (\(evidence)); point --database-url to the primary")
                case .unavailable(let evidence), .timedOut(let evidence), .unknownOutcome(let evidence):
                    if let patience, SystemClock.elapsed() - began > patience { throw Instance.unreachable(evidence) }
                    logger.warning(
                        "waiting for Postgres; check --database-url and that it runs", [("error", .string(evidence))])
                case .cancelled: throw CommandFailure(.failure, "interrupted")
                }
            }
            do throws(CancellationError) { try await EventLoop.sleep(for: pause) } catch {
                throw CommandFailure(.failure, "interrupted")
            }
            pause = min(pause * 2, .seconds(5))
        }
    }

    /// For commands that only read: whether the database has what this release reads.
    func requireSchema() async throws(CommandFailure) {
        let level = try await schemaLevel()
        if level == 0 {
            throw CommandFailure(
                .failure, "this database has no Sluice in it yet: start 'sluice serve' or run 'sluice reconcile' first")
        }
        if level != Migrations.newest { throw Instance.otherSchema(level) }
    }

    /// Whether there is anything in the database at all; what there is must be of this release.
    func hasSchema() async throws(CommandFailure) -> Bool {
        let level = try await schemaLevel()
        guard level == 0 || level == Migrations.newest else { throw Instance.otherSchema(level) }
        return level > 0
    }

    private func schemaLevel() async throws(CommandFailure) -> Int {
        do throws(CatalogError) { return try await Migrations.level(database) } catch { throw Instance.failure(error) }
    }

    private static func otherSchema(_ level: Int) -> CommandFailure {
        let remedy =
            level < Migrations.newest
            ? "'sluice serve' or 'sluice reconcile' of this release brings it up to date" : "use a newer release"
        return CommandFailure(
            .failure, "the database has schema \(level), this release reads \(Migrations.newest): \(remedy)")
    }

    /// Some databases that speak Postgres accept advisory locks and ignore them; drains would then miss writes.
    func verifyGate() async throws(CommandFailure) {
        do throws(CatalogError) {
            guard try await catalog.verifyGate() else {
                throw CatalogError.internalError(evidence: "advisory locks do not exclude each other")
            }
        } catch {
            throw Instance.failure(error)
        }
    }

    /// Runs a call to the catalog in a command, whose failure ends it.
    static func catalogCall<Answer>(
        _ body: () async throws(CatalogError) -> Answer
    ) async throws(CommandFailure) -> Answer {
        do throws(CatalogError) { return try await body() } catch { throw failure(error) }
    }

    static func unreachable(_ evidence: String) -> CommandFailure {
        CommandFailure(
            .unreachable,
            "cannot reach Postgres: \(evidence). Check --database-url (SLUICE_DATABASE_URL) and that it runs")
    }

    static func failure(_ error: CatalogError) -> CommandFailure {
        switch error {
        case .unavailable(let evidence), .timedOut(let evidence), .unknownOutcome(let evidence): unreachable(evidence)
        case .readOnly(let evidence): CommandFailure(.unreachable, "the database is read-only: \(evidence)")
        case .cancelled: CommandFailure(.failure, "interrupted")
        case .internalError(let evidence): CommandFailure(.failure, "the database refused a statement: \(evidence)")
        }
    }
}
