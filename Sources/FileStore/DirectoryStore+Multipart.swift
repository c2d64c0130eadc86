import Crypto
import EventLoop
import Glibc
package import HTTP
package import S3

/// Parts are files of an `UploadFolder`. Complete joins them inside the kernel and publishes the result as `put` does, so it can be
/// repeated until it answered; afterwards the upload is gone.
extension DirectoryStore {
    private static let listedUploadsMax = 1000

    package func createUpload(_ key: String, metadata: StoredMetadata) async throws(StoreError) -> String {
        _ = try ObjectPath(key)
        let id = Hex.encode(SystemRandom.bytes(16))
        let name = try UploadFolder.name(id)
        try await pool.disk(.writing, path) { [self] () throws(StoreError) in
            let root = try openForWriting()
            guard let folder = try root.scratch.makeChild(name) else { throw StoreRoot.absent(path) }
            try UploadFolder.write(folder, UploadFolder.metadataFile, try Sidecar.encode(metadata))
            try UploadFolder.write(folder, UploadFolder.keyFile, Array(key.utf8))
            try folder.sync()
            try root.scratch.sync()
        }
        return id
    }

    /// A part's ETag names its file, so that a part that is sent again does not disturb the one before it.
    package func putPart(
        _ key: String, uploadID: String, number: Int, length: Int64, body: any BodyReader
    ) async throws(StoreError) -> StoredPart {
        let name = UploadFolder.partName(number, Hex.encode(SystemRandom.bytes(8)))
        let draft = Draft()
        do throws(StoreError) {
            try await pool.disk(.writing, path) { [self] () throws(StoreError) in
                let root = try openForWriting()
                _ = try UploadFolder.open(uploadID, key: key, root)
                try draft.begin(root)
            }
            try await append(body, length, to: draft)
            try await pool.disk(.flushing, path) { [path] () throws(StoreError) in
                let folder = try UploadFolder.open(uploadID, key: key, try StoreRoot.open(path))
                do throws(StoreError) {
                    try draft.publishPart(folder, name)
                } catch {
                    throw error.code == .noSuchKey ? UploadFolder.noSuchUpload(uploadID) : error
                }
            }
        } catch {
            await discard(draft, after: error)
            throw error
        }
        return StoredPart(number: number, etag: name, size: length)
    }

    package func completeUpload(_ key: String, uploadID: String, parts: [StoredPart]) async throws(StoreError)
        -> StoredObject
    {
        let path = try ObjectPath(key)
        try DirectoryStore.check(parts)
        let draft = Draft()
        do throws(StoreError) {
            let metadata = try await pool.disk(.writing, self.path) { [self] () throws(StoreError) in
                let root = try openForWriting()
                let folder = try UploadFolder.open(uploadID, key: key, root)
                guard let bytes = try UploadFolder.read(folder, UploadFolder.metadataFile, limit: Sidecar.bytesMax)
                else {
                    throw UploadFolder.noSuchUpload(uploadID)
                }
                try draft.begin(root)
                return try Sidecar.decode(bytes, folder.path)
            }
            // A job for each part, so that a large object does not hold a thread of the pool all along.
            for part in parts {
                guard !Task.isCancelled else {
                    throw StoreError(.cancelled, mayArriveLate: false, evidence: "complete \(uploadID)")
                }
                try await pool.disk(.flushing, self.path) { [root = self.path] () throws(StoreError) in
                    try DirectoryStore.append(part, to: draft, uploadID, key, try StoreRoot.open(root))
                }
            }
            try await pool.disk(.flushing, self.path) { [root = self.path, durable] () throws(StoreError) in
                try draft.publish(path, metadata, ifAbsent: false, durable)
                try UploadFolder.remove(uploadID, try StoreRoot.open(root))
            }
            let size = parts.reduce(0) { $0 + $1.size }
            return StoredObject(size: size, etag: OpenFile.etag(size), metadata: metadata)
        } catch {
            await discard(draft, after: error)
            throw error
        }
    }

    private static func check(_ parts: [StoredPart]) throws(StoreError) {
        for (before, part) in zip(parts, parts.dropFirst()) where before.number >= part.number {
            throw StoreError(
                .rejected, mayArriveLate: false, evidence: "part \(part.number) after part \(before.number)")
        }
        for part in parts where !UploadFolder.isPartName(part.etag, part.number) {
            throw StoreError(.rejected, mayArriveLate: false, evidence: "part \(part.number) is not of this upload")
        }
        if parts.isEmpty { throw StoreError(.rejected, mayArriveLate: false, evidence: "no parts") }
    }

    private static func append(
        _ part: StoredPart, to draft: Draft, _ uploadID: String, _ key: String, _ root: StoreRoot
    ) throws(StoreError) {
        let folder = try UploadFolder.open(uploadID, key: key, root)
        let fd: CInt
        do throws(StoreError) {
            fd = try folder.file(part.etag, O_RDONLY)
        } catch {
            guard error.code == .noSuchKey else { throw error }
            throw StoreError(.rejected, mayArriveLate: false, evidence: "part \(part.number) is not of this upload")
        }
        defer { close(fd) }
        var info = stat()
        guard fstat(fd, &info) == 0 else { throw folder.failure("fstat", part.etag) }
        guard Int64(info.st_size) == part.size else {
            throw StoreError(
                .corrupt, mayArriveLate: false,
                evidence: "part \(part.number) has \(info.st_size) bytes instead of \(part.size)")
        }
        try draft.append(file: fd, folder.path + "/" + part.etag)
    }

    package func abortUpload(_ key: String, uploadID: String) async throws(StoreError) {
        try await pool.disk(.writing, path) { [self] () throws(StoreError) in
            let root = try openForWriting()
            do throws(StoreError) {
                _ = try UploadFolder.open(uploadID, key: key, root)
            } catch {
                // Ended, or never was; what is left of it is the sweep's.
                if error.code == .noSuchUpload { return }
                throw error
            }
            try UploadFolder.remove(uploadID, root)
        }
    }

    package func openUploads(_ key: String) async throws(StoreError) -> [String] {
        try await uploads { $0.elementsEqual(key.utf8) }.map(\.uploadID)
    }

    package func listUploads(prefix: String) async throws(StoreError) -> [OpenUpload] {
        try await uploads { $0.starts(with: prefix.utf8) }
    }

    private func uploads(_ isWanted: @escaping @Sendable (String.UTF8View) -> Bool) async throws(StoreError)
        -> [OpenUpload]
    {
        try await pool.disk(.reading, path) { [path] () throws(StoreError) in
            let scratch = try StoreRoot.open(path).scratch
            var found: [OpenUpload] = []
            try scratch.forEachName { (name, _) throws(StoreError) in
                guard name.hasPrefix(UploadFolder.namePrefix), let folder = try scratch.child(name),
                    let key = try UploadFolder.key(folder), isWanted(key.utf8)
                else { return true }
                found.append(OpenUpload(key: key, uploadID: String(name.dropFirst(UploadFolder.namePrefix.count))))
                return found.count < DirectoryStore.listedUploadsMax
            }
            return found.sorted { a, b in
                a.key.utf8.elementsEqual(b.key.utf8)
                    ? a.uploadID < b.uploadID : a.key.utf8.lexicographicallyPrecedes(b.key.utf8)
            }
        }
    }
}
