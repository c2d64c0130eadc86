import Catalog
import EventLoop
import FileStore
import Reconciler
import S3
import Spec
import Synchronization

/// The connection to each backend, made when it is first needed and again when its spec or secrets change.
final class StoreRegistry: Sendable {
    private struct Entry {
        let spec: BackendSpec
        let secrets: [Secret]
        let store: any ObjectStore
        /// Of its own, so that a disk that hangs holds up nobody else; nil for a service.
        let pool: BlockingPool?
    }
    /// Threads of one directory.
    private static let directoryThreads = 16
    /// For so long a new directory may take to be made.
    private static let createLimit: Duration = .seconds(10)
    private struct State {
        var entries: [BackendID: Entry] = [:]
        var problems: [BackendID: SecretProblem] = [:]
        var meters: [BackendID: UsageMeter] = [:]
    }

    private let pool: BlockingPool
    private let network: NetworkStores
    private let secrets: SecretResolver
    private let state = Mutex(State())

    init(pool: BlockingPool, network: NetworkStores, secrets: SecretResolver) {
        self.pool = pool
        self.network = network
        self.secrets = secrets
    }

    /// Brings the registry up to the fleet. Backends that are declared now use the spec's references, others their row's.
    func update(_ fleet: FleetSnapshot, _ desired: DesiredState) async {
        for record in fleet.backends {
            let spec = desired.backend(record.name) ?? record.spec
            await update(record, spec)
        }
        let known = Set(fleet.backends.map(\.id))
        state.withLock { state in
            state.entries = state.entries.filter { known.contains($0.key) }
            state.problems = state.problems.filter { known.contains($0.key) }
        }
    }

    private func update(_ record: BackendRecord, _ spec: BackendSpec) async {
        let resolved: Result<[Secret], SecretProblem> = await pool.run { [secrets] in
            guard let credentials = spec.credentials else { return .success([]) }
            do throws(SecretError) {
                return .success([
                    try secrets.resolve(credentials.accessKeyID), try secrets.resolve(credentials.secretAccessKey),
                ])
            } catch {
                return .failure(SecretProblem(reason: error.description))
            }
        }
        switch resolved {
        case .failure(let problem): state.withLock { $0.problems[record.id] = problem }
        case .success(let values):
            let isCurrent = state.withLock { state in
                state.problems[record.id] = nil
                return state.entries[record.id].map { $0.spec.location == spec.location && $0.secrets == values }
                    ?? false
            }
            if isCurrent { return }
            let meter = state.withLock { state in
                let meter = state.meters[record.id] ?? UsageMeter()
                state.meters[record.id] = meter
                return meter
            }
            let made = await make(record, spec, values)
            let entry = Entry(
                spec: spec, secrets: values, store: MeteredStore(store: made.store, meter: meter), pool: made.pool)
            state.withLock { $0.entries[record.id] = entry }
        }
    }

    private func make(_ record: BackendRecord, _ spec: BackendSpec, _ secrets: [Secret]) async
        -> (store: any ObjectStore, pool: BlockingPool?)
    {
        switch spec.location {
        case .directory(let path):
            let pool = BlockingPool(threads: StoreRegistry.directoryThreads)
            let store = DirectoryStore(root: path, pool: pool)
            // Later, a root that is not there means a disk that is not mounted, and is left alone. A failure shows in the probe.
            if !record.isMarked, record.isDeclared {
                _ = await Instance.within(StoreRegistry.createLimit) {
                    do throws(StoreError) { try await store.create() } catch { return false }
                    return true
                }
            }
            return (store, pool)
        case .s3(let endpoint, let region, let bucket, let usesPathStyle):
            let store = network.store(
                name: record.name, endpoint: endpoint, region: region, bucket: bucket, usesPathStyle: usesPathStyle,
                accessKeyID: secrets.first?.revealed ?? "", secret: secrets.last?.revealed ?? "")
            return (store, nil)
        }
    }

    /// Waits for what is under way on directories, for a while.
    func close() {
        for pool in state.withLock({ $0.entries.values.compactMap(\.pool) }) { pool.stop() }
    }

    /// What the backends were used for since the last call.
    func takeUsage() -> [BackendID: MonthlyUsage] {
        state.withLock { $0.meters }.mapValues { $0.take() }.filter { $0.value != .zero }
    }

    func giveBack(_ usage: [BackendID: MonthlyUsage]) {
        let meters = state.withLock { $0.meters }
        for (backend, one) in usage { meters[backend]?.giveBack(one) }
    }

    var stores: [BackendID: any ObjectStore] { state.withLock { $0.entries.mapValues(\.store) } }

    /// The reading half of each backend, or why it cannot be reached.
    var readers: [BackendID: Result<any ObjectReading, SecretProblem>] {
        state.withLock { state in
            var readers: [BackendID: Result<any ObjectReading, SecretProblem>] = state.entries.mapValues {
                .success($0.store)
            }
            for (id, problem) in state.problems { readers[id] = .failure(problem) }
            return readers
        }
    }
}
