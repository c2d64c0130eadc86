import COpenSSL

/// A running digest (EVP_DigestInit_ex2, EVP_DigestUpdate, EVP_DigestFinal_ex). One task at a time.
package final class Digest {
    package enum Algorithm: String, Sendable, CaseIterable {
        case md5, sha1, sha256
        package var byteCount: Int {
            switch self {
            case .md5: 16
            case .sha1: 20
            case .sha256: 32
            }
        }
    }

    /// Fetched once: an implicit fetch costs more than hashing a short message.
    ///
    /// `@unchecked Sendable`: an EVP_MD is reference-counted and immutable after its fetch.
    private struct Methods: @unchecked Sendable {
        let md5: OpaquePointer
        let sha1: OpaquePointer
        let sha256: OpaquePointer

        static let shared = Methods()

        init() {
            func fetch(_ name: String) -> OpaquePointer {
                guard let method = EVP_MD_fetch(nil, name, nil) else {
                    preconditionFailure("OpenSSL's default provider has no \(name)")
                }
                return method
            }
            md5 = fetch("MD5")
            sha1 = fetch("SHA1")
            sha256 = fetch("SHA256")
        }

        subscript(algorithm: Algorithm) -> OpaquePointer {
            switch algorithm {
            case .md5: md5
            case .sha1: sha1
            case .sha256: sha256
            }
        }
    }

    package let algorithm: Algorithm
    private let context: OpaquePointer

    package init(_ algorithm: Algorithm) {
        self.algorithm = algorithm
        guard let context = EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
        self.context = context
        let code = EVP_DigestInit_ex2(context, Methods.shared[algorithm], nil)
        precondition(code == 1, "EVP_DigestInit_ex2: \(code)")
    }

    /// What was hashed so far goes on in another one too (EVP_MD_CTX_copy_ex).
    private init(copying other: Digest) {
        algorithm = other.algorithm
        guard let context = EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
        self.context = context
        let code = EVP_MD_CTX_copy_ex(context, other.context)
        precondition(code == 1, "EVP_MD_CTX_copy_ex: \(code)")
    }

    /// A second one that has seen the same bytes.
    package func copy() -> Digest { Digest(copying: self) }

    deinit { EVP_MD_CTX_free(context) }

    package func update(_ bytes: UnsafeRawBufferPointer) {
        let code = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
        precondition(code == 1, "EVP_DigestUpdate: \(code)")
    }

    package func update(_ text: String) {
        var text = text
        text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
    }

    package func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// Ends the digest; not to be used afterwards.
    package func finalize() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: algorithm.byteCount) { buffer, count in
            var length: UInt32 = 0
            let code = EVP_DigestFinal_ex(context, buffer.baseAddress, &length)
            precondition(code == 1, "EVP_DigestFinal_ex: \(code)")
            count = Int(length)
        }
    }

    package static func hash(_ algorithm: Algorithm, _ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        let digest = Digest(algorithm)
        digest.update(bytes)
        return digest.finalize()
    }

    package static func hash(_ algorithm: Algorithm, _ bytes: [UInt8]) -> [UInt8] {
        bytes.withUnsafeBytes { hash(algorithm, $0) }
    }

    package static func hash(_ algorithm: Algorithm, _ text: String) -> [UInt8] {
        let digest = Digest(algorithm)
        digest.update(text)
        return digest.finalize()
    }
}

/// Compares without telling by its duration where the difference is (CRYPTO_memcmp).
package func constantTimeEquals(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
}

/// Bytes from OpenSSL's random generator (RAND_bytes), seeded by the system.
package enum SystemRandom {
    package static func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let code = RAND_bytes(buffer.baseAddress, CInt(count))
            precondition(code == 1, "RAND_bytes: no entropy")
            initialized = count
        }
    }

    package static func word() -> UInt64 { bytes(8).reduce(0) { $0 << 8 | UInt64($1) } }
}
