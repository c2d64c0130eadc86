/// Places behind each effect where tests end the process, to see that whatever is left is enough to go on from.
package enum CrashPoint: String, Sendable, CaseIterable {
    case afterIntent = "after-intent"
    case afterUpload = "after-upload"
    case afterCommit = "after-commit"
    case afterDelete = "after-delete"
    case afterMoveIntent = "after-move-intent"
    case afterMoveUpload = "after-move-upload"
    case afterMoveCreate = "after-move-create"
    case afterMovePart = "after-move-part"
    case afterMoveCommit = "after-move-commit"
    case afterDoom = "after-doom"
    case afterDeleteClaim = "after-delete-claim"
    case afterBackendDelete = "after-backend-delete"
    case afterSettle = "after-settle"
    case afterUploadCreate = "after-upload-create"
    case afterPart = "after-part"
    case afterBeginComplete = "after-begin-complete"
    case afterBackendComplete = "after-backend-complete"
    case afterDrainStart = "after-drain-start"
    case afterDrainFinish = "after-drain-finish"
    case afterRetiring = "after-retiring"
    case afterMarkerDelete = "after-marker-delete"
    case afterRetired = "after-retired"
    case afterMarkerWrite = "after-marker-write"
    case afterAbandonedEnd = "after-abandoned-end"
    case afterAbandon = "after-abandon"
    case afterEpochMarker = "after-epoch-marker"
    case afterOrphanDoom = "after-orphan-doom"
}

/// Called whenever a crash point is reached; does nothing outside tests.
package struct CrashPlan: Sendable {
    package let reached: @Sendable (CrashPoint) -> Void
    package init(reached: @escaping @Sendable (CrashPoint) -> Void) { self.reached = reached }
    package static let none = CrashPlan { _ in }
}
