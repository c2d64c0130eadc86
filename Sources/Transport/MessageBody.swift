import HTTP

/// The body of a message that is read from a stream, in any framing.
///
/// `@unchecked Sendable`: one task reads at a time, by the contract of `BodyReader`; whoever owns the connection looks at the
/// rest only after the reader is done.
final class MessageBody: BodyReader, @unchecked Sendable {
    struct Limits: Sendable {
        /// Without any byte.
        var idle: Duration
        /// Of every `rateWindow` that we spent waiting for the peer; the time that we take ourselves does not count.
        var bytesPerSecondMin: Int
        var rateWindow: Duration = .seconds(10)
    }

    private static let readMin = 16 * 1024
    private static let readMax = 256 * 1024

    private enum Rest {
        case length(Int64)
        case chunked(ChunkedDecoder)
        case untilClose
        case done
        case failed(BodyError)
    }

    private let stream: SocketStream
    private var limits: Limits
    private var rest: Rest
    /// Read but not yet handed on.
    private var input: Bytes
    private var beforeFirstRead: (@Sendable () async throws(StreamError) -> Void)?
    private var onEnd: (@Sendable (Bool) -> Void)?
    /// Grows while reads fill it, so that a slow peer costs little memory and a fast one few calls.
    private var readSize = 64 * 1024
    private var waitedInWindow = Duration.zero
    private var receivedInWindow: Int64 = 0

    /// - Parameters:
    ///   - input: what was read behind the head
    ///   - beforeFirstRead: sends `100 Continue`
    ///   - onEnd: called once: true if the stream stands exactly behind the body, false on an error, when the reader goes
    ///     unfinished, or when the peer sent more than the body
    init(
        _ stream: SocketStream, _ framing: Framing, input: Bytes, limits: Limits,
        beforeFirstRead: (@Sendable () async throws(StreamError) -> Void)? = nil,
        onEnd: (@Sendable (Bool) -> Void)? = nil
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
        if case .done = rest { finish(input.isEmpty) }
    }

    deinit {
        // The rest of a small body that nobody wanted has often come with the head.
        if case .length(let left) = rest, left == Int64(input.count) { finish(true) } else { finish(false) }
    }

    /// Whether every byte was read.
    var isFinished: Bool { if case .done = rest { true } else { false } }

    /// Whether reading on to the end is possible and worth the connection: at most `limit` bytes of a known length are left, or
    /// a length that only the end will tell. Not if the peer still waits to be invited: it may or may not send.
    func isDrainable(limit: Int) -> Bool {
        guard beforeFirstRead == nil else { return false }
        switch rest {
        case .done, .chunked: return true
        case .length(let left): return left <= Int64(limit)
        case .untilClose, .failed: return false
        }
    }

    /// Reads and drops at most `limit` bytes; true if that was all.
    func drain(limit: Int, within duration: Duration) async -> Bool {
        limits.idle = min(limits.idle, duration)
        let deadline = ContinuousClock.now + duration
        var drained = 0
        while drained <= limit, .now < deadline {
            do throws(BodyError) {
                guard let run = try await next() else { return true }
                drained += run.count
            } catch { return false }
        }
        return isFinished
    }

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
                if input.isEmpty { try await fill(Int(min(left, Int64(readSize)))) }
                let count = Int(min(left, Int64(input.count)))
                let run = input.prefix(count)
                input = input.dropFirst(count)
                rest = left == Int64(count) ? .done : .length(left - Int64(count))
                if isFinished { finish(input.isEmpty) }
                return run
            case .untilClose:
                if input.isEmpty, try await !read(readSize) {
                    rest = .done
                    finish(false)
                    return nil
                }
                defer { input = .empty }
                return input
            case .chunked(var decoder):
                if let run = try decode(&decoder) { return run }
                if isFinished { return nil }
                try await fill(readSize)
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
            finish(input.isEmpty)
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
        try account(more.count, began.duration(to: .now))
        if more.count >= capacity { readSize = min(readSize * 2, MessageBody.readMax) }
        if more.count < readSize / 4 { readSize = max(readSize / 2, MessageBody.readMin) }
        input = more
        return true
    }

    /// Each window is judged alone: a fast beginning buys no slow end.
    private func account(_ count: Int, _ waited: Duration) throws(BodyError) {
        waitedInWindow += waited
        receivedInWindow += Int64(count)
        guard waitedInWindow > limits.rateWindow else { return }
        if Double(receivedInWindow) < Double(limits.bytesPerSecondMin) * (waitedInWindow / .seconds(1)) {
            throw .tooSlow
        }
        waitedInWindow = .zero
        receivedInWindow = 0
    }

    private func finish(_ isClean: Bool) {
        let action = onEnd
        onEnd = nil
        action?(isClean)
    }

    private static func bodyError(_ error: StreamError) -> BodyError {
        switch error {
        case .timedOut: .tooSlow
        case .cancelled: .cancelled
        case .closed, .failed: .truncated
        }
    }
}
