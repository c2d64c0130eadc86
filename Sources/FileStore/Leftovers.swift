import Glibc
import S3

/// What a process that died has left in the scratch folder.
enum Leftovers {
    /// Seconds without change after which an upload folder without its `key` file is the rest of a Create or an Abort.
    private static let brokenUploadAge = 3600
    /// Seconds without change before a draft can be remains: a living one is not locked yet for an instant after its making.
    private static let draftAge = 60

    /// Removes drafts that nobody holds open, and uploads that never began or have ended. Safe beside other processes. Blocks.
    /// - Returns: how many it removed
    @discardableResult
    static func sweep(_ root: StoreRoot) throws(StoreError) -> Int {
        let scratch = root.scratch
        var drafts: [String] = []
        var uploads: [String] = []
        try scratch.forEachName { (name, _) throws(StoreError) in
            if name.hasPrefix(Draft.namePrefix) { drafts.append(name) }
            if name.hasPrefix(UploadFolder.namePrefix) { uploads.append(name) }
            return true
        }
        var removed = 0
        for name in drafts where try isDead(name, scratch) { removed += try scratch.remove(name) ? 1 : 0 }
        for name in uploads {
            guard let folder = try scratch.child(name), try !folder.has(UploadFolder.keyFile),
                let info = try scratch.status(name), time(nil) - info.st_mtim.tv_sec > brokenUploadAge
            else { continue }
            try UploadFolder.empty(folder)
            removed += scratch.removeFolder(name) ? 1 : 0
        }
        return removed
    }

    /// A draft is alive while its writer holds its lock, however long ago it was written to.
    private static func isDead(_ name: String, _ scratch: Folder) throws(StoreError) -> Bool {
        let fd: CInt
        do throws(StoreError) {
            fd = try scratch.file(name, O_RDONLY)
        } catch {
            if error.code == .noSuchKey { return false }
            throw error
        }
        defer { close(fd) }
        var info = stat()
        guard fstat(fd, &info) == 0 else { throw scratch.failure("fstat", name) }
        return time(nil) - info.st_mtim.tv_sec > draftAge && flock(fd, LOCK_EX | LOCK_NB) == 0
    }
}
