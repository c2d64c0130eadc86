import Catalog
import HTTP
import S3

extension GatewayOperations {
    func listParts(
        _ target: ObjectTarget, _ request: AuthenticatedRequest, _ text: String
    ) async throws(OperationFailure) -> Response {
        guard let upload = try await findUpload(target, text), upload.state == .open || upload.state == .completing
        else {
            throw .transfer(.noSuchUpload)
        }
        let limit = try ListingRequest.count(request.query, "max-parts", default: GatewayLimits.listingKeysMax)
        let after = try ListingRequest.number(request.query, "part-number-marker")
        let encodes = try ListingRequest.encoding(request.query)
        // One more than is shown tells whether the list is cut.
        let parts = try await catalogCall { () async throws(CatalogError) in
            try await services.uploads.parts(upload.id, after: after, limit: limit + 1)
        }
        let shown = parts.prefix(limit)
        var writer = XMLWriter()
        writer.element("ListPartsResult", namespaced: true) { writer in
            writer.text("Bucket", target.bucket.name)
            writer.text("Key", encodes ? PercentCoding.encode(target.key, keepingSlash: true) : target.key)
            writer.text("UploadId", upload.id.description)
            Owner.write(&writer, as: "Initiator")
            Owner.write(&writer)
            writer.text("StorageClass", "STANDARD")
            writer.text("PartNumberMarker", Int64(after))
            if let last = shown.last, parts.count > limit { writer.text("NextPartNumberMarker", Int64(last.number)) }
            writer.text("MaxParts", Int64(limit))
            writer.text("IsTruncated", parts.count > limit && limit > 0)
            if let algorithm = upload.checksumAlgorithm { writer.text("ChecksumAlgorithm", algorithm.uppercased()) }
            if let type = upload.checksumType { writer.text("ChecksumType", type) }
            for part in shown { GatewayOperations.write(part, &writer) }
        }
        return .document(writer.document)
    }

    private static func write(_ part: UploadPart, _ writer: inout XMLWriter) {
        writer.element("Part") { writer in
            writer.text("PartNumber", Int64(part.number))
            writer.text("LastModified", WallTime(seconds: WallTime(microseconds: part.modifiedAt).seconds).rfc3339)
            writer.text("ETag", ETag.quoted(part.etag))
            writer.text("Size", part.size)
            for algorithm in ChecksumAlgorithm.allCases {
                if let value = part.checksums[algorithm.rawValue] { writer.text(algorithm.elementName, value) }
            }
        }
    }

    /// Open uploads by key and id, grouped by a delimiter if there is one.
    func listUploads(_ name: String, _ request: AuthenticatedRequest) async throws(OperationFailure) -> Response {
        let query = request.query
        let prefix = query["prefix"] ?? ""
        let bucket = try request.bucket(name, .inspect, covering: prefix)
        let delimiter = query["delimiter"].flatMap { $0.isEmpty ? nil : $0 }
        let limit = try ListingRequest.count(query, "max-uploads", default: GatewayLimits.listingKeysMax)
        let encodes = try ListingRequest.encoding(query)
        let keyMarker = query["key-marker"].flatMap { $0.isEmpty ? nil : $0 }
        try ListingRequest.refuseNUL([prefix, delimiter, keyMarker])
        // Without a key marker, the upload id marker is ignored (AWS, ListMultipartUploads).
        let idMarker =
            keyMarker == nil ? nil : query["upload-id-marker"].flatMap { ID128(base32: $0) }.map(UploadID.init)
        var groups = UploadGroups(prefix: prefix, delimiter: delimiter, after: keyMarker, afterID: idMarker)
        while groups.items.count <= limit, !groups.isAtEnd {
            let question = UploadQuery(
                bucket: bucket.id, prefix: prefix, afterKey: groups.afterKey, afterID: groups.afterID, limit: limit + 1)
            let found = try await catalogCall { () async throws(CatalogError) in
                try await services.uploads.list(question)
            }
            groups.add(found, isLast: found.count <= limit)
        }
        let shown = groups.items.prefix(limit)
        let isTruncated = groups.items.count > limit && limit > 0
        func coded(_ text: String) -> String { encodes ? PercentCoding.encode(text, keepingSlash: true) : text }
        var writer = XMLWriter()
        writer.element("ListMultipartUploadsResult", namespaced: true) { writer in
            writer.text("Bucket", name)
            writer.text("KeyMarker", coded(keyMarker ?? ""))
            writer.text("UploadIdMarker", idMarker?.description ?? "")
            if let last = shown.last, isTruncated {
                switch last {
                case .upload(let upload):
                    writer.text("NextKeyMarker", coded(upload.object.key))
                    writer.text("NextUploadIdMarker", upload.id.description)
                case .group(let common): writer.text("NextKeyMarker", coded(common))
                }
            }
            writer.text("Prefix", coded(prefix))
            if let delimiter { writer.text("Delimiter", coded(delimiter)) }
            if encodes { writer.text("EncodingType", "url") }
            writer.text("MaxUploads", Int64(limit))
            writer.text("IsTruncated", isTruncated)
            for item in shown {
                guard case .upload(let upload) = item else { continue }
                writer.element("Upload") { writer in
                    writer.text("Key", coded(upload.object.key))
                    writer.text("UploadId", upload.id.description)
                    Owner.write(&writer, as: "Initiator")
                    Owner.write(&writer)
                    writer.text("StorageClass", "STANDARD")
                    writer.text("Initiated", WallTime(microseconds: upload.createdAt).rfc3339)
                }
            }
            for item in shown {
                guard case .group(let common) = item else { continue }
                writer.element("CommonPrefixes") { $0.text("Prefix", coded(common)) }
            }
        }
        return .document(writer.document)
    }
}

/// A listing of uploads as it grows: what has the delimiter behind the prefix counts once, and is skipped as a whole.
struct UploadGroups {
    enum Item {
        case upload(Upload)
        case group(String)
    }
    private(set) var items: [Item] = []
    private(set) var afterKey: String?
    private(set) var afterID: UploadID?
    private(set) var isAtEnd = false
    private let prefix: String
    private let delimiter: [UInt8]?
    /// Behind all but the oddest keys of a group; those that are behind it are taken for the same group again.
    private static let last = "\u{10FFFF}"

    init(prefix: String, delimiter: String?, after key: String?, afterID id: UploadID?) {
        self.prefix = prefix
        self.delimiter = delimiter.map { Array($0.utf8) }
        (afterKey, afterID) = (key, id)
        // A marker that is a group itself, as the page before may have given it, stands for all of the group.
        if let key, let common = group(of: key), common.utf8.elementsEqual(key.utf8) { skip(common, key) }
    }

    /// - Parameter isLast: whether there are no more behind these
    mutating func add(_ uploads: [Upload], isLast: Bool) {
        for upload in uploads {
            let key = upload.object.key
            guard let common = group(of: key) else {
                items.append(.upload(upload))
                (afterKey, afterID) = (key, upload.id)
                continue
            }
            if !endsWith(common) { items.append(.group(common)) }
            skip(common, key)
        }
        isAtEnd = isLast
    }

    private func endsWith(_ common: String) -> Bool {
        guard case .group(let last) = items.last else { return false }
        return last.utf8.elementsEqual(common.utf8)
    }

    private mutating func skip(_ common: String, _ key: String) {
        let end = common + UploadGroups.last
        afterKey = key.utf8.lexicographicallyPrecedes(end.utf8) ? end : key
        afterID = nil
    }

    /// By bytes: Swift's own search takes different spellings of a letter for the same.
    private func group(of key: String) -> String? {
        guard let delimiter, key.utf8.starts(with: prefix.utf8) else { return nil }
        let bytes = Array(key.utf8)
        let start = prefix.utf8.count
        guard let found = bytes[start...].firstRange(of: delimiter) else { return nil }
        return String(decoding: bytes[..<found.upperBound], as: UTF8.self)
    }
}

extension ListingRequest {
    /// A number that is 0 where it is absent.
    static func number(_ query: Query, _ name: String) throws(OperationFailure) -> Int {
        guard let text = query[name], !text.isEmpty else { return 0 }
        guard let value = Int(text), (0...Int(Int32.max)).contains(value) else {
            throw .refused(
                .invalidArgument, "Provided \(name) not an integer or within integer range", ["ArgumentName": name])
        }
        return value
    }
}
