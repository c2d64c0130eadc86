import Glibc
import S3

/// Lists keys in byte order by walking folders. Holds some names of one folder per level, never a whole folder or tree.
struct DirectoryWalk {
    /// A name of a folder, as it takes part in the order of keys.
    private struct Name {
        let name: String
        /// Bytes of the segment; a folder's with a slash, since that is what its keys go on with.
        let order: [UInt8]
        let isFolder: Bool
    }

    private static let batchMin = 256
    private static let slash = UInt8(ascii: "/")

    private let prefix: [UInt8]
    private let after: [UInt8]?
    private let limit: Int
    private var entries: [StoreListing.Entry] = []

    init(prefix: String, after: String?, limit: Int) {
        self.prefix = Array(prefix.utf8)
        self.after = after.map { Array($0.utf8) }
        self.limit = limit
    }

    mutating func run(_ root: Folder) throws(StoreError) -> StoreListing {
        try visit(root, [])
        let isTruncated = entries.count > limit
        return StoreListing(entries: Array(entries.prefix(limit)), isTruncated: isTruncated)
    }

    /// - Parameter key: the bytes of the keys in `folder` up to it, empty or with a slash at the end
    private mutating func visit(_ folder: Folder, _ key: [UInt8]) throws(StoreError) {
        guard key.count < ObjectPath.keyBytesMax else { return }
        if prefix.starts(with: key), let end = prefix[key.count...].firstIndex(of: DirectoryWalk.slash) {
            // Only one child can hold such keys: no need to read the others.
            let name = ObjectPath.folderName(String(decoding: prefix[key.count..<end], as: UTF8.self))
            if name.utf8.count <= 255, let child = try enter(folder, name) { try visit(child, Array(prefix[...end])) }
            return
        }
        var cursor: [UInt8]?
        while true {
            let (names, more) = try batch(folder, key, beyond: cursor)
            for one in names {
                if entries.count > limit { return }
                if !one.isFolder {
                    try add(one.name, key + one.order, folder)
                } else if let child = try enter(folder, one.name) {
                    try visit(child, key + one.order)
                }
            }
            guard more, let last = names.last else { return }
            cursor = last.order
        }
    }

    /// Nil if it was removed since its name was read, or is not a folder.
    private func enter(_ folder: Folder, _ name: String) throws(StoreError) -> Folder? {
        do throws(StoreError) {
            return try folder.child(name)
        } catch {
            // A symbolic link or a file: not ours.
            if error.code == .rejected { return nil }
            throw error
        }
    }

    /// Only what has its metadata is an object.
    private mutating func add(_ name: String, _ key: [UInt8], _ folder: Folder) throws(StoreError) {
        guard let info = try folder.status(name), info.st_mode & S_IFMT == S_IFREG,
            try folder.has(ObjectPath.sidecar(ofFile: name))
        else { return }
        let size = Int64(info.st_size)
        entries.append(
            .init(
                key: String(decoding: key, as: UTF8.self), size: size, etag: OpenFile.etag(size),
                modified: OpenFile.modified(info)))
    }

    /// The first wanted names behind `cursor`, in order, and whether there are more.
    private func batch(_ folder: Folder, _ key: [UInt8], beyond cursor: [UInt8]?) throws(StoreError) -> ([Name], Bool) {
        let count = max(limit + 1, DirectoryWalk.batchMin)
        var names: [Name] = []
        var isCut = false
        try folder.forEachName { (name, type) throws(StoreError) in
            guard let one = try classify(folder, name, type) else { return true }
            if let cursor, !cursor.lexicographicallyPrecedes(one.order) { return true }
            guard isWanted(key + one.order, isFolder: one.isFolder) else { return true }
            names.append(one)
            if names.count >= 2 * count {
                DirectoryWalk.cut(&names, to: count)
                isCut = true
            }
            return true
        }
        if names.count > count { isCut = true }
        DirectoryWalk.cut(&names, to: count)
        return (names, isCut)
    }

    private static func cut(_ names: inout [Name], to count: Int) {
        names.sort { $0.order.lexicographicallyPrecedes($1.order) }
        names.removeLast(max(0, names.count - count))
    }

    private func classify(_ folder: Folder, _ name: String, _ type: UInt8) throws(StoreError) -> Name? {
        var isFolder = type == UInt8(DT_DIR)
        if type == UInt8(DT_UNKNOWN) {
            guard let info = try folder.status(name) else { return nil }
            isFolder = info.st_mode & S_IFMT == S_IFDIR
        }
        if isFolder {
            guard let segment = ObjectPath.segment(ofFolder: name) else { return nil }
            return Name(name: name, order: Array(segment.utf8) + [DirectoryWalk.slash], isFolder: true)
        }
        return ObjectPath.segment(ofFile: name).map { Name(name: name, order: Array($0.utf8), isFolder: false) }
    }

    /// Whether a key, or some key in a folder, has the prefix and comes after `after`.
    private func isWanted(_ key: [UInt8], isFolder: Bool) -> Bool {
        guard key.starts(with: prefix) || isFolder && prefix.starts(with: key) else { return false }
        guard let after else { return true }
        return after.lexicographicallyPrecedes(key) || isFolder && after.starts(with: key)
    }
}
