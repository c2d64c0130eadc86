import Catalog
import HTTP
import S3

/// The checksum that a multipart upload was created with.
enum UploadChecksum {
    /// x-amz-checksum-algorithm and -type at Create. CRC64NVME is always of the full object, SHA never (AWS's table).
    static func declared(_ fields: Fields) throws(OperationFailure) -> (ChecksumAlgorithm?, String?) {
        let type = fields["x-amz-checksum-type"]?.uppercased()
        guard let name = fields["x-amz-checksum-algorithm"] else {
            guard type == nil else {
                throw .refused(
                    .invalidRequest, "The x-amz-checksum-type header can only be used with x-amz-checksum-algorithm.")
            }
            return (nil, nil)
        }
        guard let algorithm = ChecksumAlgorithm(rawValue: name.lowercased()) else {
            throw .refused(
                .invalidRequest,
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
                    + "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
        }
        let allowed =
            switch algorithm {
            case .crc64nvme: ["FULL_OBJECT"]
            case .crc32, .crc32c: ["COMPOSITE", "FULL_OBJECT"]
            case .sha1, .sha256: ["COMPOSITE"]
            }
        let chosen = type ?? allowed[0]
        guard allowed.contains(chosen) else {
            throw .refused(
                .invalidRequest, "The \(chosen) checksum type cannot be used with the \(name) checksum algorithm.")
        }
        return (algorithm, chosen)
    }

    /// What is computed for each part although its request may not promise it.
    static func algorithms(_ upload: Upload) -> [ChecksumAlgorithm] {
        upload.checksumAlgorithm.flatMap(ChecksumAlgorithm.init(rawValue:)).map { [$0] } ?? []
    }

    /// A full-object checksum that Complete names must be the parts' own.
    static func check(_ fields: Fields, _ upload: Upload, _ parts: [UploadPart]) throws(OperationFailure) {
        let digests = MultipartDigests.digests(upload, parts)
        for (algorithm, value) in digests.checksums {
            guard let promised = fields["x-amz-checksum-\(algorithm)"], promised != value else { continue }
            throw .refused(
                .badDigest, "The \(algorithm.uppercased()) you specified did not match the calculated checksum.")
        }
    }
}
