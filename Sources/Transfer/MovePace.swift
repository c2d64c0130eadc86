/// How fast copies may be made: asked before the bytes of each move, and waits as long as a limit wants.
package struct MovePace: Sendable {
    /// False: not now.
    package let mayMovePart: @Sendable (_ bytes: Int64) async -> Bool

    package init(mayMovePart: @escaping @Sendable (_ bytes: Int64) async -> Bool) { self.mayMovePart = mayMovePart }

    package static let unlimited = MovePace { _ in true }
}
