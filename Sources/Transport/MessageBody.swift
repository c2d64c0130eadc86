import HTTP
import Synchronization

/// The body of a message that is read from a stream, in any framing.
///
/// `@unchecked Sendable`: one task reads at a time, by the contract of `BodyReader`; whoever owns the connection looks at the
/// rest only after the reader is done.
final class MessageBody: BodyReader, @unchecked Sendable {
    struct Limits: Sendable {
        /// Without any byte.
        var idle: Duration
        /// Averaged over the time that we waited for the peer, once that exceeds `rateWindow`.
        var bytesPerSecondMin: Int
        var rateWindow: Duration = .seconds(10)
        var readSize = 256 * 1024
    }

    private enum Rest {
        case length(Int64)
        case chunked(ChunkedDecoder)
        case untilClose
        case done
        case failed(BodyError)
    }

    private let stream: SocketStream
    private let limits: Limits
    private var rest: Rest
    /// Read but not yet handed on.
    private var input: Bytes
    private var beforeFirstRead: (@Sendable () async throws(StreamError) -> Void)?
    private var onEnd: (@Sendable (Bool) -> Void)?
    private var waited = Duration.zero
    private var received: Int64 = 0

    /// - Parameters:
    ///   - input: what was read behind the head
    ///   - beforeFirstRead: sends `100 Continue`
    ///   - onEnd: called once: true at the end of the body, false on an error or when the reader goes unfinished
    init(
        _ stream: SocketStream, _ framing: Framing, input: Bytes, limits: Limits,
        beforeFirstRead: (@Sendable () async throws(StreamError) -> Void)? = nil, onEnd: (@Sendable (Bool) -> Void)? = nil
    ) {
        self.stream = stream
        self.limits = limits
        self.input = input
        self.beforeFirstRead = beforeFirstRead
        self.onEnd = onEnd
        switch framing {
        case .none: rest = .done
        case .length(let length): rest = .length(length)
        case .chunked: rest = .chunked(ChunkedDecoder())
        case .untilClose: rest = .untilClose
        }
        if case .done = rest { finish(true) }
    }

    deinit { finish(false) }

    /// Whether every byte was read.
    var isFinished: Bool { if case .done = rest { true } else { false } }

    /// Whether the peer still waits to be invited to send.
    var isUninvited: Bool { beforeFirstRead != nil }

    /// What followed the body: the beginning of the next message.
    var surplus: Bytes { input }

    func next() async throws(BodyError) -> Bytes? {
        do throws(BodyError) {
            // Also before an empty body: botocore misreads the answer after a final status that came instead of 100.
            if let invite = beforeFirstRead {
                beforeFirstRead = nil
                do throws(StreamError) { try await invite() } catch { throw MessageBody.bodyError(error) }
            }
            return try await advance()
        } catch {
            rest = .failed(error)
            finish(false)
            throw error
        }
    }

    private func advance() async throws(BodyError) -> Bytes? {
        while true {
            switch rest {
            case .done: return nil
            case .failed(let error): throw error
            case .length(let left):
                if input.isEmpty { try await fill(Int(min(left, Int64(limits.readSize)))) }
                let count = Int(min(left, Int64(input.count)))
                let run = input.prefix(count)
                input = input.dropFirst(count)
                rest = left == Int64(count) ? .done : .length(left - Int64(count))
                if isFinished { finish(true) }
                return run
            case .untilClose:
                if input.isEmpty, try await !read(limits.readSize) {
                    rest = .done
                    finish(true)
                    return nil
                }
                defer { input = .empty }
                return input
            case .chunked(var decoder):
                if let run = try decode(&decoder) { return run }
                if isFinished { return nil }
                try await fill(limits.readSize)
            }
        }
    }

    private func decode(_ decoder: inout ChunkedDecoder) throws(BodyError) -> Bytes? {
        var position = 0
        let step: ChunkedDecoder.Step
        do throws(HeadError) {
            step = try input.withUnsafeBytes { (bytes) throws(HeadError) in try decoder.step(bytes, &position) }
        } catch {
            throw .malformed(error.reason)
        }
        rest = .chunked(decoder)
        switch step {
        case .content(let offset, let count):
            let run = input[offset..<(offset + count)]
            input = input.dropFirst(position)
            return run
        case .needsMore:
            input = .empty
            return nil
        case .end(let offset):
            input = input.dropFirst(offset)
            rest = .done
            finish(true)
            return nil
        }
    }

    private func fill(_ capacity: Int) async throws(BodyError) {
        guard try await read(capacity) else { throw .truncated }
    }

    /// Replaces the empty `input`; false at the end of the stream.
    private func read(_ capacity: Int) async throws(BodyError) -> Bool {
        let began = ContinuousClock.now
        let more: Bytes?
        do throws(StreamError) {
            more = try await stream.read(capacity: max(capacity, 4096), deadline: began + limits.idle)
        } catch {
            throw MessageBody.bodyError(error)
        }
        guard let more else { return false }
        waited += began.duration(to: .now)
        received += Int64(more.count)
        if waited > limits.rateWindow, Double(received) < Double(limits.bytesPerSecondMin) * (waited / .seconds(1)) {
            throw .tooSlow
        }
        input = more
        return true
    }

    private func finish(_ complete: Bool) {
        let action = onEnd
        onEnd = nil
        action?(complete)
    }

    private static func bodyError(_ error: StreamError) -> BodyError {
        switch error {
        case .timedOut: .tooSlow
        case .cancelled: .cancelled
        case .closed, .failed: .truncated
        }
    }
}
