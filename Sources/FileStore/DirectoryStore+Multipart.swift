import Crypto
import EventLoop
import Glibc
package import HTTP
package import S3

/// Uploads are folders in the scratch area: `key` and `metadata` files, and one file a part. Complete joins the parts inside the
/// kernel and publishes the result by rename.
extension DirectoryStore {
    package func createUpload(_ key: String, metadata: StoredMetadata) async throws(StoreError) -> String {
        _ = try layout.path(key)
        let id = Hex.encode(SystemRandom.bytes(16))
        let folder = try layout.uploadPath(id)
        let layout = layout
        try await pool.run { () throws(StoreError) in
            guard Files.exists(layout.scratchPath) else { throw DirectoryStore.unmounted(layout) }
            try Files.makeDirectories(folder, root: layout.root)
            try DirectoryStore.write(folder + "/metadata", Sidecar.encode(metadata))
            try DirectoryStore.write(folder + "/key", Array(key.utf8))
            try Files.syncDirectory(folder)
        }
        return id
    }

    private static func write(_ path: String, _ bytes: [UInt8]) throws(StoreError) {
        let fd = try Files.open(path, O_WRONLY | O_CREAT | O_TRUNC)
        defer { close(fd) }
        try Bytes(bytes).withUnsafeBytes { (bytes) throws(StoreError) in try Files.writeAll(fd, bytes, path) }
        try Files.sync(fd, path)
    }

    private static func readSmall(_ path: String) throws(StoreError) -> [UInt8] {
        let fd = try Files.open(path, O_RDONLY)
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: 64 * 1024)
        let got = read(fd, &bytes, bytes.count)
        guard got >= 0 else { throw Files.error("read", path) }
        return Array(bytes[0..<got])
    }

    /// A part's ETag names its file, so that a re-sent part does not disturb the one before it.
    package func putPart(
        _ key: String, uploadID: String, number: Int, length: Int64, body: any BodyReader
    ) async throws(StoreError) -> StoredPart {
        let folder = try layout.uploadPath(uploadID)
        let attempt = Hex.encode(SystemRandom.bytes(8))
        let draft = Draft(layout, folder + "/part-\(number)-\(attempt)")
        do throws(StoreError) {
            try await pool.run { () throws(StoreError) in
                guard Files.exists(folder + "/key") else { throw DirectoryStore.noSuchUpload(uploadID) }
                try draft.begin()
            }
            try await append(body, length, to: draft)
            try await pool.run { () throws(StoreError) in try draft.publishPart(folder) }
        } catch {
            await pool.run { draft.discard() }
            throw error.code == .noSuchKey ? DirectoryStore.noSuchUpload(uploadID) : error
        }
        return StoredPart(number: number, etag: "part-\(number)-\(attempt)", size: length)
    }

    static func noSuchUpload(_ id: String) -> StoreError {
        StoreError(.noSuchUpload, mayArriveLate: false, evidence: "there is no upload \(id)")
    }

    package func completeUpload(_ key: String, uploadID: String, parts: [StoredPart]) async throws(StoreError) -> StoredObject {
        let folder = try layout.uploadPath(uploadID)
        let path = try layout.path(key)
        let draft = Draft(layout, path)
        do throws(StoreError) {
            return try await pool.run { () throws(StoreError) in
                guard Files.exists(folder + "/key"), try DirectoryStore.readSmall(folder + "/key") == Array(key.utf8) else {
                    throw DirectoryStore.noSuchUpload(uploadID)
                }
                let metadata = Sidecar.decode(try DirectoryStore.readSmall(folder + "/metadata"))
                try draft.begin()
                for part in parts {
                    guard part.etag.hasPrefix("part-\(part.number)-"), !part.etag.contains("/") else {
                        throw StoreError(.rejected, mayArriveLate: false, evidence: "part \(part.number) is not of this upload")
                    }
                    try draft.append(file: folder + "/" + part.etag)
                }
                try draft.publish(metadata, ifAbsent: false)
                try DirectoryStore.remove(folder)
                let size = parts.reduce(0) { $0 + $1.size }
                return StoredObject(size: size, etag: DirectoryStore.etag(size), metadata: metadata)
            }
        } catch {
            await pool.run { draft.discard() }
            throw error.code == .noSuchKey ? DirectoryStore.noSuchUpload(uploadID) : error
        }
    }

    /// Blocks. The `key` file goes first: without it the upload is over.
    private static func remove(_ folder: String) throws(StoreError) {
        unlink(folder + "/key")
        guard let handle = opendir(folder) else { return }
        defer { closedir(handle) }
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { unlink(folder + "/" + name) }
        }
        guard rmdir(folder) == 0 || errno == ENOENT || errno == ENOTEMPTY else { throw Files.error("rmdir", folder) }
    }

    package func abortUpload(_ key: String, uploadID: String) async throws(StoreError) {
        let folder = try layout.uploadPath(uploadID)
        try await pool.run { () throws(StoreError) in try DirectoryStore.remove(folder) }
    }

    package func openUploads(_ key: String) async throws(StoreError) -> [String] {
        try await listUploads(prefix: key).filter { $0.key == key }.map(\.uploadID)
    }

    package func listUploads(prefix: String) async throws(StoreError) -> [OpenUpload] {
        let layout = layout
        return try await pool.run { () throws(StoreError) in
            guard let handle = opendir(layout.scratchPath) else { throw DirectoryStore.unmounted(layout) }
            defer { closedir(handle) }
            var found: [OpenUpload] = []
            while found.count < 1000, let entry = readdir(handle) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                guard name.hasPrefix("upload-"), Files.exists(layout.scratchPath + "/\(name)/key") else { continue }
                let key = String(decoding: try DirectoryStore.readSmall(layout.scratchPath + "/\(name)/key"), as: UTF8.self)
                if key.hasPrefix(prefix) { found.append(OpenUpload(key: key, uploadID: String(name.dropFirst("upload-".count)))) }
            }
            return found.sorted { ($0.key, $0.uploadID) < ($1.key, $1.uploadID) }
        }
    }
}
