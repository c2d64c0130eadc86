import Glibc
import S3

/// An open upload: a folder in the scratch area with the files `key` and `metadata` and one file for each part.
///
/// `key` comes last and goes first: an upload is open while it is there.
enum UploadFolder {
    static let namePrefix = "upload-"
    static let keyFile = "key"
    static let metadataFile = "metadata"

    static func noSuchUpload(_ id: String) -> StoreError {
        StoreError(.noSuchUpload, mayArriveLate: false, evidence: "there is no upload \(id)")
    }

    /// Ids are ours: 32 digits, so that no other name can be meant.
    static func name(_ id: String) throws(StoreError) -> String {
        guard id.utf8.count == 32, isLowerHex(id) else { throw noSuchUpload(String(id.prefix(64))) }
        return namePrefix + id
    }

    static func partName(_ number: Int, _ attempt: String) -> String { "part-\(number)-\(attempt)" }

    /// Whether an ETag is one that `putPart` gave for this number; it names the file.
    static func isPartName(_ etag: String, _ number: Int) -> Bool {
        let start = partName(number, "")
        return etag.utf8.count == start.utf8.count + 16 && etag.hasPrefix(start)
            && isLowerHex(String(etag.dropFirst(start.count)))
    }

    private static func isLowerHex(_ text: String) -> Bool {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// Throws `noSuchUpload` unless it is open. Without a key, whatever its key is.
    static func open(_ id: String, key: String?, _ root: StoreRoot) throws(StoreError) -> Folder {
        guard let folder = try root.scratch.child(try name(id)), let found = try self.key(folder) else {
            throw noSuchUpload(id)
        }
        if let key, !found.utf8.elementsEqual(key.utf8) { throw noSuchUpload(id) }
        return folder
    }

    /// Nil if the upload is not open.
    static func key(_ folder: Folder) throws(StoreError) -> String? {
        guard let bytes = try read(folder, keyFile, limit: ObjectPath.keyBytesMax) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func read(_ folder: Folder, _ name: String, limit: Int) throws(StoreError) -> [UInt8]? {
        let fd: CInt
        do throws(StoreError) {
            fd = try folder.file(name, O_RDONLY)
        } catch {
            if error.code == .noSuchKey { return nil }
            throw error
        }
        defer { close(fd) }
        return try FileDescriptor.readAll(fd, limit: limit, folder.path + "/" + name)
    }

    static func write(_ folder: Folder, _ name: String, _ bytes: [UInt8]) throws(StoreError) {
        let fd = try folder.file(name, O_WRONLY | O_CREAT | O_EXCL)
        defer { close(fd) }
        try FileDescriptor.writeAll(fd, bytes, folder.path + "/" + name)
        try FileDescriptor.sync(fd, folder.path + "/" + name)
    }

    /// Removes the files, `key` first, durably. Absence is success.
    static func empty(_ folder: Folder) throws(StoreError) {
        if try folder.remove(keyFile) { try folder.sync() }
        var names: [String] = []
        try folder.forEachName { (name, _) throws(StoreError) in
            names.append(name)
            return true
        }
        for name in names { try folder.remove(name) }
    }

    /// Absence is success. A part that arrives meanwhile may keep the folder, which the sweep takes later.
    static func remove(_ id: String, _ root: StoreRoot) throws(StoreError) {
        let name = try name(id)
        guard let folder = try root.scratch.child(name) else { return }
        try empty(folder)
        if root.scratch.removeFolder(name) { try root.scratch.sync() }
    }
}
