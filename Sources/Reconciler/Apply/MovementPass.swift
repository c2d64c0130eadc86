import Catalog
import Spec
import Transfer

/// What one pass of movement goes by.
struct MovementPass: Sendable {
    let planner: FleetPlanner
    let desired: DesiredState
    let observed: ObservedState
    let time: PassTime
    /// Bytes that this pass has decided to add or take, so that the next object does not go where all the others went.
    private let decided = Shared<[BackendID: Int64]>([:])
    /// On the clock of `time`, when the database's clock was read.
    private let readAt: Duration

    init(planner: FleetPlanner, desired: DesiredState, observed: ObservedState, time: PassTime) {
        self.planner = planner.working()
        self.desired = desired
        self.observed = observed
        self.time = time
        readAt = time.now
    }

    /// As observed, and as this pass has changed them since.
    var standings: [BackendStanding] {
        let decided = decided.current
        return planner.standings.map { one in
            var one = one
            one.occupied = ByteCount(max(0, one.occupied.value + (decided[one.id] ?? 0)))
            return one
        }
    }

    func note(_ bytes: Int64, on backends: [BackendID]) {
        decided.update { decided in for id in backends { decided[id, default: 0] += bytes } }
    }

    func factor(of bucket: String) -> Int { desired.replication(of: bucket).factor }
    var safety: SafetySpec { desired.fleet.safety }
    var staying: [BackendID] { planner.roles.filter { $0.value == .staying }.map { $0.key }.sorted() }

    /// What was seen at the beginning may have gone since.
    var isOld: Bool { time.now - readAt > .seconds(60) }

    /// A large object that is made anew pauses between two of its parts, so that others come to their turn; it is gone on with.
    var isLong: Bool { time.now - readAt > .seconds(600) }

    func isOpen(_ window: DailyWindow?) -> Bool {
        guard let window, let moment = observed.pace.moment else { return true }
        return window.contains(moment + (time.now - readAt).microseconds)
    }
}

/// How the copies of one drain may go: in their window, and no faster than they may.
struct DrainLane: Sendable {
    let backend: BackendID
    let policy: DrainPolicy
    let pass: MovementPass
    let ledger: any PaceLedger
    /// A part that is under way waits at most so long at once; then it is asked again whether it may go on.
    private static let stepMax: Duration = .seconds(3600)

    /// Whether an object may begin. Waits as long as the pass lasts.
    func mayBegin(_ bytes: Int64) async -> Bool {
        guard pass.isOpen(policy.window) else { return false }
        guard let rate = policy.bandwidth else { return true }
        let left = pass.time.left
        guard let wait = await reserve(bytes, rate, waitMax: left) else {
            // The next pass asks again, which may be the very next moment.
            _ = await pass.time.wait(left)
            return false
        }
        return await pass.time.wait(wait) && pass.isOpen(policy.window)
    }

    /// For the parts of an object that has begun: it goes on unless the window closes, or the pass is cut short.
    var pace: MovePace {
        MovePace { bytes in
            while pass.isOpen(policy.window), !pass.time.isCutShort {
                guard let rate = policy.bandwidth else { return true }
                if let wait = await reserve(bytes, rate, waitMax: DrainLane.stepMax) {
                    return await pass.time.wait(wait) && pass.isOpen(policy.window)
                }
                guard await pass.time.wait(.seconds(60)) else { return false }
            }
            return false
        }
    }

    private func reserve(_ bytes: Int64, _ rate: ByteCount, waitMax: Duration) async -> Duration? {
        do throws(CatalogError) {
            return try await ledger.reserve(bytes, leaving: backend, bytesPerSecond: rate, waitMax: waitMax)
        } catch {
            // Without an answer nothing moves.
            return nil
        }
    }
}

extension Duration {
    var microseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    }
}
