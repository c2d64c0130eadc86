import S3

/// Where an object's files are below the root: one folder for each segment of its key but the last, then its file, and beside that
/// its metadata in `FILE~meta`.
///
/// A segment is its own name wherever that is safe, so that a person finds the data. Three endings, reversible, keep apart what
/// would meet:
///
/// | segment | as a folder | as a file |
/// |---|---|---|
/// | without `~` (`cat.jpg`) | `cat.jpg` | `cat.jpg~` |
/// | with `~` (Sluice's copies: `cat.jpg~0a1b.c3`) | `cat.jpg~0a1b.c3~d` | `cat.jpg~0a1b.c3` |
/// | with `~` only in front (Sluice's `~long`) | `~long` | `~long~` |
/// | empty, `.`, `..` | `~d`, `.~d`, `..~d` | `~`, `.~`, `..~` |
///
/// So `a`, `a/` and `a/b` live side by side, no name leaves the root, and files of other programs (no `~`) are never taken for
/// objects. All comparisons are of bytes: for Swift a slash with a combining mark behind it is another character, for Linux it
/// is a slash.
struct ObjectPath: Sendable, Equatable {
    static let keyBytesMax = 1024
    /// The limit of Linux file systems.
    private static let nameBytesMax = 255
    private static let sidecarEnding = "~meta"
    private static let folderEnding = "~d"
    private static let tilde = UInt8(ascii: "~")

    let folders: [String]
    let file: String
    var sidecar: String { ObjectPath.sidecar(ofFile: file) }

    /// Throws `rejected` for a key that no file can have.
    init(_ key: String) throws(StoreError) {
        guard !key.isEmpty, key.utf8.count <= ObjectPath.keyBytesMax, !key.utf8.contains(0) else {
            throw StoreError(
                .rejected, mayArriveLate: false, evidence: "no file can be named by \(key.utf8.count) bytes or with NUL"
            )
        }
        let segments = ObjectPath.segments(key)
        folders = segments.dropLast().map { ObjectPath.folderName($0) }
        file = ObjectPath.fileName(segments.last ?? "")
        let longest = max(folders.map(\.utf8.count).max() ?? 0, file.utf8.count + ObjectPath.sidecarEnding.utf8.count)
        guard longest <= ObjectPath.nameBytesMax else {
            throw StoreError(
                .rejected, mayArriveLate: false,
                evidence: "a part of the name needs \(longest) bytes, a file may have 255")
        }
    }

    static func sidecar(ofFile name: String) -> String { name + sidecarEnding }

    /// Cut at each byte `/`.
    static func segments(_ key: String) -> [String] {
        key.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    static func folderName(_ segment: String) -> String {
        let rest = segment.utf8.first == tilde ? segment.utf8.dropFirst() : segment.utf8[...]
        let isPlain =
            !rest.isEmpty && !rest.contains(tilde) && segment != "." && segment != ".." && segment != folderEnding
            && segment != StoreRoot.scratchName
        return isPlain ? segment : segment + folderEnding
    }

    static func fileName(_ segment: String) -> String {
        let isOwn =
            segment.utf8.contains(tilde) && segment.utf8.first != tilde && segment.utf8.last != tilde
            && !ends(segment, folderEnding)
            && !ends(segment, sidecarEnding)
        return isOwn ? segment : segment + "~"
    }

    /// The segment of a folder's name, or nil for one that we would not give.
    static func segment(ofFolder name: String) -> String? {
        let segment =
            ends(name, folderEnding)
            ? String(decoding: name.utf8.dropLast(folderEnding.utf8.count), as: UTF8.self) : name
        return folderName(segment).utf8.elementsEqual(name.utf8) ? segment : nil
    }

    /// The segment of a file's name, or nil for a sidecar or what is not ours.
    static func segment(ofFile name: String) -> String? {
        let segment = name.utf8.last == tilde ? String(decoding: name.utf8.dropLast(), as: UTF8.self) : name
        return fileName(segment).utf8.elementsEqual(name.utf8) ? segment : nil
    }

    private static func ends(_ text: String, _ ending: String) -> Bool {
        text.utf8.suffix(ending.utf8.count).elementsEqual(ending.utf8)
    }
}
