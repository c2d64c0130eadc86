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
    let descriptor: Descriptor
    private let session: TLSSession?

    init(fd: CInt, loop: EventLoop, session: TLSSession?) throws(SystemError) {
        descriptor = try loop.watch(fd, .edge)
        self.session = session
        var one: CInt = 1
        setsockopt(fd, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
    }

    package var isTLS: Bool { session != nil }

    func handshake(deadline: ContinuousClock.Instant) async throws(StreamError) {
        guard let session else { return }
        while true {
            switch session.handshake() {
            case .done: return
            case .wantsRead: try await waitReadable(deadline)
            case .wantsWrite: try await waitWritable(deadline)
            case .end: throw .closed
            case .failed(let evidence): throw .failed(evidence: evidence)
            }
        }
    }

    /// Up to `capacity` bytes as soon as there are any; nil at the peer's end of the stream.
    package func read(capacity: Int, deadline: ContinuousClock.Instant?) async throws(StreamError) -> Bytes? {
        while true {
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
            case .wantsWrite: try await waitWritable(deadline)
            case .failed(let error): throw error
            }
        }
    }

    private enum Attempt {
        case moved(Int)
        case again
        case wantsWrite
        case failed(StreamError)
    }

    private func readNow(into buffer: UnsafeMutableRawBufferPointer) -> Attempt {
        if let session {
            switch session.read(into: buffer) {
            case .done(let count): return .moved(count)
            case .wantsRead:
                descriptor.drainedReadable()
                return .again
            case .wantsWrite:
                descriptor.drainedWritable()
                return .wantsWrite
            case .end: return .moved(0)
            case .failed(let evidence): return .failed(.failed(evidence: evidence))
            }
        }
        while true {
            let got = recv(descriptor.fd, buffer.baseAddress, buffer.count, 0)
            if got >= 0 { return .moved(got) }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                descriptor.drainedReadable()
                return .again
            case ECONNRESET, EPIPE, EBADF: return .failed(.closed)
            default: return .failed(.failed(evidence: SystemError("recv").description))
            }
        }
    }

    /// Writes all of `runs`; `stall` bounds each wait for room, so a slow reader that makes progress is not cut.
    package func write(_ runs: [Bytes], stall: Duration) async throws(StreamError) {
        var runs = runs.filter { !$0.isEmpty }[...]
        while !runs.isEmpty {
            switch writeNow(runs) {
            case .moved(var count):
                while let first = runs.first, count > 0 {
                    let taken = min(count, first.count)
                    count -= taken
                    runs = runs.dropFirst()
                    if taken < first.count { runs = [first.dropFirst(taken)] + runs }
                }
            case .again: try await waitWritable(.now + stall)
            case .wantsWrite: try await waitReadable(.now + stall)
            case .failed(let error): throw error
            }
        }
    }

    private func writeNow(_ runs: ArraySlice<Bytes>) -> Attempt {
        guard let session else { return sendNow(runs) }
        guard let first = runs.first else { return .moved(0) }
        switch first.withUnsafeBytes({ session.write($0) }) {
        case .done(let count): return .moved(count)
        case .wantsWrite:
            descriptor.drainedWritable()
            return .again
        case .wantsRead:
            descriptor.drainedReadable()
            return .wantsWrite
        case .end: return .failed(.closed)
        case .failed(let evidence): return .failed(.failed(evidence: evidence))
        }
    }

    private func sendNow(_ runs: ArraySlice<Bytes>) -> Attempt {
        var vectors: [iovec] = []
        vectors.reserveCapacity(min(runs.count, 16))
        for run in runs.prefix(16) {
            // The runs outlive the call, and with them the memory that these point to.
            run.withUnsafeBytes { bytes in
                vectors.append(iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count))
            }
        }
        return withExtendedLifetime(runs) {
            vectors.withUnsafeMutableBufferPointer { vectors in
                var message = msghdr()
                message.msg_iov = vectors.baseAddress
                message.msg_iovlen = vectors.count
                while true {
                    let put = sendmsg(descriptor.fd, &message, CInt(MSG_NOSIGNAL))
                    if put >= 0 { return .moved(put) }
                    switch errno {
                    case EINTR: continue
                    case EAGAIN:
                        descriptor.drainedWritable()
                        return .again
                    case ECONNRESET, EPIPE, EBADF: return .failed(.closed)
                    default: return .failed(.failed(evidence: SystemError("sendmsg").description))
                    }
                }
            }
        }
    }

    /// Whether an idle connection is still good: nothing to read, and not closed by the peer.
    var isQuiet: Bool {
        var byte: UInt8 = 0
        return recv(descriptor.fd, &byte, 1, CInt(MSG_PEEK | MSG_DONTWAIT)) < 0 && errno == EAGAIN
    }

    /// Ends our side in order; what the peer still sends is not read.
    package func close() {
        session?.close()
        descriptor.close()
    }

    /// Tells the peer that nothing more comes, and leaves the other direction open.
    func finishWriting() {
        session?.close()
        shutdown(descriptor.fd, CInt(SHUT_WR))
    }

    /// Ends with a reset, so that what was sent cannot look complete.
    package func reset() {
        var hard = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor.fd, SOL_SOCKET, SO_LINGER, &hard, socklen_t(MemoryLayout<linger>.size))
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
