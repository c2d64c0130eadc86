import Catalog
import Crypto
import EventLoop
import Gateway
import Glibc
import HTTP
import PostgresCatalog
import Reconciler
import Spec
import Synchronization
import Telemetry
import Transfer
import Transport

/// `sluice serve`: gateway and reconcile loop in one process.
struct ServeCommand {
    private static let shutdownGrace: Duration = .seconds(30)
    /// How often phases and usage are read again for placement; a pass of this instance does it at once.
    private static let refreshPause: Duration = .seconds(2)
    static let watchPause: Duration = .seconds(1)

    let invocation: Invocation
    let instance: Instance
    let source: SpecSource
    private let listen: SocketAddress
    private let adminListen: SocketAddress

    init(_ invocation: Invocation, _ loops: LoopGroup) throws(CommandFailure) {
        self.invocation = invocation
        let logger = Logger(level: try invocation.logLevel(), now: { SystemClock.now().rfc3339 }) {
            Terminal.write($0, to: STDERR_FILENO)
        }
        instance = try Instance(invocation, loops: loops, logger: logger)
        source = SpecSource(path: try invocation.required(.spec), pool: instance.pool)
        listen = try ServeCommand.address(invocation, .listen, "127.0.0.1:9000")
        adminListen = try ServeCommand.address(invocation, .adminListen, "127.0.0.1:9001")
    }

    private static func address(_ invocation: Invocation, _ option: Option, _ standard: String) throws(CommandFailure)
        -> SocketAddress
    {
        let text = try invocation.value(option) ?? standard
        guard let address = SocketAddress(text) else {
            throw CommandFailure(.usage, "--\(option.rawValue) \(text) is not HOST:PORT")
        }
        return address
    }

    func run() async throws(CommandFailure) -> ExitCode {
        defer { instance.close() }
        let signals = try signals()
        let spec = try await source.loaded()
        for warning in spec.warnings {
            instance.logger.warning(warning.message, [("code", .string(warning.code.rawValue))])
        }
        let state = ServeState(spec.desired)
        let admin = HTTPServer(handler: adminHandler(state), logger: instance.logger)
        try start(admin, adminListen)
        // The address is tried before anything is changed in the database.
        let snapshots = SnapshotCell()
        let gateway = HTTPServer(handler: try gatewayServer(snapshots), tls: try tls(), logger: instance.logger)
        try start(gateway, listen)
        try await instance.prepareDatabase(patience: nil)
        try await patiently { () async throws(CommandFailure) in try await instance.verifyGate() }
        let (accepted, seen, revision) = try await propose()
        state.accept(accepted.desired, digest: accepted.digest, revision: revision)
        instance.logger.info(
            "serving",
            [("listen", .string("\(listen)")), ("admin", .string("\(adminListen)")), ("revision", .int(revision))])

        let runtime = ReconcileRuntime(
            instance, metrics: ReconcilerMetrics(instance.metrics) { Double(SystemClock.now().seconds) })
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.reconcile(.control, runtime, state, snapshots) }
            group.addTask { await self.reconcile(.movement, runtime, state, snapshots) }
            group.addTask { await self.reconcile(.drains, runtime, state, snapshots) }
            group.addTask { await self.reconcile(.verification, runtime, state, snapshots) }
            group.addTask { await self.refresh(state, snapshots) }
            group.addTask { await self.watch(state, since: seen) }
            while let signal = await signals.next() {
                if signal == SIGHUP {
                    // One at a time, or the older of two readings might come last.
                    state.mustReload = true
                    continue
                }
                instance.logger.info("stopping", [("signal", .int(Int64(signal)))])
                break
            }
            state.isStopping = true
            await gateway.shutdown(grace: ServeCommand.shutdownGrace)
            group.cancelAll()
        }
        await instance.flushUsage()
        await admin.shutdown(grace: .seconds(1))
        instance.logger.info("stopped")
        return .ok
    }

    /// Again and again while the database does not answer: each of these steps may be repeated.
    func patiently<Answer>(
        _ step: () async throws(CommandFailure) -> Answer
    ) async throws(CommandFailure) -> Answer {
        var pause = Duration.milliseconds(250)
        while true {
            do throws(CommandFailure) { return try await step() } catch {
                guard error.code == .unreachable else { throw error }
                instance.logger.warning("waiting for Postgres", [("error", .string(error.message))])
            }
            do throws(CancellationError) { try await EventLoop.sleep(for: pause) } catch {
                throw CommandFailure(.failure, "interrupted")
            }
            pause = min(pause * 2, .seconds(5))
        }
    }

    private func signals() throws(CommandFailure) -> SignalStream {
        do throws(SystemError) {
            return try SignalStream([SIGTERM, SIGINT, SIGHUP], on: instance.loops.loops[0])
        } catch {
            throw CommandFailure(.failure, "cannot take signals: \(error)")
        }
    }

    // MARK: Listeners

    private func start(_ server: HTTPServer, _ address: SocketAddress) throws(CommandFailure) {
        do throws(ListenError) {
            try server.start(address, on: instance.loops)
        } catch {
            switch error {
            case .inUse(let address):
                throw CommandFailure(
                    .failure,
                    "the address \(address) is in use; stop what listens there, or choose another with --listen or --admin-listen"
                )
            case .failed(let address, let evidence):
                throw CommandFailure(.failure, "cannot listen on \(address): \(evidence)")
            }
        }
    }

    private func tls() throws(CommandFailure) -> TLSContext? {
        switch (try invocation.value(.tlsCertificate), try invocation.value(.tlsKey)) {
        case (nil, nil): return nil
        case (.some(let certificate), .some(let key)):
            do throws(TLSError) {
                return try TLSContext(certificateFile: certificate, keyFile: key)
            } catch {
                throw CommandFailure(.failure, "cannot use the TLS files: \(error)")
            }
        case (.some, nil), (nil, .some): throw CommandFailure(.usage, "--tls-certificate and --tls-key belong together")
        }
    }

    private func gatewayServer(_ snapshots: SnapshotCell) throws(CommandFailure) -> GatewayServer {
        let catalog = instance.catalog
        let metrics = GatewayMetrics(instance.metrics)
        let transfer = TransferService(
            writes: catalog, uploads: catalog, index: catalog, health: HealthBoard(elapsed: SystemClock.elapsed),
            identifiers: instance.identifiers, crashPlan: instance.crashPlan, metrics: metrics, logger: instance.logger
        ) { duration async throws(CancellationError) in try await EventLoop.sleep(for: duration) }
        let loops = instance.loops
        let environment = GatewayEnvironment(
            now: SystemClock.now, elapsed: SystemClock.elapsed,
            makeRequestID: { Hex.encode(SystemRandom.bytes(8)).uppercased() },
            sleep: { duration in
                do throws(CancellationError) { try await EventLoop.sleep(for: duration) } catch { return }
            },
            spawn: { body in (EventLoop.current ?? loops.next()).spawn(body) })
        // The same in every instance that shares the database, so that a listing may go on at another one.
        let tokenKey = Digest.hash(.sha256, "sluice-listing \(try invocation.required(.databaseURL))")
        return GatewayServer(
            snapshots: snapshots,
            services: GatewayServices(
                index: catalog, writes: catalog, uploads: catalog, buckets: catalog, transfer: transfer,
                crashPlan: instance.crashPlan),
            settings: GatewaySettings(
                region: try invocation.region(), domain: try invocation.value(.domain), tokenKey: tokenKey),
            environment: environment,
            metrics: metrics, logger: instance.logger)
    }

    private func adminHandler(_ state: ServeState) -> AdminHandler {
        let catalog = instance.catalog
        let instance = instance
        let status: @Sendable () async -> JSONValue? = {
            do throws(CommandFailure) { return StatusRenderer.json(try await StatusCommand.read(instance)) } catch {
                return nil
            }
        }
        return AdminHandler(metrics: instance.metrics, status: status) {
            var reasons: [String] = []
            if state.isStopping { reasons.append("the server is stopping") }
            if !state.isAccepted { reasons.append("no spec has been accepted yet") }
            if let problem = state.specProblem { reasons.append(problem.message) }
            do throws(CatalogError) {
                _ = try await catalog.drains()
            } catch {
                reasons.append("the database does not answer")
            }
            // A spec that was rejected leaves the accepted one in force: this instance goes on serving.
            return Readiness(reasons: state.isAccepted ? reasons.filter { $0 != state.specProblem?.message } : reasons)
        }
    }

    // MARK: Services

    /// Passes at the declared interval, at once while there is progress, whenever the spec changed, and when another of the loops got on: a drain that has moved its last copy is over.
    private func reconcile(
        _ scope: PassScope, _ runtime: ReconcileRuntime, _ state: ServeState, _ snapshots: SnapshotCell
    ) async {
        while !Task.isCancelled, !state.isStopping {
            let generation = state.generation
            let steps = state.steps(besides: scope)
            var isBusy = false
            do throws(CatalogError) {
                let (desired, digest) = state.accepted
                let (step, revision) = try await runtime.step(
                    desired, digest: digest, scope: scope, specProblem: state.specProblem
                ) { state.isStopping || state.generation != generation }
                let outcome = step?.outcome
                isBusy = outcome.map { $0.hasProgressed || $0.isUnfinished } ?? false
                if outcome?.hasProgressed == true { state.noteStep(of: scope) }
                // Unless this instance has accepted another one itself meanwhile.
                if outcome == nil, let revision, state.generation == generation { await standBy(state, revision) }
                await refreshNow(state, snapshots)
            } catch {
                instance.logger.error("a reconcile pass failed; it is tried again", [("error", .string("\(error)"))])
            }
            if isBusy { continue }
            let deadline = SystemClock.elapsed() + state.desired.fleet.reconcileInterval
            // What others do is nothing to verify.
            while SystemClock.elapsed() < deadline, state.generation == generation,
                scope == .verification || state.steps(besides: scope) == steps
            {
                let left = min(deadline - SystemClock.elapsed(), .milliseconds(200))
                do throws(CancellationError) { try await EventLoop.sleep(for: max(left, .milliseconds(1))) } catch {
                    return
                }
            }
        }
    }

    private func refresh(_ state: ServeState, _ snapshots: SnapshotCell) async {
        while !Task.isCancelled {
            await refreshNow(state, snapshots)
            do throws(CancellationError) { try await EventLoop.sleep(for: ServeCommand.refreshPause) } catch { return }
        }
    }

    /// How often a reading is made again because a request changed the snapshot meanwhile.
    private static let refreshAttemptsMax = 3

    /// Makes the snapshot that new requests decide with.
    private func refreshNow(_ state: ServeState, _ snapshots: SnapshotCell) async {
        for _ in 0..<ServeCommand.refreshAttemptsMax {
            let changes = snapshots.changes
            guard let snapshot = await readSnapshot(state) else { return }
            if snapshots.swap(snapshot, readAfter: changes) { return }
        }
    }

    private func readSnapshot(_ state: ServeState) async -> GatewaySnapshot? {
        let desired = state.desired
        let fleet: FleetSnapshot
        let conditions: [ConditionRecord]
        do throws(CatalogError) {
            fleet = try await instance.catalog.snapshot()
            conditions = try await instance.catalog.conditions()
        } catch {
            // Requests go on with what was known; each transaction looks at the truth itself.
            instance.logger.debug("cannot refresh the fleet", [("error", .string("\(error)"))])
            return nil
        }
        state.noteInForce(fleet.revision)
        await instance.registry.update(fleet, desired)
        await instance.flushUsage()
        await instance.noteAlive()
        let stores = instance.registry.stores
        let backends = fleet.backends.compactMap { record -> ServedBackend? in
            guard let store = stores[record.id] else { return nil }
            func holds(_ type: ConditionType, _ status: ConditionStatus) -> Bool {
                conditions.contains {
                    $0.subject == Subject(.backend, record.name) && $0.type == type && $0.status == status
                }
            }
            let standing = BackendStanding(
                id: record.id, name: record.name,
                isEligible: record.phase == .active && record.isDeclared && record.isMarked && !record.isAbandoned
                    && !holds(.identified, .no)
                    && desired.backend(record.name)?.state == .active,
                isHealthy: !holds(.reachable, .no) && !holds(.credentialsValid, .no),
                quota: desired.backend(record.name)?.quota,
                occupied: fleet.usage[record.id]?.occupied ?? .zero,
                limits: desired.backend(record.name)?.usageLimits ?? record.spec.usageLimits,
                monthly: fleet.monthly[record.id] ?? .zero)
            return ServedBackend(standing: standing, keyPrefix: record.spec.keyPrefix, store: store)
        }
        let resolver = instance.secrets
        let secrets = await instance.pool.run {
            var values: [(SecretReference, Secret)] = []
            for reference in desired.buckets.flatMap({ $0.credentials.map(\.secretAccessKey) }) {
                do throws(SecretError) { values.append((reference, try resolver.resolve(reference))) } catch {
                    continue
                }
            }
            return values
        }
        return GatewaySnapshot(desired: desired, fleet: fleet, backends: backends) { reference in
            secrets.first { $0.0 == reference }?.1
        }
    }
}
