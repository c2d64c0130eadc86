import Crypto

/// The additional checksums of S3 (AWS, "Checking object integrity").
package enum ChecksumAlgorithm: String, Sendable, CaseIterable {
    case crc32, crc32c, crc64nvme, sha1, sha256

    package var headerName: String { "x-amz-checksum-\(rawValue)" }
    package var elementName: String { "Checksum\(rawValue.uppercased())" }
    package var byteCount: Int {
        switch self {
        case .crc32, .crc32c: 4
        case .crc64nvme: 8
        case .sha1: 20
        case .sha256: 32
        }
    }
}

/// A running checksum. One task at a time.
package struct Checksum {
    private enum State {
        case crc(CRC)
        case digest(Digest)
    }
    private var state: State

    package init(_ algorithm: ChecksumAlgorithm) {
        switch algorithm {
        case .crc32: state = .crc(CRC(.crc32))
        case .crc32c: state = .crc(CRC(.crc32c))
        case .crc64nvme: state = .crc(CRC(.crc64nvme))
        case .sha1: state = .digest(Digest(.sha1))
        case .sha256: state = .digest(Digest(.sha256))
        }
    }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        switch state {
        case .crc(var crc):
            crc.update(bytes)
            state = .crc(crc)
        case .digest(let digest): digest.update(bytes)
        }
    }

    /// In base64. To be asked once.
    package func finalize() -> String {
        switch state {
        case .crc(let crc): Base64.encode(crc.bytes)
        case .digest(let digest): Base64.encode(digest.finalize())
        }
    }
}
