import COpenSSL

/// Why TLS could not be set up or went wrong.
package enum TLSError: Error, Sendable, Equatable {
    /// A certificate, key or trust file was refused; the evidence is OpenSSL's.
    case configuration(file: String, evidence: String)
    case handshake(evidence: String)
    case transport(evidence: String)
}

/// Certificates, keys and trust for sessions. OpenSSL's own counting keeps it alive while sessions use it.
///
/// `@unchecked Sendable`: an SSL_CTX is configured in `init` only, and is safe for concurrent use afterwards
/// (OpenSSL, "openssl-threads").
package final class TLSContext: @unchecked Sendable {
    let context: OpaquePointer
    let isServer: Bool

    /// A server's side: a PEM chain and its key.
    package init(certificateFile: String, keyFile: String) throws(TLSError) {
        context = try TLSContext.make(TLS_server_method())
        isServer = true
        OpenSSLErrors.clear()
        guard SSL_CTX_use_certificate_chain_file(context, certificateFile) == 1 else {
            throw .configuration(file: certificateFile, evidence: OpenSSLErrors.drain())
        }
        guard SSL_CTX_use_PrivateKey_file(context, keyFile, SSL_FILETYPE_PEM) == 1,
            SSL_CTX_check_private_key(context) == 1
        else {
            throw .configuration(file: keyFile, evidence: OpenSSLErrors.drain())
        }
    }

    /// A client's side, which verifies the peer's chain and name.
    ///
    /// - Parameter trustFile: PEM roots; nil for the system's
    package init(trustFile: String?) throws(TLSError) {
        context = try TLSContext.make(TLS_client_method())
        isServer = false
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        if let trustFile {
            guard SSL_CTX_load_verify_locations(context, trustFile, nil) == 1 else {
                throw .configuration(file: trustFile, evidence: OpenSSLErrors.drain())
            }
        } else {
            guard SSL_CTX_set_default_verify_paths(context) == 1 else {
                throw .configuration(file: "the system's trust store", evidence: OpenSSLErrors.drain())
            }
        }
    }

    deinit { SSL_CTX_free(context) }

    private static func make(_ method: OpaquePointer?) throws(TLSError) -> OpaquePointer {
        OpenSSLErrors.clear()
        guard let context = SSL_CTX_new(method) else {
            throw .configuration(file: "", evidence: OpenSSLErrors.drain())
        }
        // SSL_OP_NO_RENEGOTIATION, whose macro Swift does not see: a peer may not make a write wait for a read.
        SSL_CTX_set_options(context, 1 << 30)
        // SSL_CTX_set_min_proto_version, SSL_CTX_set_session_cache_mode and SSL_CTX_set_mode are macros over these calls.
        SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF), nil)
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
        SSL_CTX_ctrl(
            context, SSL_CTRL_MODE,
            Int(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS), nil)
        return context
    }
}

/// OpenSSL's queue of errors of this thread.
enum OpenSSLErrors {
    static func clear() { ERR_clear_error() }

    /// Empties the queue and returns its texts.
    static func drain() -> String {
        var texts: [String] = []
        var buffer = [CChar](repeating: 0, count: 256)
        while texts.count < 16 {
            let code = ERR_get_error()
            if code == 0 { break }
            ERR_error_string_n(code, &buffer, buffer.count)
            texts.append(String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        return texts.isEmpty ? "no detail from OpenSSL" : texts.joined(separator: "; ")
    }
}
