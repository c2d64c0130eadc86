/// A condition's type, as in the Kubernetes API; a closed list (DESIGN §7).
package enum ConditionType: String, Sendable, CaseIterable {
    case ready = "Ready"
    case reconciling = "Reconciling"
    case stalled = "Stalled"
    case reachable = "Reachable"
    case credentialsValid = "CredentialsValid"
    case identified = "Identified"
    case withinQuota = "WithinQuota"
    case withinUsage = "WithinUsage"
    case drained = "Drained"
    case safeToRemove = "SafeToRemove"
    case deletesHealthy = "DeletesHealthy"
    case undeclared = "Undeclared"
    case specAccepted = "SpecAccepted"
}

package enum ConditionStatus: String, Sendable, CaseIterable {
    case yes = "True"
    case no = "False"
    case unknown = "Unknown"
}

/// What a condition or an event is about.
package struct Subject: Hashable, Comparable, Sendable, CustomStringConvertible {
    package enum Kind: String, Sendable, CaseIterable { case fleet, backend, bucket }
    package let kind: Kind
    package let name: String
    package init(_ kind: Kind, _ name: String) {
        self.kind = kind
        self.name = name
    }
    /// `backend/b2-eu`
    package var description: String { "\(kind.rawValue)/\(name)" }
    package static func < (a: Subject, b: Subject) -> Bool { a.description < b.description }
}

package struct ConditionRecord: Sendable, Equatable {
    package var subject: Subject
    package var type: ConditionType
    package var status: ConditionStatus
    package var reason: Reason
    /// Says what to do; no secrets; at most 1 KiB.
    package var message: String
    package var observedGeneration: Int64
    /// Microseconds since 1970; 0 when it is handed in.
    package var lastTransitionAt: Int64
    package init(
        _ subject: Subject, _ type: ConditionType, _ status: ConditionStatus, _ reason: Reason, _ message: String,
        observedGeneration: Int64, lastTransitionAt: Int64 = 0
    ) {
        self.subject = subject
        self.type = type
        self.status = status
        self.reason = reason
        self.message = message
        self.observedGeneration = observedGeneration
        self.lastTransitionAt = lastTransitionAt
    }
}

package struct EventRecord: Sendable, Equatable {
    package var subject: Subject
    package var isWarning: Bool
    package var reason: Reason
    package var message: String
    /// Microseconds since 1970; 0 when it is handed in.
    package var lastAt: Int64
    package var count: Int64
    package init(
        _ subject: Subject, isWarning: Bool, _ reason: Reason, _ message: String, lastAt: Int64 = 0, count: Int64 = 1
    ) {
        self.subject = subject
        self.isWarning = isWarning
        self.reason = reason
        self.message = message
        self.lastAt = lastAt
        self.count = count
    }
}

/// Why a condition has its status, why an event happened, why something is blocked: a closed list, documented in
/// docs/conditions.md.
package enum Reason: String, Sendable, CaseIterable {
    // Readiness
    case active = "Active"
    case notObservedYet = "NotObservedYet"
    case unreachable = "Unreachable"
    case reachable = "Reachable"
    case accessDenied = "AccessDenied"
    case wrongLocation = "WrongLocation"
    case credentialsAccepted = "CredentialsAccepted"
    case secretUnresolved = "SecretUnresolved"
    case identityConfirmed = "IdentityConfirmed"
    case identityMismatch = "IdentityMismatch"
    // Movement
    case converged = "Converged"
    case draining = "Draining"
    case drainStarted = "DrainStarted"
    case drainCancelled = "DrainCancelled"
    case drainInProgress = "DrainInProgress"
    case drained = "Drained"
    case copiesRemain = "CopiesRemain"
    case writersActive = "WritersActive"
    case uploadsOpen = "UploadsOpen"
    case deletesPending = "DeletesPending"
    case waitingForHorizon = "WaitingForHorizon"
    case progressing = "Progressing"
    case tooManyDrains = "TooManyDrains"
    case outsideWindow = "OutsideWindow"
    case rebalanced = "Rebalanced"
    case deletionCeiling = "DeletionCeiling"
    case insufficientTargets = "InsufficientTargets"
    case insufficientRoom = "InsufficientRoom"
    case sourceUnreadable = "SourceUnreadable"
    case underReplicated = "UnderReplicated"
    // Removal
    case removalRefused = "RemovalRefused"
    case deletionProtected = "DeletionProtected"
    case purging = "Purging"
    case unknownObjectsFound = "UnknownObjectsFound"
    case retired = "Retired"
    case abandoned = "Abandoned"
    case notDraining = "NotDraining"
    case nothingStored = "NothingStored"
    case undeclared = "Undeclared"
    case declared = "Declared"
    // Limits and deletes
    case withinQuota = "WithinQuota"
    case overQuota = "OverQuota"
    case withinUsage = "WithinUsage"
    case overUsage = "OverUsage"
    case deletesHealthy = "DeletesHealthy"
    case deletesFailing = "DeletesFailing"
    // Inventory
    case orphansFound = "OrphansFound"
    case orphansRemoved = "OrphansRemoved"
    case damageFound = "DamageFound"
    // Safeguard
    case catalogRewound = "CatalogRewound"
    // Spec
    case specAccepted = "SpecAccepted"
    case specRejected = "SpecRejected"
    case staleSpec = "StaleSpec"
    case suspended = "Suspended"
}
