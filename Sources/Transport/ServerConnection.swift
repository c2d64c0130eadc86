import EventLoop
import HTTP
import Synchronization

/// One client's connection: requests in the order of their arrival, each answered before the next is read.
final class ServerConnection: Sendable {
    private struct State {
        var isIdle = true
        var isStopping = false
    }

    private let stream: SocketStream
    private let handler: any RequestHandler
    private let limits: ServerLimits
    private let peer: String
    private let state = Mutex(State())

    init(_ stream: SocketStream, handler: any RequestHandler, limits: ServerLimits, peer: String) {
        self.stream = stream
        self.handler = handler
        self.limits = limits
        self.peer = peer
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
                if let parsed {
                    guard becomes(idle: false) else { return nil }
                    return (parsed, input.dropFirst(parsed.length))
                }
            } catch {
                try await refuse(error.status)
                return nil
            }
            let more: Bytes?
            do throws(StreamError) {
                more = try await stream.read(capacity: 16 * 1024, deadline: deadline)
            } catch {
                if error == .timedOut, !input.isEmpty { try await refuse(408) }
                throw error
            }
            guard let more else { return nil }
            if input.isEmpty {
                deadline = .now + limits.headTimeout
                guard becomes(idle: false) else { return nil }
            }
            input = input.isEmpty ? more : ServerConnection.joined(input, more)
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
        var head: [UInt8] = []
        HeadEncoder.response(ResponseHead(Status(status)), into: &head)
        HeadEncoder.field("Content-Length", "0", into: &head)
        HeadEncoder.field("Connection", "close", into: &head)
        HeadEncoder.end(into: &head)
        try await stream.write([Bytes(head)], stall: .seconds(5))
        await linger()
    }

    /// Returns what follows the request, or nil if the connection has to end.
    private func answer(_ parsed: ParsedRequestHead, _ rest: Bytes) async throws(StreamError) -> Bytes? {
        let stream = stream
        let stall = limits.writeStall
        let bodyLimits = MessageBody.Limits(idle: limits.bodyIdleTimeout, bytesPerSecondMin: limits.bodyBytesPerSecondMin)
        var invite: (@Sendable () async throws(StreamError) -> Void)?
        if parsed.expectsContinue, rest.isEmpty {
            invite = { () async throws(StreamError) in
                try await stream.write([Bytes("HTTP/1.1 100 Continue\r\n\r\n")], stall: stall)
            }
        }
        let body = MessageBody(stream, parsed.framing, input: rest, limits: bodyLimits, beforeFirstRead: invite)
        var length: Int64? = 0
        switch parsed.framing {
        case .none: length = 0
        case .length(let declared): length = declared
        case .chunked, .untilClose: length = nil
        }
        let response = await handler.respond(
            to: Request(head: parsed.head, contentLength: length, body: body, peer: peer, isTLS: stream.isTLS))
        let isReusable = await settle(body)
        let keepsAlive = parsed.keepsAlive && isReusable && !state.withLock { $0.isStopping }
        try await send(response, to: parsed.head.method, keepsAlive: keepsAlive)
        if keepsAlive { return body.surplus }
        if !body.isFinished { await linger() }
        return nil
    }

    /// Reads a small rest of the body, so that the connection can go on. False if it cannot.
    private func settle(_ body: MessageBody) async -> Bool {
        if body.isUninvited { return false }
        if body.isFinished { return true }
        var drained = 0
        do throws(BodyError) {
            while drained <= limits.drainMax {
                guard let run = try await body.next() else { return true }
                drained += run.count
            }
        } catch { return false }
        return false
    }

    private func send(_ response: Response, to method: Method, keepsAlive: Bool) async throws(StreamError) {
        var head: [UInt8] = []
        head.reserveCapacity(512)
        HeadEncoder.response(response.head, into: &head)
        if !keepsAlive { HeadEncoder.field("Connection", "close", into: &head) }
        let status = response.head.status.code
        switch response.body {
        case .empty:
            if status >= 200, status != 204, status != 304 { HeadEncoder.field("Content-Length", "0", into: &head) }
            HeadEncoder.end(into: &head)
            try await stream.write([Bytes(head)], stall: limits.writeStall)
        case .none(let length):
            HeadEncoder.field("Content-Length", String(length), into: &head)
            HeadEncoder.end(into: &head)
            try await stream.write([Bytes(head)], stall: limits.writeStall)
        case .bytes(let bytes):
            HeadEncoder.field("Content-Length", String(bytes.count), into: &head)
            HeadEncoder.end(into: &head)
            try await stream.write(method == .head ? [Bytes(head)] : [Bytes(head), bytes], stall: limits.writeStall)
        case .stream(let length, let reader):
            try await send(head, length, reader)
        }
    }

    private func send(_ head: [UInt8], _ length: Int64?, _ reader: any BodyReader) async throws(StreamError) {
        var head = head
        HeadEncoder.field(length == nil ? "Transfer-Encoding" : "Content-Length", length.map { String($0) } ?? "chunked", into: &head)
        HeadEncoder.end(into: &head)
        var pending = [Bytes(head)]
        var sent: Int64 = 0
        do throws(BodyError) {
            while let run = try await reader.next() {
                sent += Int64(run.count)
                if length == nil {
                    pending += [Bytes(String(run.count, radix: 16) + "\r\n"), run, Bytes("\r\n")]
                } else {
                    pending.append(run)
                }
                do throws(StreamError) {
                    try await stream.write(pending, stall: limits.writeStall)
                } catch {
                    stream.reset()
                    return
                }
                pending = []
            }
        } catch {
            // The head promised more: only a reset tells the client that this is not the whole body.
            if pending.isEmpty { stream.reset() } else { stream.close() }
            throw .failed(evidence: "response body: \(error)")
        }
        if length == nil { pending.append(Bytes("0\r\n\r\n")) }
        try await stream.write(pending, stall: limits.writeStall)
        if let length, sent != length {
            stream.reset()
            throw .failed(evidence: "response body of \(sent) bytes where \(length) were declared")
        }
    }

    /// Lets the client read the answer before the connection goes: a close with unread input would reset it.
    private func linger() async {
        stream.finishWriting()
        let deadline = ContinuousClock.now + .seconds(2)
        var drained = 0
        do throws(StreamError) {
            while drained < 4 * 1024 * 1024, let more = try await stream.read(capacity: 64 * 1024, deadline: deadline) {
                drained += more.count
            }
        } catch { return }
    }
}
