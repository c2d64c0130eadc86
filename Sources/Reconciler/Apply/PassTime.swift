/// How long a pass may go on with what can also be done in the next one.
///
/// A pass that moves copies for hours would go by what it saw at its beginning. So nothing is begun when the time is over, and an edit of
/// the spec or a stopping server cuts it short: then copies in parts pause between two of them.
package struct PassTime: Sendable {
    private let elapsed: @Sendable () -> Duration
    private let isInterrupted: @Sendable () -> Bool
    private let pause: @Sendable (Duration) async throws(CancellationError) -> Void
    private let beginsUntil: Duration
    private static let slice: Duration = .milliseconds(200)

    /// - Parameters:
    ///   - elapsed: a monotonic clock
    ///   - isInterrupted: the spec has changed, or the server stops
    package init(
        limits: ReconcilerLimits, elapsed: @escaping @Sendable () -> Duration,
        isInterrupted: @escaping @Sendable () -> Bool,
        pause: @escaping @Sendable (Duration) async throws(CancellationError) -> Void
    ) {
        self.elapsed = elapsed
        self.isInterrupted = isInterrupted
        self.pause = pause
        beginsUntil = elapsed() + limits.workTime
    }

    /// The spec has changed, or the server stops: what is under way pauses where it can be gone on with.
    package var isCutShort: Bool { isInterrupted() }

    package var now: Duration { elapsed() }

    /// Nothing more is begun in this pass.
    package var isOver: Bool { isInterrupted() || elapsed() >= beginsUntil }

    /// How long something may wait before it begins.
    package var left: Duration { isInterrupted() ? .zero : max(.zero, beginsUntil - elapsed()) }

    /// Waits; less if the pass is interrupted. False if it was.
    package func wait(_ duration: Duration) async -> Bool {
        let end = elapsed() + duration
        while elapsed() < end {
            if isInterrupted() { return false }
            do throws(CancellationError) { try await pause(min(end - elapsed(), PassTime.slice)) } catch {
                return false
            }
        }
        return !isInterrupted()
    }
}
