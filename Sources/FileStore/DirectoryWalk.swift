import Glibc
import HTTP
import S3

/// Lists keys in byte order by walking folders; holds one folder's names per level, never the whole tree.
struct DirectoryWalk {
    private let root: String
    private let prefix: [UInt8]
    private let after: [UInt8]?
    private let limit: Int
    private var entries: [StoreListing.Entry] = []

    init(root: String, prefix: String, after: String?, limit: Int) {
        self.root = root
        self.prefix = Array(prefix.utf8)
        self.after = after.map { Array($0.utf8) }
        self.limit = limit
    }

    mutating func run() throws(StoreError) -> StoreListing {
        try visit("")
        let isTruncated = entries.count > limit
        return StoreListing(entries: Array(entries.prefix(limit)), isTruncated: isTruncated)
    }

    /// `folder` is empty or ends in a slash.
    private mutating func visit(_ folder: String) throws(StoreError) {
        for (name, isFolder) in try DirectoryWalk.sortedNames(root + "/" + folder) {
            if entries.count > limit { return }
            let key = folder + name
            if isFolder {
                if folder.isEmpty, name == DirectoryLayout.scratch { continue }
                if mayContain(Array((key + "/").utf8)) { try visit(key + "/") }
            } else if !name.hasSuffix(DirectoryLayout.sidecarSuffix), isWanted(Array(key.utf8)) {
                var info = stat()
                guard lstat(root + "/" + key, &info) == 0 else { continue }
                let size = Int64(info.st_size)
                entries.append(
                    .init(
                        key: key, size: size, etag: DirectoryStore.etag(size),
                        modified: WallTime(seconds: Int64(info.st_mtim.tv_sec))))
            }
        }
    }

    private func isWanted(_ key: [UInt8]) -> Bool {
        key.starts(with: prefix) && (after.map { $0.lexicographicallyPrecedes(key) } ?? true)
    }

    /// Whether a key that begins with `folder` can be wanted.
    private func mayContain(_ folder: [UInt8]) -> Bool {
        guard folder.starts(with: prefix) || prefix.starts(with: folder) else { return false }
        guard let after else { return true }
        return after.starts(with: folder) || after.lexicographicallyPrecedes(folder)
    }

    /// In the order of full keys: a folder sorts as its name with a slash.
    private static func sortedNames(_ path: String) throws(StoreError) -> [(String, Bool)] {
        guard let folder = opendir(path) else {
            // Removed since its parent was read.
            if errno == ENOENT { return [] }
            throw Files.error("opendir", path)
        }
        defer { closedir(folder) }
        var names: [(String, Bool)] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            var isFolder = entry.pointee.d_type == UInt8(DT_DIR)
            if entry.pointee.d_type == UInt8(DT_UNKNOWN) {
                var info = stat()
                isFolder = lstat(path + "/" + name, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
            } else if !isFolder, entry.pointee.d_type != UInt8(DT_REG) {
                continue
            }
            names.append((name, isFolder))
        }
        return names.sorted { a, b in
            (a.1 ? a.0 + "/" : a.0).utf8.lexicographicallyPrecedes((b.1 ? b.0 + "/" : b.0).utf8)
        }
    }
}
