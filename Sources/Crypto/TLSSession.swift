import COpenSSL
import Synchronization

/// What a call on a non-blocking session asks for.
package enum TLSStep: Sendable, Equatable {
    case done(Int)
    case wantsRead
    case wantsWrite
    /// The peer closed the session in order.
    case end
    /// The connection below ended without the session's end: a reset, or a peer that does not say goodbye.
    case lost
    case failed(String)
}

/// One TLS session over a non-blocking socket. Each call is made under a lock, since a read and a write may come from two
/// tasks and an SSL object allows one call at a time.
package final class TLSSession: Sendable {
    private struct Handle: @unchecked Sendable {
        // Only used inside the lock below; freed in `deinit`, when no other reference is left.
        let ssl: OpaquePointer
    }
    private let handle: Mutex<Handle>

    /// - Parameters:
    ///   - fd: must stay open while the session is used
    ///   - hostname: a client's peer, name or address, for SNI and verification; a client cannot do without
    package init(_ context: TLSContext, fd: Int32, hostname: String?) throws(TLSError) {
        OpenSSLErrors.clear()
        guard let ssl = SSL_new(context.context) else { throw .transport(evidence: OpenSSLErrors.drain()) }
        guard SSL_set_fd(ssl, fd) == 1, context.isServer || TLSSession.expect(hostname, ssl) else {
            SSL_free(ssl)
            throw .transport(evidence: OpenSSLErrors.drain())
        }
        if context.isServer { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
        OpenSSLErrors.clear()
        handle = Mutex(Handle(ssl: ssl))
    }

    /// Makes the handshake fail unless the certificate is for `hostname`; false if that cannot be arranged.
    private static func expect(_ hostname: String?, _ ssl: OpaquePointer) -> Bool {
        guard let hostname else { return false }
        let parameters = SSL_get0_param(ssl)
        // An address is compared with the certificate's addresses, and is no name for SNI (RFC 6066 §3).
        if X509_VERIFY_PARAM_set1_ip_asc(parameters, hostname) == 1 { return true }
        X509_VERIFY_PARAM_set_hostflags(parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        let named = hostname.withCString { name in
            // SSL_set_tlsext_host_name is a macro over this call.
            SSL_ctrl(
                ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name),
                UnsafeMutableRawPointer(mutating: name))
        }
        return named == 1 && SSL_set1_host(ssl, hostname) == 1
    }

    deinit { handle.withLock { SSL_free($0.ssl) } }

    package func handshake() -> TLSStep { call { ssl in (SSL_do_handshake(ssl), 0) } }

    package func read(into buffer: UnsafeMutableRawBufferPointer) -> TLSStep {
        let (base, count) = (UInt(bitPattern: buffer.baseAddress), buffer.count)
        return call { ssl in
            var got = 0
            let code = SSL_read_ex(ssl, UnsafeMutableRawPointer(bitPattern: base), count, &got)
            return (code, got)
        }
    }

    package func write(_ buffer: UnsafeRawBufferPointer) -> TLSStep {
        let (base, count) = (UInt(bitPattern: buffer.baseAddress), buffer.count)
        return call { ssl in
            var put = 0
            let code = SSL_write_ex(ssl, UnsafeRawPointer(bitPattern: base), count, &put)
            return (code, put)
        }
    }

    /// Tells the peer that nothing more comes; does not wait for its answer.
    package func close() { _ = call { ssl in (SSL_shutdown(ssl), 0) } }

    private func call(_ body: (OpaquePointer) -> (CInt, Int)) -> TLSStep {
        handle.withLock { handle in
            OpenSSLErrors.clear()
            let (code, count) = body(handle.ssl)
            if code == 1 { return .done(count) }
            switch SSL_get_error(handle.ssl, code) {
            case SSL_ERROR_WANT_READ: return .wantsRead
            case SSL_ERROR_WANT_WRITE: return .wantsWrite
            case SSL_ERROR_ZERO_RETURN: return .end
            case SSL_ERROR_SYSCALL:
                OpenSSLErrors.clear()
                return .lost
            case SSL_ERROR_SSL where ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING:
                OpenSSLErrors.clear()
                return .lost
            default:
                let verification = SSL_get_verify_result(handle.ssl)
                let detail = OpenSSLErrors.drain()
                if verification != Int(X509_V_OK), let text = X509_verify_cert_error_string(verification) {
                    return .failed("certificate: \(String(cString: text)); \(detail)")
                }
                return .failed(detail)
            }
        }
    }
}
