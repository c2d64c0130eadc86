import HTTP

/// Writes responses with their framing (RFC 9112 §6).
struct ResponseWriter: Sendable {
    enum Outcome: Sendable {
        case sent
        /// The body failed before its first byte, and nothing was sent.
        case failedBeforeHead
        /// The body failed after its head was sent, or did not have the declared length. The connection was reset: only that
        /// tells the client that what it got is not the whole.
        case cut
    }

    private let stream: SocketStream
    private let stall: Duration
    private let dateLine: DateLine

    init(_ stream: SocketStream, stall: Duration, dateLine: DateLine) {
        self.stream = stream
        self.stall = stall
        self.dateLine = dateLine
    }

    func send(_ response: Response, to method: Method, keepsAlive: Bool) async throws(StreamError) -> Outcome {
        let status = response.head.status.code
        var head: [UInt8] = []
        head.reserveCapacity(512)
        HeadEncoder.response(response.head, into: &head)
        if response.head.fields["date"] == nil { HeadEncoder.field("Date", dateLine.value(), into: &head) }
        if !keepsAlive { HeadEncoder.field("Connection", "close", into: &head) }
        if status == 204 || status == 304 || status < 200 { return try await send(head, []) }
        switch response.body {
        case .empty:
            HeadEncoder.field("Content-Length", "0", into: &head)
            return try await send(head, [])
        case .none(let length):
            HeadEncoder.field("Content-Length", String(length), into: &head)
            return try await send(head, [])
        case .bytes(let bytes):
            HeadEncoder.field("Content-Length", String(bytes.count), into: &head)
            return try await send(head, method == .head ? [] : [bytes])
        case .stream(let length, let reader):
            if let length {
                HeadEncoder.field("Content-Length", String(length), into: &head)
            } else {
                HeadEncoder.field("Transfer-Encoding", "chunked", into: &head)
            }
            if method == .head { return try await send(head, []) }
            HeadEncoder.end(into: &head)
            return try await stream(ResponseWriter.bytes(head), length, reader)
        }
    }

    private static func bytes(_ array: [UInt8]) -> Bytes { array.withUnsafeBytes { Bytes(copying: $0) } }

    private func send(_ head: [UInt8], _ runs: [Bytes]) async throws(StreamError) -> Outcome {
        var head = head
        HeadEncoder.end(into: &head)
        try await stream.write([ResponseWriter.bytes(head)] + runs, stall: stall)
        return .sent
    }

    /// The head goes out with the first run.
    private func stream(_ head: Bytes, _ length: Int64?, _ reader: any BodyReader) async throws(StreamError) -> Outcome
    {
        var head: Bytes? = head
        var sent: Int64 = 0
        while true {
            let run: Bytes?
            do throws(BodyError) { run = try await reader.next() } catch { return failed(head) }
            sent += Int64(run?.count ?? 0)
            if let length, sent > length || run == nil && sent < length { return failed(head) }
            var runs = head.map { [$0] } ?? []
            head = nil
            if let run {
                runs += length == nil ? [Bytes(String(run.count, radix: 16) + "\r\n"), run, Bytes("\r\n")] : [run]
            } else if length == nil {
                runs.append(Bytes("0\r\n\r\n"))
            }
            do throws(StreamError) { try await stream.write(runs, stall: stall) } catch {
                stream.reset()
                throw error
            }
            if run == nil { return .sent }
        }
    }

    private func failed(_ head: Bytes?) -> Outcome {
        if head != nil { return .failedBeforeHead }
        stream.reset()
        return .cut
    }
}
