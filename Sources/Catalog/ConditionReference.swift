/// What each condition type and reason means and what to do: `sluice explain` and docs/conditions.md have it from here.
package struct ConditionReference: Sendable, Equatable {
    /// Of a type: what True means. Of a reason: its cause.
    package let meaning: String
    package let remedy: String
    fileprivate init(_ meaning: String, _ remedy: String) {
        self.meaning = meaning
        self.remedy = remedy
    }
}

extension ConditionType {
    package var reference: ConditionReference {
        switch self {
        case .ready:
            ConditionReference(
                "a backend takes reads and writes; nothing keeps the fleet's objects from having their copies",
                "see its reason")
        case .reconciling:
            ConditionReference(
                "a drain is under way, or a removal is verified", "wait; `sluice status` shows how far a drain is")
        case .stalled: ConditionReference("nothing moves, and why is known", "do what the message says")
        case .reachable: ConditionReference("the backend answers", "check endpoint and network")
        case .credentialsValid: ConditionReference("the credentials are accepted", "check secrets and permissions")
        case .identified:
            ConditionReference(
                "the marker on the backend is the one that Sluice wrote", "mount the right disk, name the right bucket")
        case .withinQuota: ConditionReference("occupied bytes are within the quota", "raise the quota, or drain")
        case .withinUsage:
            ConditionReference(
                "within the monthly limits", "raise them, or wait for the first of the month, UTC")
        case .drained:
            ConditionReference(
                "no copy and no upload is left but names that wait out late writes", "wait; the reason says for what")
        case .safeToRemove: ConditionReference("nothing at all is stored", "set `state: removed` with `purge: true`")
        case .deletesHealthy:
            ConditionReference(
                "a backend's deletions succeed; nothing holds back those of the fleet",
                "see its reason; deletions that failed are retried for ever")
        case .undeclared:
            ConditionReference(
                "it is not in the files: read, never written, never purged",
                "declare it again, also with `state: removed`")
        case .specAccepted: ConditionReference("the files are what is in force", "`sluice validate`, `sluice diff`")
        }
    }
}

extension Reason {
    package var reference: ConditionReference {
        switch self {
        case .active: ConditionReference("takes reads and writes", "nothing")
        case .notObservedYet: ConditionReference("not looked at since the start", "wait for a pass")
        case .unreachable: ConditionReference("no connection, or no answer in time", "check endpoint, network, service")
        case .reachable: ConditionReference("it answers", "nothing")
        case .accessDenied: ConditionReference("the backend refused the credentials", "check key, secret and policy")
        case .wrongLocation:
            ConditionReference(
                "no such bucket, a redirect, or a directory that is not there", "check bucket, region, mount")
        case .credentialsAccepted: ConditionReference("signatures are accepted", "nothing")
        case .secretUnresolved: ConditionReference("a referenced secret cannot be read", "provide the variable or file")
        case .identityConfirmed: ConditionReference("the marker matches", "nothing")
        case .identityMismatch:
            ConditionReference(
                "the marker is missing or another: the backend is frozen",
                "bring the right one back; after `replication.repairDelay` its copies are made anew elsewhere")
        case .converged: ConditionReference("nothing is left to do", "nothing")
        case .draining: ConditionReference("copies leave", "wait, or set `state: active`")
        case .drainStarted: ConditionReference("a drain began", "nothing")
        case .drainCancelled: ConditionReference("a drain was called off", "nothing")
        case .drainInProgress: ConditionReference("copies leave", "wait")
        case .drained: ConditionReference("no copy is left", "retire it, or make it active again")
        case .copiesRemain: ConditionReference("live copies are still there", "wait, or see Stalled")
        case .writersActive: ConditionReference("writes that began before are under way", "wait for them")
        case .uploadsOpen:
            ConditionReference("multipart uploads are open", "complete or abort them, or wait for drainUploadGrace")
        case .deletesPending: ConditionReference("doomed copies are still to be deleted", "wait for readGrace")
        case .waitingForHorizon:
            ConditionReference("deleted names wait for writes that may arrive late", "wait up to an hour")
        case .progressing: ConditionReference("nothing is in the way", "nothing")
        case .tooManyDrains: ConditionReference("maxConcurrentDrains is reached", "wait, or raise it")
        case .outsideWindow: ConditionReference("the drain's window is closed", "wait, or change `drain.window`")
        case .rebalanced: ConditionReference("copies moved for an even utilisation", "nothing")
        case .deletionCeiling:
            ConditionReference(
                "as many copies were dropped within the hour as `safety.maxDeletionsPerHour` allows",
                "wait, or raise it if this is what you want")
        case .insufficientTargets:
            ConditionReference("fewer backends than copies wanted", "add a backend, or lower the factor")
        case .insufficientRoom: ConditionReference("no quota has room", "raise a quota, or add a backend")
        case .sourceUnreadable: ConditionReference("no live copy can be read", "bring its backend back")
        case .underReplicated: ConditionReference("copies are missing", "wait, or see Stalled")
        case .removalRefused: ConditionReference("this removal is not possible", "see the message")
        case .deletionProtected:
            ConditionReference("protection is on and copies remain", "drain first, or lift the protection")
        case .purging: ConditionReference("verifying that nothing is left", "wait")
        case .unknownObjectsFound:
            ConditionReference(
                "objects look like ours, and no row names them",
                "wait for safety.orphanQuarantine; what the inventory finds foreign is removed by hand")
        case .abandoned:
            ConditionReference(
                "the operator gave the backend up with its sole copies", "`sluice object lost` lists what was lost")
        case .retired: ConditionReference("emptied, verified and retired", "delete its document")
        case .notDraining: ConditionReference("state is active", "nothing")
        case .nothingStored: ConditionReference("nothing is left", "retire it")
        case .undeclared: ConditionReference("not in the files", "declare it")
        case .declared: ConditionReference("in the files", "nothing")
        case .withinQuota: ConditionReference("within the quota", "nothing")
        case .overQuota: ConditionReference("more than the quota", "raise it, or drain")
        case .withinUsage: ConditionReference("no limit is declared, or none is used up", "nothing")
        case .overUsage:
            ConditionReference(
                "a monthly limit is used up: reads go to other copies, writes to other backends",
                "raise it, or wait for the first of the month, UTC")
        case .deletesHealthy: ConditionReference("deletions succeed", "nothing")
        case .deletesFailing: ConditionReference("a deletion failed ten times", "see the log")
        case .orphansFound:
            ConditionReference(
                "objects are ours by their names, and no row names them: a crash of Postgres took their intents away",
                "nothing, they are deleted after safety.orphanQuarantine; `sluice inventory` lists them")
        case .orphansRemoved: ConditionReference("orphans were in quarantine long enough", "nothing")
        case .damageFound:
            ConditionReference(
                "a scrub found copies absent or with other bytes",
                "nothing, they are made anew; if it comes again, look at the backend")
        case .catalogRewound:
            ConditionReference(
                "Postgres was restored, promoted or replaced, or a backend has an epoch's marker or an object that the catalog cannot know: commits may be lost",
                "nothing is dropped or deleted; see docs/operations/README.md, then `sluice confirm-catalog TOKEN`")
        case .specAccepted: ConditionReference("a revision is in force", "nothing")
        case .specRejected: ConditionReference("the files are invalid; the accepted spec stays", "`sluice validate`")
        case .staleSpec:
            ConditionReference(
                "the files were accepted before and superseded, or another spec was accepted in place of the one that they come from",
                "`sluice diff` shows it; change the files, or `sluice reconcile --allow-rollback`")
        case .suspended: ConditionReference("suspend is true", "set it to false")
        }
    }
}
