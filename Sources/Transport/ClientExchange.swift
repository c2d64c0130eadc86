import EventLoop
import HTTP
import Synchronization

/// One request and its response on one connection.
final class ClientExchange: Sendable {
    /// A body up to this size is written with the head at once; a larger one while the answer is being listened for, since a
    /// refusal may come before its last byte.
    private static let smallBodyMax = 64 * 1024
    private static let headReadSize = 16 * 1024
    /// A server that knows nothing of Expect stays silent (RFC 9110 §10.1.1).
    private static let continueTimeout: Duration = .seconds(1)
    /// After writing failed, an answer that the server had sent before is waited for so long.
    private static let lastWordsTimeout: Duration = .seconds(2)
    /// How often the reader looks whether the upload has ended, from when on the answer has a deadline.
    private static let uploadCheck: Duration = .milliseconds(250)

    private enum Upload: Sendable {
        case underWay
        case sent(ContinuousClock.Instant)
        case failed(ClientError, ContinuousClock.Instant)
    }

    private struct State {
        var upload = Upload.underWay
        /// The answer came before the body's end: what becomes of the upload is of no interest.
        var isAnswered = false
        var hasSent = false
        var hasReceived = false
        var hasPulledBody = false
        /// Read but not yet parsed, and how much of it was looked at.
        var input = Bytes.empty
        var scanned = 0
    }

    private let stream: SocketStream
    private let request: ClientRequest
    private let giveBack: @Sendable () -> Void
    private let state = Mutex(State())

    init(_ stream: SocketStream, _ request: ClientRequest, giveBack: @escaping @Sendable () -> Void) {
        self.stream = stream
        self.request = request
        self.giveBack = giveBack
    }

    /// Whether the request can be sent again, on another connection, after this one turned out to be gone: nothing came back,
    /// and nothing of a body that can be read only once is lost.
    var isRepeatable: Bool {
        state.withLock { state in
            if state.hasReceived { return false }
            guard case .stream = request.body else { return true }
            return !state.hasPulledBody
        }
    }

    /// False if not even the first byte of the head was accepted by the connection.
    var hasSent: Bool { state.withLock { $0.hasSent } }

    func run(_ slot: Slot) async throws(ClientError) -> ClientResponse {
        let head = encodedHead()
        switch request.body {
        case .empty: return try await short([head], slot)
        case .bytes(let bytes) where bytes.count <= ClientExchange.smallBodyMax && !request.expectsContinue:
            return try await short([head, bytes], slot)
        case .bytes(let bytes): return try await long(head, Int64(bytes.count), BytesReader(bytes), slot)
        case .stream(let length, let reader): return try await long(head, length, reader, slot)
        }
    }

    // MARK: Sending

    /// Writes everything, then listens.
    private func short(_ runs: [Bytes], _ slot: Slot) async throws(ClientError) -> ClientResponse {
        var failure: ClientError?
        do throws(ClientError) { try await write(runs) } catch { failure = error }
        let written = failure == nil ? Upload.sent(.now) : .failed(failure ?? .reset, .now)
        state.withLock { $0.upload = written }
        if let failure, failure == .cancelled || !hasSent { throw failure }
        do throws(ClientError) {
            return response(try await readHead(), slot)
        } catch {
            throw failure ?? error
        }
    }

    /// Writes the head, waits to be invited if asked to, then sends the body and listens at the same time.
    private func long(
        _ head: Bytes, _ length: Int64, _ reader: any BodyReader, _ slot: Slot
    ) async throws(ClientError) -> ClientResponse {
        try await write([head])
        if request.expectsContinue,
            let early = try await readHead(orInvitationUntil: .now + ClientExchange.continueTimeout)
        {
            state.withLock { $0.isAnswered = true }
            return response(early, slot)
        }
        let answer = await duplex(length, reader)
        let upload = state.withLock { $0.upload }
        // The upload's own failure closed the connection under the reader, and is the better reason.
        if case .failed(let cause, _) = upload, case .bodyFailed = cause { throw cause }
        switch (answer, upload) {
        case (.success(let parsed), .sent): return response(parsed, slot)
        case (.success(let parsed), _) where parsed.status.code >= 300: return response(parsed, slot)
        case (.success, .failed(let cause, _)), (.failure, .failed(let cause, _)): throw cause
        case (.success, .underWay): throw .reset
        case (.failure(let error), _): throw error
        }
    }

    private func duplex(_ length: Int64, _ reader: any BodyReader) async -> Result<ParsedResponseHead, ClientError> {
        async let upload: Void = upload(length, reader)
        do throws(ClientError) {
            let parsed = try await readHead()
            // A success before the body's end still needs the whole body.
            if parsed.status.code < 300 { await upload }
            // Leaving cancels an upload that goes on, and waits for it.
            state.withLock { $0.isAnswered = true }
            return .success(parsed)
        } catch {
            state.withLock { $0.isAnswered = true }
            return .failure(error)
        }
    }

    private func upload(_ length: Int64, _ reader: any BodyReader) async {
        var sent: Int64 = 0
        do throws(BodyError) {
            while !state.withLock({ $0.isAnswered }) {
                state.withLock { $0.hasPulledBody = true }
                guard let run = try await reader.next() else { break }
                sent += Int64(run.count)
                guard sent <= length else { throw .tooLong }
                do throws(ClientError) { try await write([run]) } catch {
                    state.withLock { $0.upload = .failed(error, .now) }
                    return
                }
            }
            if state.withLock({ $0.isAnswered }) { return }
            guard sent == length else { throw .truncated }
            state.withLock { $0.upload = .sent(.now) }
        } catch {
            let isAnswered = state.withLock { state in
                if !state.isAnswered {
                    state.upload = .failed(error == .cancelled ? .cancelled : .bodyFailed(error), .now)
                }
                return state.isAnswered
            }
            // The server must not take what it got for the whole.
            if !isAnswered { stream.reset() }
        }
    }

    private func write(_ runs: [Bytes]) async throws(ClientError) {
        do throws(StreamError) {
            try await stream.write(runs, stall: request.timeouts.idle) { self.state.withLock { $0.hasSent = true } }
        } catch {
            throw ClientExchange.error(error)
        }
    }

    private func encodedHead() -> Bytes {
        var head = request.head
        head.fields.set("Host", request.endpoint.authority)
        switch request.body {
        case .empty: if head.method == .put || head.method == .post { head.fields.set("Content-Length", "0") }
        case .bytes(let bytes): head.fields.set("Content-Length", String(bytes.count))
        case .stream(let length, _): head.fields.set("Content-Length", String(length))
        }
        if request.expectsContinue { head.fields.set("Expect", "100-continue") }
        var output: [UInt8] = []
        output.reserveCapacity(1024)
        HeadEncoder.request(head, into: &output)
        return output.withUnsafeBytes { Bytes(copying: $0) }
    }

    // MARK: Receiving

    /// The final head; interim ones are skipped (RFC 9110 §15.2).
    private func readHead() async throws(ClientError) -> ParsedResponseHead {
        guard let parsed = try await readHead(orInvitationUntil: nil) else { throw .reset }
        return parsed
    }

    /// Nil only with a limit: invited to send, or silence until then.
    private func readHead(
        orInvitationUntil limit: ContinuousClock.Instant?
    ) async throws(ClientError) -> ParsedResponseHead? {
        while true {
            if let parsed = try takeHead() {
                if parsed.status.code >= 200 { return parsed }
                if limit != nil { return nil }
                continue
            }
            do throws(StreamError) {
                let until = min(
                    limit ?? answerDeadline(),
                    limit == nil && isUploading ? .now + ClientExchange.uploadCheck : .distantFuture)
                guard let more = try await stream.read(capacity: ClientExchange.headReadSize, deadline: until) else {
                    throw .closed
                }
                state.withLock { state in
                    state.hasReceived = true
                    state.input = state.input.isEmpty ? more : Bytes(state.input.array + more.array)
                }
            } catch {
                guard error == .timedOut else { throw ClientExchange.error(error) }
                if limit != nil { return nil }
                if answerDeadline() <= .now { throw .timedOut }
            }
        }
    }

    private func takeHead() throws(ClientError) -> ParsedResponseHead? {
        let parsed: Result<ParsedResponseHead?, HeadError> = state.withLock { state in
            do throws(HeadError) {
                var scanned = state.scanned
                let parsed = try state.input.withUnsafeBytes { (bytes) throws(HeadError) in
                    try HeadParser.response(bytes, scanned: &scanned, to: request.head.method)
                }
                state.scanned = parsed == nil ? scanned : 0
                if let parsed { state.input = state.input.dropFirst(parsed.length) }
                return .success(parsed)
            } catch {
                return .failure(error)
            }
        }
        do throws(HeadError) { return try parsed.get() } catch { throw .malformed(reason: error.reason) }
    }

    private var isUploading: Bool {
        state.withLock { if case .underWay = $0.upload { true } else { false } }
    }

    /// While the body is being sent there is no deadline for the answer; the upload has its own.
    private func answerDeadline() -> ContinuousClock.Instant {
        state.withLock { state in
            switch state.upload {
            case .underWay: .distantFuture
            case .sent(let at): at + request.timeouts.firstByte
            case .failed(_, let at): at + ClientExchange.lastWordsTimeout
            }
        }
    }

    private func response(_ parsed: ParsedResponseHead, _ slot: Slot) -> ClientResponse {
        let stream = stream
        let giveBack = giveBack
        // A connection whose request was not sent to its end is in the middle of a message.
        let (rest, isWhole) = state.withLock { state in
            if case .sent = state.upload { return (state.input, true) }
            return (state.input, false)
        }
        let limits = MessageBody.Limits(idle: request.timeouts.idle, bytesPerSecondMin: 0)
        let body = MessageBody(
            stream, parsed.framing, input: rest, limits: limits,
            onEnd: { isClean in
                withExtendedLifetime(slot) {
                    if isClean && isWhole && parsed.keepsAlive { giveBack() } else { stream.close() }
                }
            })
        let length: Int64? =
            switch parsed.framing {
            case .none: 0
            case .length(let declared): declared
            case .chunked, .untilClose: nil
            }
        return ClientResponse(status: parsed.status, fields: parsed.fields, contentLength: length, body: body)
    }

    private static func error(_ error: StreamError) -> ClientError {
        switch error {
        case .timedOut: .timedOut
        case .cancelled: .cancelled
        case .closed: .reset
        case .failed(let evidence): .malformed(reason: evidence)
        }
    }
}

extension ContinuousClock.Instant {
    /// Further away than any process lives.
    fileprivate static var distantFuture: ContinuousClock.Instant { .now + .seconds(1_000_000_000) }
}
