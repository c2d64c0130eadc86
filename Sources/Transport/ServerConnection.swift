import EventLoop
import HTTP
import Synchronization

/// One client's connection: requests in the order of their arrival, each answered before the next is read.
final class ServerConnection: Sendable {
    private static let headReadSize = 16 * 1024

    private struct State {
        var isIdle = true
        var isStopping = false
    }

    private let stream: SocketStream
    private let handler: any RequestHandler
    private let limits: ServerLimits
    private let peer: String
    private let writer: ResponseWriter
    private let errorResponse: @Sendable (Int) -> Response
    private let state = Mutex(State())

    init(
        _ stream: SocketStream, handler: any RequestHandler, limits: ServerLimits, peer: String, dateLine: DateLine,
        errorResponse: @escaping @Sendable (Int) -> Response
    ) {
        self.stream = stream
        self.handler = handler
        self.limits = limits
        self.peer = peer
        self.errorResponse = errorResponse
        writer = ResponseWriter(stream, stall: limits.writeStall, dateLine: dateLine)
    }

    /// Ends after the request under way, or at once if there is none.
    func stop() {
        let isIdle = state.withLock { state in
            state.isStopping = true
            return state.isIdle
        }
        if isIdle { stream.close() }
    }

    func cut() { stream.reset() }

    func run() async {
        defer { stream.close() }
        do throws(StreamError) {
            try await stream.handshake(deadline: .now + limits.headTimeout)
            var input = Bytes.empty
            while let (request, rest) = try await readHead(input) {
                guard let surplus = try await answer(request, rest) else { return }
                input = surplus
            }
        } catch {
            // The peer is gone, or too slow: there is nobody to tell.
            return
        }
    }

    /// Nil at the end of the connection, or after a head that was refused.
    private func readHead(_ leftover: Bytes) async throws(StreamError) -> (ParsedRequestHead, Bytes)? {
        var input = leftover
        var scanned = 0
        var deadline = ContinuousClock.now + (input.isEmpty ? limits.idleTimeout : limits.headTimeout)
        guard becomes(idle: input.isEmpty) else { return nil }
        while true {
            do throws(HeadError) {
                let parsed = try input.withUnsafeBytes { (bytes) throws(HeadError) in
                    try HeadParser.request(bytes, scanned: &scanned)
                }
                if let parsed { return (parsed, input.dropFirst(parsed.length)) }
            } catch {
                try await refuse(error.status)
                return nil
            }
            let more: Bytes?
            do throws(StreamError) {
                more = try await stream.read(capacity: ServerConnection.headReadSize, deadline: deadline)
            } catch {
                if error == .timedOut, !input.isEmpty { try await refuse(408) }
                throw error
            }
            guard let more else { return nil }
            if input.isEmpty {
                deadline = .now + limits.headTimeout
                guard becomes(idle: false) else { return nil }
                input = more
            } else {
                input = ServerConnection.joined(input, more)
            }
        }
    }

    /// False once the server is stopping and nothing is under way.
    private func becomes(idle: Bool) -> Bool {
        state.withLock { state in
            state.isIdle = idle
            return !(state.isStopping && idle)
        }
    }

    private static func joined(_ a: Bytes, _ b: Bytes) -> Bytes {
        Bytes(capacity: a.count + b.count) { target in
            a.withUnsafeBytes { target.copyMemory(from: $0) }
            b.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: target[a.count...]).copyMemory(from: $0) }
            return a.count + b.count
        }
    }

    /// A head that cannot be trusted is answered and ends the connection, for nobody knows where the next message begins.
    private func refuse(_ status: Int) async throws(StreamError) {
        _ = try await writer.send(errorResponse(status), to: .get, keepsAlive: false)
        await stream.closeLingering(bytesMax: limits.lingerMax, within: limits.lingerTimeout)
    }

    /// Returns what follows the request, or nil if the connection has to end.
    private func answer(_ parsed: ParsedRequestHead, _ rest: Bytes) async throws(StreamError) -> Bytes? {
        let body = body(of: parsed, rest)
        let length: Int64? =
            switch parsed.framing {
            case .none: 0
            case .length(let declared): declared
            case .chunked, .untilClose: nil
            }
        let response = await handler.respond(
            to: Request(head: parsed.head, contentLength: length, body: body, peer: peer, isTLS: stream.isTLS))
        // Never before the response: a client may wait for it before it sends the rest.
        let keepsAlive =
            parsed.keepsAlive && body.isDrainable(limit: limits.drainMax) && !state.withLock { $0.isStopping }
        let outcome = try await writer.send(response, to: parsed.head.method, keepsAlive: keepsAlive)
        switch outcome {
        case .sent where keepsAlive:
            if body.isFinished { return body.surplus }
            if await body.drain(limit: limits.drainMax, within: limits.drainTimeout) { return body.surplus }
        case .sent: break
        case .failedBeforeHead: _ = try await writer.send(errorResponse(500), to: parsed.head.method, keepsAlive: false)
        case .cut: return nil
        }
        await stream.closeLingering(bytesMax: limits.lingerMax, within: limits.lingerTimeout)
        return nil
    }

    private func body(of parsed: ParsedRequestHead, _ rest: Bytes) -> MessageBody {
        let stream = stream
        let stall = limits.writeStall
        var invite: (@Sendable () async throws(StreamError) -> Void)?
        // A client that sends before it was invited needs no invitation (RFC 9110 §10.1.1).
        if parsed.expectsContinue, rest.isEmpty {
            invite = { () async throws(StreamError) in
                try await stream.write([Bytes("HTTP/1.1 100 Continue\r\n\r\n")], stall: stall)
            }
        }
        let bodyLimits = MessageBody.Limits(
            idle: limits.bodyIdleTimeout, bytesPerSecondMin: limits.bodyBytesPerSecondMin,
            rateWindow: limits.bodyRateWindow)
        return MessageBody(stream, parsed.framing, input: rest, limits: bodyLimits, beforeFirstRead: invite)
    }
}
