import Catalog
import Synchronization

/// Where the last claim of a bucket's scope ended, so that the next one does not look again at all that was done before. Only
/// a hint: a claim that comes to the end starts over.
final class ClaimCursors: Sendable {
    /// Scopes change with every spec; more than so many are forgotten together.
    private static let scopesMax = 1000

    private let keys = Mutex<[MoveScope: String]>([:])

    func position(of scope: MoveScope) -> String { keys.withLock { $0[scope] ?? "" } }

    /// - Parameter key: where the next claim begins; empty: at the beginning
    func set(_ scope: MoveScope, to key: String) {
        keys.withLock { keys in
            if keys.count > ClaimCursors.scopesMax { keys = [:] }
            keys[scope] = key.isEmpty ? nil : key
        }
    }
}
