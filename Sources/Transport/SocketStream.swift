import Crypto
import EventLoop
import Glibc
package import HTTP

/// Why bytes could not be moved over a connection.
package enum StreamError: Error, Sendable, Equatable {
    case timedOut
    case cancelled
    /// Reset by the peer, or closed on our side.
    case closed
    case failed(evidence: String)
}

/// A connected, non-blocking TCP socket on one loop, with or without TLS. One task reads and one writes at a time.
package final class SocketStream: Sendable {
    /// The largest record of TLS (RFC 8446 §5.1).
    private static let recordMax = 16 * 1024
    private static let vectorsMax = 16

    let descriptor: Descriptor
    private let session: TLSSession?

    init(fd: CInt, loop: EventLoop, session: TLSSession?) throws(SystemError) {
        descriptor = try loop.watch(fd, .edge)
        self.session = session
        var one: CInt = 1
        setsockopt(fd, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
    }

    package var isTLS: Bool { session != nil }

    private enum Attempt: Sendable {
        case moved(Int)
        /// Wait for the direction that was tried.
        case again
        /// TLS: wait for the other one.
        case againOpposite
        case failed(StreamError)
    }

    func handshake(deadline: ContinuousClock.Instant) async throws(StreamError) {
        guard let session else { return }
        while true {
            switch descriptor.withOpenFD({ _ in session.handshake() }) {
            case .done: return
            case .wantsRead:
                descriptor.drainedReadable()
                try await waitReadable(deadline)
            case .wantsWrite:
                descriptor.drainedWritable()
                try await waitWritable(deadline)
            case .end, .lost, nil: throw .closed
            case .failed(let evidence): throw .failed(evidence: evidence)
            }
        }
    }

    // MARK: Reading

    /// Up to `capacity` bytes as soon as there are any; nil at the peer's end of the stream.
    package func read(capacity: Int, deadline: ContinuousClock.Instant?) async throws(StreamError) -> Bytes? {
        while true {
            // No buffer is taken, and no call made, for what is not there yet. A session may hold bytes that the socket has not.
            if session == nil, !descriptor.mayBeReadable { try await waitReadable(deadline) }
            var attempt = Attempt.again
            let bytes = Bytes(capacity: capacity) { buffer in
                attempt = readNow(into: buffer)
                if case .moved(let count) = attempt { return count }
                return 0
            }
            switch attempt {
            case .moved(let count):
                if count == 0 { return nil }
                // A short read in a large buffer would keep all of it alive.
                if count < capacity / 4 { return bytes.withUnsafeBytes { Bytes(copying: $0) } }
                return bytes
            case .again: try await waitReadable(deadline)
            case .againOpposite: try await waitWritable(deadline)
            case .failed(let error): throw error
            }
        }
    }

    private func readNow(into buffer: UnsafeMutableRawBufferPointer) -> Attempt {
        let attempt = descriptor.withOpenFD { fd in
            if let session { return SocketStream.decrypt(session, into: buffer) }
            return SocketStream.attempt("recv") { recv(fd, buffer.baseAddress, buffer.count, 0) }
        }
        switch attempt {
        case .moved(let count)? where session == nil && count > 0 && count < buffer.count: descriptor.readShort()
        case .again?: descriptor.drainedReadable()
        case .againOpposite?: descriptor.drainedWritable()
        default: break
        }
        return attempt ?? .failed(.closed)
    }

    /// A session hands out one record at a time: fills the buffer with as many as have come.
    private static func decrypt(_ session: TLSSession, into buffer: UnsafeMutableRawBufferPointer) -> Attempt {
        var filled = 0
        while true {
            let step = session.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
            if case .done(let count) = step {
                filled += count
                if buffer.count - filled >= recordMax { continue }
                return .moved(filled)
            }
            // An end or an error shows again at the next call.
            if filled > 0 { return .moved(filled) }
            switch step {
            case .done, .wantsRead: return .again
            case .wantsWrite: return .againOpposite
            case .end: return .moved(0)
            case .lost: return .failed(.closed)
            case .failed(let evidence): return .failed(.failed(evidence: evidence))
            }
        }
    }

    /// A socket call, and what its result means.
    private static func attempt(_ operation: String, _ call: () -> Int) -> Attempt {
        while true {
            let count = call()
            if count >= 0 { return .moved(count) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .again
            case ECONNRESET, EPIPE, ECONNABORTED, EHOSTUNREACH, ENETUNREACH, ENETDOWN: return .failed(.closed)
            case ETIMEDOUT: return .failed(.timedOut)
            default: return .failed(.failed(evidence: SystemError(operation).description))
            }
        }
    }

    // MARK: Writing

    /// Writes all of `runs`; `stall` bounds each wait for room, so a slow reader that makes progress is not cut.
    ///
    /// - Parameter onProgress: called when the kernel has taken bytes
    package func write(
        _ runs: [Bytes], stall: Duration, onProgress: () -> Void = {}
    ) async throws(StreamError) {
        var index = 0
        var offset = 0
        while true {
            while index < runs.count, offset >= runs[index].count {
                offset -= runs[index].count
                index += 1
            }
            guard index < runs.count else { return }
            switch writeNow(runs, index, offset) {
            case .moved(let count):
                offset += count
                onProgress()
            case .again: try await waitWritable(.now + stall)
            case .againOpposite: try await waitReadable(.now + stall)
            case .failed(let error): throw error
            }
        }
    }

    /// Tries to write from `offset` in `runs[index]` on.
    private func writeNow(_ runs: [Bytes], _ index: Int, _ offset: Int) -> Attempt {
        let attempt = descriptor.withOpenFD { fd in
            if let session { return SocketStream.encrypt(session, runs, index, offset) }
            return SocketStream.send(fd, runs, index, offset)
        }
        switch attempt {
        case .again?: descriptor.drainedWritable()
        case .againOpposite?: descriptor.drainedReadable()
        default: break
        }
        return attempt ?? .failed(.closed)
    }

    private static func encrypt(_ session: TLSSession, _ runs: [Bytes], _ index: Int, _ offset: Int) -> Attempt {
        var next = runs[index].dropFirst(offset)
        // A head and a small body make one record. A repeated attempt gives the same bytes again, as OpenSSL demands.
        if next.count < recordMax, index + 1 < runs.count { next = joined(next, runs[(index + 1)...]) }
        switch next.withUnsafeBytes({ session.write($0) }) {
        case .done(let count): return .moved(count)
        case .wantsWrite: return .again
        case .wantsRead: return .againOpposite
        case .end, .lost: return .failed(.closed)
        case .failed(let evidence): return .failed(.failed(evidence: evidence))
        }
    }

    /// The first record's worth of bytes.
    private static func joined(_ first: Bytes, _ rest: ArraySlice<Bytes>) -> Bytes {
        Bytes(capacity: recordMax) { target in
            var filled = 0
            for run in [first] + rest where filled < recordMax {
                let count = min(run.count, recordMax - filled)
                run.withUnsafeBytes { source in
                    UnsafeMutableRawBufferPointer(rebasing: target[filled...]).copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: source[..<count]))
                }
                filled += count
            }
            return filled
        }
    }

    private static func send(_ fd: CInt, _ runs: [Bytes], _ index: Int, _ offset: Int) -> Attempt {
        let count = min(runs.count - index, vectorsMax)
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: count) { vectors in
            // The runs outlive the call, and with them the memory that these point to.
            withExtendedLifetime(runs) {
                for place in 0..<count {
                    let run = place == 0 ? runs[index].dropFirst(offset) : runs[index + place]
                    run.withUnsafeBytes { bytes in
                        vectors.initializeElement(
                            at: place,
                            to: iovec(
                                iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count))
                    }
                }
                var message = msghdr()
                message.msg_iov = vectors.baseAddress
                message.msg_iovlen = count
                return attempt("sendmsg") { sendmsg(fd, &message, CInt(MSG_NOSIGNAL)) }
            }
        }
    }

    // MARK: Ending

    /// Whether an idle connection is still good: nothing to read, and not closed by the peer.
    var isQuiet: Bool {
        descriptor.withOpenFD { fd in
            var byte: UInt8 = 0
            return recv(fd, &byte, 1, CInt(MSG_PEEK | MSG_DONTWAIT)) < 0 && errno == EAGAIN
        } ?? false
    }

    /// Ends our side in order; what the peer still sends is not read.
    package func close() {
        if let session { _ = descriptor.withOpenFD { _ in session.close() } }
        descriptor.close()
    }

    /// Tells the peer that nothing more comes, and throws away what it still sends until it ends too: a close with unread
    /// input would be a reset, which can overtake our last bytes.
    func closeLingering(bytesMax: Int, within limit: Duration) async {
        _ = descriptor.withOpenFD { fd in
            session?.close()
            return shutdown(fd, CInt(SHUT_WR))
        }
        let deadline = ContinuousClock.now + limit
        var left = bytesMax
        while left > 0, .now < deadline {
            // With MSG_TRUNC, TCP drops the bytes without copying them (tcp(7)). Ciphertext is as good as any.
            let wanted = min(left, 1 << 20)
            let attempt = descriptor.withOpenFD { fd in
                SocketStream.attempt("recv") { recv(fd, nil, wanted, CInt(MSG_TRUNC | MSG_DONTWAIT)) }
            }
            switch attempt {
            case .moved(let count)? where count > 0: left -= count
            case .again?:
                descriptor.drainedReadable()
                do throws(StreamError) { try await waitReadable(deadline) } catch { return close() }
            default: return close()
            }
        }
        close()
    }

    /// Ends with a reset, so that what was sent cannot look complete.
    package func reset() {
        _ = descriptor.withOpenFD { fd in
            var hard = linger(l_onoff: 1, l_linger: 0)
            return setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, socklen_t(MemoryLayout<linger>.size))
        }
        descriptor.close()
    }

    private func waitReadable(_ deadline: ContinuousClock.Instant?) async throws(StreamError) {
        do throws(WaitError) { try await descriptor.readable(deadline: deadline) } catch { throw StreamError(error) }
    }

    private func waitWritable(_ deadline: ContinuousClock.Instant?) async throws(StreamError) {
        do throws(WaitError) { try await descriptor.writable(deadline: deadline) } catch { throw StreamError(error) }
    }
}

extension StreamError {
    init(_ error: WaitError) {
        self =
            switch error {
            case .timedOut: .timedOut
            case .cancelled: .cancelled
            case .closed: .closed
            }
    }
}
