import S3
import Synchronization

/// Which folders are known to be durable in the folder above, so that only the first object in a new folder pays for it.
///
/// It may have been made by another task that has not come to its own fsync yet: that a folder is there says nothing.
final class DurableFolders: Sendable {
    /// When there are more the memory starts anew, which costs some fsyncs.
    private static let countMax = 4096

    /// Path below the root to inode: a folder that was removed and made again is another one.
    private let inodes = Mutex<[String: UInt64]>([:])

    /// Makes the last folder of `chain` durable with the names in it, and every folder above that is not known to be. Blocks.
    func settle(_ chain: [Folder]) throws(StoreError) {
        try chain[chain.count - 1].sync()
        var settled: [(String, UInt64)] = []
        for index in stride(from: chain.count - 1, to: 0, by: -1) {
            let inode = chain[index].inode
            if inodes.withLock({ $0[chain[index].path] }) == inode { break }
            try chain[index - 1].sync()
            settled.append((chain[index].path, inode))
        }
        guard !settled.isEmpty else { return }
        inodes.withLock { inodes in
            if inodes.count + settled.count > DurableFolders.countMax { inodes = [:] }
            for (path, inode) in settled { inodes[path] = inode }
        }
    }

    func forget(_ folder: Folder) { inodes.withLock { $0[folder.path] = nil } }
}
