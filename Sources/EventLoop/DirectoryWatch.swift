import CLinux
import Glibc
import Synchronization

/// Tells when a file or directory may have changed, with inotify(7).
///
/// It is a hint, never a proof: network file systems report nothing, and a change inside a target that a symbolic link leads to
/// elsewhere goes unseen. Callers look at the content itself, on a hint and from time to time. What it does see: files written,
/// renamed, created and deleted in the directory; the directory itself replaced; and a symbolic link anywhere on the path
/// swapped, which is how Kubernetes updates a mounted volume.
package final class DirectoryWatch: Sendable {
    package enum Hint: Sendable { case mayHaveChanged, timedOut, cancelled }

    /// Which names in a watched directory matter; nil for all of them.
    private typealias Names = Set<String>?

    private static let ancestorsMax = 32
    private static let everything =
        IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF
    /// Of directories above: only that an entry becomes another one.
    private static let replacement = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO

    private let path: String
    private let descriptor: Descriptor
    private let names = Mutex<[CInt: Names]>([:])

    /// - Parameter path: absolute, or relative to the working directory; need not exist yet
    package init(_ path: String, on loop: EventLoop) throws(SystemError) {
        self.path = path.hasSuffix("/") && path.utf8.count > 1 ? String(path.dropLast()) : path
        let fd = inotify_init1(CLINUX_INOTIFY_FLAGS)
        guard fd >= 0 else { throw SystemError("inotify_init1") }
        do throws(SystemError) {
            descriptor = try loop.watch(fd, .edge)
        } catch {
            Glibc.close(fd)
            throw error
        }
        arm()
    }

    /// Returns at the first change since the last call, or since `init`; what changes between two calls is not lost.
    package func next(within limit: Duration) async -> Hint {
        let deadline = ContinuousClock.now + limit
        while true {
            let isHint = takeEvents()
            // A directory that was replaced has a new inode. Arming before the caller reads keeps what comes after its read.
            arm()
            if isHint { return .mayHaveChanged }
            do throws(WaitError) {
                try await descriptor.readable(deadline: deadline)
            } catch {
                return error == .timedOut ? .timedOut : .cancelled
            }
        }
    }

    package func close() { descriptor.close() }

    /// Watches the path's target and, by name, each directory on the way to it.
    private func arm() {
        add(path, DirectoryWatch.everything, only: nil)
        var target = stat()
        let isDirectory = stat(path, &target) == 0 && target.st_mode & S_IFMT == S_IFDIR
        var rest = path[...]
        for _ in 0..<DirectoryWatch.ancestorsMax {
            let slash = rest.lastIndex(of: "/")
            let name = slash.map { rest[rest.index(after: $0)...] } ?? rest
            let parent = slash.map { $0 == rest.startIndex ? "/" : rest[..<$0] } ?? "."
            // Around a single file every name counts: in a mounted volume it leads through a link beside it, which is swapped.
            let isAround = rest.endIndex == path.endIndex && !isDirectory
            if !name.isEmpty { add(String(parent), DirectoryWatch.replacement, only: isAround ? nil : String(name)) }
            guard slash != nil, parent != "/" else { return }
            rest = parent
        }
    }

    private func add(_ directory: String, _ mask: CInt, only name: String?) {
        let watch = descriptor.withOpenFD { inotify_add_watch($0, directory, UInt32(mask) | UInt32(IN_MASK_ADD)) } ?? -1
        guard watch >= 0 else { return }
        names.withLock { names in
            guard let name, let known = names[watch, default: []] else {
                names.updateValue(nil, forKey: watch)
                return
            }
            names.updateValue(known.union([name]), forKey: watch)
        }
    }

    /// Empties the queue; true if something in it matters.
    private func takeEvents() -> Bool {
        var matters = false
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let count =
                descriptor.withOpenFD { fd in buffer.withUnsafeMutableBytes { read(fd, $0.baseAddress, $0.count) } }
                ?? -1
            guard count > 0 else {
                descriptor.drainedReadable()
                return matters
            }
            if hasMatter(buffer[..<count]) { matters = true }
        }
    }

    private func hasMatter(_ events: ArraySlice<UInt8>) -> Bool {
        let headSize = MemoryLayout<inotify_event>.size
        return events.withUnsafeBytes { bytes in
            var matters = false
            var offset = 0
            while offset + headSize <= bytes.count {
                let head = bytes.loadUnaligned(fromByteOffset: offset, as: inotify_event.self)
                let end = min(bytes.count, offset + headSize + Int(head.len))
                let name = String(decoding: bytes[(offset + headSize)..<end].prefix { $0 != 0 }, as: UTF8.self)
                if head.mask & UInt32(IN_Q_OVERFLOW) != 0 || isOfInterest(head.wd, name) { matters = true }
                if head.mask & UInt32(IN_IGNORED) != 0 { names.withLock { _ = $0.removeValue(forKey: head.wd) } }
                offset = end
            }
            return matters
        }
    }

    private func isOfInterest(_ watch: CInt, _ name: String) -> Bool {
        names.withLock { names in
            guard let entry = names[watch] else { return false }
            return entry.map { $0.contains(name) } ?? true
        }
    }
}
