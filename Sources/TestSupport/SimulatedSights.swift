/// What is to be survived. A test demands that each came to pass, so that silence of the simulation means something.
package enum SimulatedSight: String, Sendable, CaseIterable {
    case lostCommitResolvedAsDone
    case lostCommitResolvedAsNotDone
    case lateCommit
    case expiredWriteReaped
    case latePut
    case lateDelete
    case signatureTooOld
    case drainFinished
    case drainCancelled
    case fenceHeld
    case surplusKept

    case uploadCompleted
    case uploadCompletedAgain
    case uploadAborted
    case uploadAbortedInComplete
    case uploadExpired
    case uploadForgottenByBackend
    case uploadAbortedOnBackend
    case lateUploadCreated
    case latePart
    case lateComplete
    case completeOfUnknownUpload
    case completeSeenByLooking
    case completeWithInvalidPart
    case backendLeftUpload
    case fullBackendLeftUpload
    case uploadFinishedAtLast
    case partRefused

    case putTwice
    case deleteTwice
    case partTwice
    case completeTwice
    /// A PUT came again when its row was forgotten.
    case strayLeft
    case strayFound

    case intentOverQuota
    case partOverQuota
    case moveOverQuota

    case drainRefused
    case retired
    case retirementRefused

    case abandoned
    case abandonRefused
    case writeEndedByAbandon
    case soleCopyLost
}

extension Simulation {
    mutating func see(_ sight: SimulatedSight) { sights[sight, default: 0] += 1 }
}
