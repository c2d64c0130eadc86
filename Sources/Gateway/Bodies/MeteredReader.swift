package import HTTP
import Synchronization

/// How a response's body ended.
package enum BodyEnd: Sendable, Equatable {
    case complete
    case failed(BodyError)
    /// Nobody read it to its end: the client is gone.
    case abandoned
}

/// Counts a response's bytes and says once how it ended, also when it is dropped in the middle.
package final class MeteredReader: BodyReader {
    private struct Progress {
        var bytes: Int64 = 0
        var isReported = false
    }
    private let source: any BodyReader
    private let progress = Mutex(Progress())
    private let onEnd: @Sendable (BodyEnd, Int64) -> Void

    package init(_ source: any BodyReader, onEnd: @escaping @Sendable (BodyEnd, Int64) -> Void) {
        self.source = source
        self.onEnd = onEnd
    }

    deinit { report(.abandoned) }

    package func next() async throws(BodyError) -> Bytes? {
        do throws(BodyError) {
            guard let run = try await source.next() else {
                report(.complete)
                return nil
            }
            progress.withLock { $0.bytes += Int64(run.count) }
            return run
        } catch {
            report(error == .cancelled ? .abandoned : .failed(error))
            throw error
        }
    }

    private func report(_ end: BodyEnd) {
        let bytes: Int64? = progress.withLock { progress in
            guard !progress.isReported else { return nil }
            progress.isReported = true
            return progress.bytes
        }
        if let bytes { onEnd(end, bytes) }
    }
}
