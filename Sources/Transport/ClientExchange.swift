import HTTP
import Synchronization

/// One request and its response on one connection.
final class ClientExchange: Sendable {
    private enum Upload: Sendable {
        case done
        case failed(ClientError)
    }

    private let stream: SocketStream
    private let request: ClientRequest
    private let giveBack: @Sendable () -> Void
    private let received = Mutex(false)

    init(_ stream: SocketStream, _ request: ClientRequest, giveBack: @escaping @Sendable () -> Void) {
        self.stream = stream
        self.request = request
        self.giveBack = giveBack
    }

    /// Whether any byte of an answer came.
    var hasReceived: Bool { received.withLock { $0 } }

    var isReplayable: Bool {
        switch request.body {
        case .empty, .bytes: true
        case .stream: false
        }
    }

    func run(_ slot: Slot) async throws(ClientError) -> ClientResponse {
        var runs = [Bytes(encodedHead())]
        guard case .stream(let length, let reader) = request.body else {
            if case .bytes(let bytes) = request.body { runs.append(bytes) }
            try await write(runs)
            return try await response(slot, .now + request.timeouts.firstByte, requestIsSent: true).orReset()
        }
        try await write(runs)
        if request.expectsContinue {
            // A server that knows nothing of Expect stays silent: go on after a second.
            if let early = try await response(slot, .now + .seconds(1), requestIsSent: false, untilContinue: true) { return early }
        }
        return try await stream(length, reader, slot)
    }

    /// Sends the body and listens meanwhile: a refusal may come before the last byte was sent.
    private func stream(_ length: Int64, _ reader: any BodyReader, _ slot: Slot) async throws(ClientError) -> ClientResponse {
        async let upload = upload(length, reader)
        let answer: Result<ClientResponse, ClientError>
        do throws(ClientError) {
            answer = .success(try await response(slot, nil, requestIsSent: false).orReset())
        } catch {
            answer = .failure(error)
        }
        switch answer {
        case .success(let response):
            if response.status.code >= 300 { return response }
            if case .failed(let error) = await upload { throw error }
            return response
        case .failure(let error):
            // The upload's own failure closed the connection under the reader, and is the better reason.
            if case .failed(let cause) = await upload, case .bodyFailed = cause { throw cause }
            throw error
        }
    }

    private func upload(_ length: Int64, _ reader: any BodyReader) async -> Upload {
        var sent: Int64 = 0
        do throws(BodyError) {
            while let run = try await reader.next() {
                sent += Int64(run.count)
                guard sent <= length else { throw .tooLong }
                do throws(ClientError) { try await write([run]) } catch { return .failed(error) }
            }
            guard sent == length else { throw .truncated }
            uploadedAt.withLock { $0 = .now }
            return .done
        } catch {
            stream.reset()
            return .failed(.bodyFailed(error))
        }
    }

    /// When the last byte of a streamed body was sent: the time to the first byte counts from there.
    private let uploadedAt = Mutex<ContinuousClock.Instant?>(nil)

    private func write(_ runs: [Bytes]) async throws(ClientError) {
        do throws(StreamError) {
            try await stream.write(runs, stall: request.timeouts.idle)
        } catch {
            throw ClientExchange.error(error)
        }
    }

    private func encodedHead() -> [UInt8] {
        var head = request.head
        head.fields.set("Host", request.endpoint.authority)
        switch request.body {
        case .empty: if head.method == .put || head.method == .post { head.fields.set("Content-Length", "0") }
        case .bytes(let bytes): head.fields.set("Content-Length", String(bytes.count))
        case .stream(let length, _): head.fields.set("Content-Length", String(length))
        }
        if request.expectsContinue { head.fields.set("Expect", "100-continue") }
        var output: [UInt8] = []
        HeadEncoder.request(head, into: &output)
        return output
    }

    /// Reads heads until a final one. Nil only with `untilContinue`: invited, or silence until the deadline.
    private func response(
        _ slot: Slot, _ deadline: ContinuousClock.Instant?, requestIsSent: Bool, untilContinue: Bool = false
    ) async throws(ClientError) -> ClientResponse? {
        var input = Bytes.empty
        var scanned = 0
        while true {
            let parsed: ParsedResponseHead?
            do throws(HeadError) {
                parsed = try input.withUnsafeBytes { (bytes) throws(HeadError) in
                    try HeadParser.response(bytes, scanned: &scanned, to: request.head.method)
                }
            } catch {
                throw .malformed(reason: error.reason)
            }
            if let parsed {
                input = input.dropFirst(parsed.length)
                scanned = 0
                if parsed.status.code >= 200 { return response(parsed, input, slot) }
                if untilContinue { return nil }
                continue
            }
            guard let more = try await more(deadline, untilContinue: untilContinue) else {
                if untilContinue, input.isEmpty { return nil }
                throw .reset
            }
            received.withLock { $0 = true }
            input = input.isEmpty ? more : Bytes(input.array + more.array)
        }
    }

    /// Nil at the end of the stream, or with `untilContinue` when nothing came in time.
    private func more(_ deadline: ContinuousClock.Instant?, untilContinue: Bool) async throws(ClientError) -> Bytes? {
        while true {
            // While the body is being sent there is no deadline for the answer; the upload has its own.
            let until = deadline ?? .now + request.timeouts.firstByte
            do throws(StreamError) {
                guard let more = try await stream.read(capacity: 16 * 1024, deadline: until) else {
                    if untilContinue { throw .closed }
                    return nil
                }
                return more
            } catch {
                guard error == .timedOut else { throw ClientExchange.error(error) }
                if untilContinue { return nil }
                if deadline != nil { throw .timedOut }
                let sentAt = uploadedAt.withLock { $0 }
                if let sentAt, sentAt + request.timeouts.firstByte <= .now { throw .timedOut }
            }
        }
    }

    private func response(_ parsed: ParsedResponseHead, _ rest: Bytes, _ slot: Slot) -> ClientResponse {
        let stream = stream
        let giveBack = giveBack
        let limits = MessageBody.Limits(idle: request.timeouts.idle, bytesPerSecondMin: 0)
        let isStreaming = !isReplayable
        let body = MessageBody(stream, parsed.framing, input: rest, limits: limits, onEnd: { complete in
            withExtendedLifetime(slot) {
                // A refusal may come before the body was sent; such a connection is in the middle of a message.
                let isClean = complete && parsed.keepsAlive && !(isStreaming && parsed.status.code >= 300)
                if isClean { giveBack() } else { stream.close() }
            }
        })
        var length: Int64?
        switch parsed.framing {
        case .none: length = 0
        case .length(let declared): length = declared
        case .chunked, .untilClose: length = nil
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

extension Optional where Wrapped == ClientResponse {
    fileprivate func orReset() throws(ClientError) -> ClientResponse {
        guard let self else { throw .reset }
        return self
    }
}
