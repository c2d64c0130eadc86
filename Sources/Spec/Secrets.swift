/// Where a secret comes from. Specs carry references; values live only in memory.
package enum SecretReference: Sendable, Equatable {
    case environment(name: String)
    case file(path: String)
    /// Written in the spec itself: works, with a warning.
    case literal(Secret)
}

/// A secret that cannot be printed by accident.
package struct Secret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The only way to the value; search for this word to see every use.
    package let revealed: String
    package init(_ value: String) { revealed = value }
    package var description: String { "<redacted>" }
    package var debugDescription: String { "<redacted>" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
