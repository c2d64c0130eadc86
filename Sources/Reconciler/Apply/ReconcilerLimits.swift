/// Bounds of one pass.
package struct ReconcilerLimits: Sendable {
    /// Versions claimed at once.
    package var claimBatch = 32
    /// Copies made or deleted at the same time.
    package var concurrency = 4
    /// How long a claimed version is a worker's own without a sign of life: for so long the claims of one that was killed stand in the way.
    package var workLease: Duration = .seconds(60)
    /// For so long one instance has the rebalancing to itself.
    package var rebalanceLease: Duration = .seconds(300)
    package var deleteBatch = 64
    package var deleteLease: Duration = .seconds(60)
    /// So many deletions without an answer, and the rest of the batch is not tried: the next backend waits for it.
    package var deleteTimeoutsMax = 3
    /// Rows that housekeeping takes at once.
    package var sweepBatch = 500
    /// For so long a pass begins to move, verify and delete copies; then the world is looked at again.
    package var workTime: Duration = .seconds(20)
    /// Batches in which one pass ends rows of an abandoned backend.
    package var batchesMax = 8
    /// First and longest pause before a version that failed is tried again.
    package var workBackoff: Duration = .seconds(5)
    package var workBackoffMax: Duration = .seconds(600)
    /// Before a version that nothing can be done for is looked at again; sooner if the fleet changes.
    package var workPause: Duration = .seconds(30)
    /// An upload is aborted so long after it was created, however busy it is; one whose Complete has begun, so long after that.
    package var uploadAgeMax: Duration = .seconds(7 * 24 * 3600)
    /// Pages of 1,000 names that one pass looks through on each backend; the next goes on there.
    package var inventoryPages = 20
    package var inventoryIntervalHalted: Duration = .seconds(60)
    package var inventoryLease: Duration = .seconds(120)
    /// Orphans of one backend that one pass looks at.
    package var orphanBatch = 500
    /// Copies and bytes that one pass verifies on each backend.
    package var scrubBatch = 64
    package var scrubBytes: Int64 = 512 << 20
    package var scrubLease: Duration = .seconds(120)
    /// As many damaged copies in one batch, and half of it, are not believed.
    package var scrubDamagedMax = 20
    /// How often the catalog says that it is alive, and how long it may have gone on behind that when it crashed.
    package static let alivePause: Duration = .seconds(20)
    package static let aliveTolerance: Duration = .seconds(30)
    /// For so long after a silence of the catalog the backends are looked through minute by minute.
    package static let silenceWatch: Duration = .seconds(300)
    package init() {}

    /// Between the beginnings of two rounds through a backend: a day, or as often as a short quarantine asks, so that an orphan
    /// is seen again while it is in there.
    package func inventoryInterval(quarantine: Duration) -> Duration {
        max(.seconds(1), min(.seconds(24 * 3600), quarantine / 2))
    }
}
