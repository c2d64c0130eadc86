import Crypto
import S3

/// How reads are repeated that got no answer, or one that says "later". The time and the dice are given, for tests.
package struct ReadRetries: Sendable {
    /// The first attempt included.
    package var attemptsMax = 3
    package var firstPause: Duration = .milliseconds(50)
    package var pauseMax: Duration = .seconds(1)
    /// From the first attempt's beginning; none begins later. Another copy is often faster than a third attempt.
    package var budget: Duration = .seconds(5)
    package var sleep: @Sendable (Duration) async throws(CancellationError) -> Void = ReadRetries.wait
    /// In 0..<1.
    package var random: @Sendable () -> Double = { Double(SystemRandom.word() >> 11) / Double(1 << 53) }

    package init() {}

    /// Nil to give up. Half of each pause is by chance, so that many clients do not come back together.
    func pause(after attempt: Int, _ error: StoreError, elapsed: Duration) -> Duration? {
        guard attempt < attemptsMax, ReadRetries.isTransient(error.code) else { return nil }
        let doubled = min(pauseMax, firstPause * (1 << (attempt - 1)))
        let pause = doubled / 2 + doubled / 2 * random()
        return elapsed + pause < budget ? pause : nil
    }

    /// Unreachable and timed out are not: a copy elsewhere is the better second attempt.
    private static func isTransient(_ code: StoreError.Code) -> Bool {
        switch code {
        case .reset, .throttled, .serverError: true
        case .noSuchKey, .wrongLocation, .noSuchUpload, .alreadyExists, .accessDenied, .noSpace, .invalidRange,
            .corrupt,
            .unreachable, .timedOut, .rejected, .notSupported, .bodyFailed, .cancelled:
            false
        }
    }

    @Sendable private static func wait(_ pause: Duration) async throws(CancellationError) {
        do { try await Task.sleep(for: pause) } catch { throw CancellationError() }
    }
}
