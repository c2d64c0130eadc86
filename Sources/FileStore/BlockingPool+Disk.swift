import EventLoop
import S3

/// How long a job on a disk may take before its caller goes on without it: a disk that hangs is no reason to hang.
enum DiskPatience {
    /// Looking, and reading up to a run.
    case reading
    /// Writing what is small, and deleting.
    case writing
    /// Flushing or joining what may be many gigabytes.
    case flushing

    var limit: Duration {
        switch self {
        case .reading: .seconds(60)
        case .writing: .seconds(120)
        case .flushing: .seconds(1800)
        }
    }
}

extension BlockingPool {
    /// Runs a job on a disk. One that takes too long is left behind, and ends unheard when the disk comes back; so does one that only
    /// reads, when the task is cancelled.
    ///
    /// - Parameter place: for the error
    func disk<Answer: Sendable>(
        _ patience: DiskPatience, _ place: String, _ work: @escaping @Sendable () throws(StoreError) -> Answer
    ) async throws(StoreError) -> Answer {
        let isReading = patience == .reading
        let result: Result<Answer, StoreError>
        do throws(WaitError) {
            result = try await run(within: patience.limit, endsWhenCancelled: isReading) {
                do throws(StoreError) { return .success(try work()) } catch { return .failure(error) }
            }
        } catch {
            throw StoreError(
                error == .timedOut ? .timedOut : .cancelled, mayArriveLate: !isReading,
                evidence: "\(place): \(error == .timedOut ? "no answer within \(patience.limit)" : "\(error)")")
        }
        return try result.get()
    }
}
