import COpenSSL

/// HMAC-SHA-256 (RFC 2104) through EVP_MAC.
package enum HMACSHA256 {
    package static let byteCount = 32

    /// A key that is set up once and used for any number of messages: saves the two key blocks for each.
    ///
    /// `@unchecked Sendable`: the context is written only in `init`; each use works on a copy of it (EVP_MAC_CTX_dup).
    package final class Key: @unchecked Sendable {
        private let keyed: OpaquePointer

        package init(_ key: [UInt8]) {
            guard let context = EVP_MAC_CTX_new(Method.shared.hmac) else { preconditionFailure("out of memory") }
            keyed = context
            var name = Array("SHA256".utf8CString)
            // OpenSSL takes a null pointer for "no key given", and an empty array may have one.
            let padded = key.isEmpty ? [0] : key
            // A parameter holds pointers to its name and value: both must live until the call that reads it has returned.
            let code = OSSL_MAC_PARAM_DIGEST.withCString { parameter in
                name.withUnsafeMutableBufferPointer { name in
                    let parameters = [
                        OSSL_PARAM_construct_utf8_string(parameter, name.baseAddress, 0), OSSL_PARAM_construct_end(),
                    ]
                    return EVP_MAC_init(context, padded, key.count, parameters)
                }
            }
            precondition(code == 1, "EVP_MAC_init: \(code)")
        }

        deinit { EVP_MAC_CTX_free(keyed) }

        package func authenticate(_ message: UnsafeRawBufferPointer) -> [UInt8] {
            guard let context = EVP_MAC_CTX_dup(keyed) else { preconditionFailure("out of memory") }
            defer { EVP_MAC_CTX_free(context) }
            let updated = EVP_MAC_update(context, message.baseAddress, message.count)
            precondition(updated == 1, "EVP_MAC_update: \(updated)")
            return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
                let code = EVP_MAC_final(context, buffer.baseAddress, &count, buffer.count)
                precondition(code == 1 && count == byteCount, "EVP_MAC_final: \(code), \(count) bytes")
            }
        }

        package func authenticate(_ message: [UInt8]) -> [UInt8] { message.withUnsafeBytes { authenticate($0) } }

        package func authenticate(_ message: String) -> [UInt8] {
            var message = message
            return message.withUTF8 { authenticate(UnsafeRawBufferPointer($0)) }
        }
    }

    /// Fetched once, as with digests.
    ///
    /// `@unchecked Sendable`: an EVP_MAC is reference-counted and immutable after its fetch.
    private struct Method: @unchecked Sendable {
        let hmac: OpaquePointer

        static let shared = Method()

        init() {
            guard let method = EVP_MAC_fetch(nil, "HMAC", nil) else {
                preconditionFailure("OpenSSL's default provider has no HMAC")
            }
            hmac = method
        }
    }

    package static func authenticate(_ message: String, key: [UInt8]) -> [UInt8] { Key(key).authenticate(message) }

    package static func authenticate(_ message: [UInt8], key: [UInt8]) -> [UInt8] { Key(key).authenticate(message) }
}
