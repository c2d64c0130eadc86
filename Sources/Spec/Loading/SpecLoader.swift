import Glibc

/// A spec that is valid as a whole.
package struct LoadedSpec: Sendable {
    package var desired: DesiredState
    package var warnings: [Diagnostic]
    /// Hex, over names and contents.
    package var digest: String
    /// Without literal secrets.
    package var redactedText: String
    /// For rendering the warnings; without literal secrets.
    package var sources: [String: String]
}

/// What a spec folder or file turned out to be. An unreadable one is not an empty one.
package enum SpecLoad: Sendable {
    case accepted(LoadedSpec)
    /// The sources are without literal secrets, and without what looks like one.
    case rejected([Diagnostic], sources: [String: String])
}

/// Reads a file, or all `*.yaml` of a folder in the order of their names, and accepts the whole or nothing.
package struct SpecLoader: Sendable {
    package static let fileBytesMax = 4 * 1024 * 1024
    package static let filesMax = 1_000

    private let path: String
    private let hash: @Sendable (String) -> String

    /// - Parameter hash: SHA-256 of a text in hex; injected, since this module knows no digests
    package init(path: String, hash: @escaping @Sendable (String) -> String) {
        self.path = path
        self.hash = hash
    }

    /// Blocks while it reads files. A torn update of several files is read again, up to three times.
    package func load() -> SpecLoad {
        for _ in 0..<3 {
            let (files, problems) = read()
            guard problems.isEmpty else { return .rejected(problems, sources: [:]) }
            let again = read()
            if again.problems.isEmpty, again.files.elementsEqual(files, by: { $0 == $1 }) { return decode(files) }
        }
        return .rejected(
            [
                Diagnostic(
                    .filesChanging, nil, "the files of \(path) kept changing while they were read", hint: "try again")
            ], sources: [:])
    }

    /// Something that changes whenever the content does; for watching. Blocks.
    package func fingerprint() -> String {
        let (files, problems) = read()
        return hash(problems.map(\.message).joined() + files.map { "\($0.0)\n\($0.1)" }.joined(separator: "\u{0}"))
    }

    // MARK: Files

    private func read() -> (files: [(String, String)], problems: [Diagnostic]) {
        var info = stat()
        guard stat(path, &info) == 0 else {
            let reason = String(cString: strerror(errno))
            let code: DiagnosticCode = errno == ENOENT ? .specAbsent : .fileUnreadable
            return ([], [Diagnostic(code, nil, "cannot read the spec \(path): \(reason)", hint: "check --spec")])
        }
        guard info.st_mode & S_IFMT == S_IFDIR else { return readAll([path]) }
        guard let folder = opendir(path) else {
            return (
                [],
                [
                    Diagnostic(
                        .fileUnreadable, nil, "cannot list the folder \(path): \(String(cString: strerror(errno)))")
                ]
            )
        }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(".yaml"), !name.hasPrefix(".") { names.append(name) }
        }
        guard !names.isEmpty else {
            return (
                [],
                [
                    Diagnostic(
                        .folderEmpty, nil, "the folder \(path) has no *.yaml file",
                        hint: "the accepted spec stays in force")
                ]
            )
        }
        guard names.count <= SpecLoader.filesMax else {
            return (
                [], [Diagnostic(.fileTooLarge, nil, "the folder \(path) has more than \(SpecLoader.filesMax) files")]
            )
        }
        return readAll(names.sorted().map { path.hasSuffix("/") ? path + $0 : path + "/" + $0 })
    }

    private func readAll(_ paths: [String]) -> (files: [(String, String)], problems: [Diagnostic]) {
        var files: [(String, String)] = []
        var problems: [Diagnostic] = []
        for path in paths {
            switch FileText.read(path, limit: SpecLoader.fileBytesMax) {
            case .text(let text): files.append((path, text))
            case .unreadable(let reason):
                problems.append(Diagnostic(.fileUnreadable, nil, "cannot read \(path): \(reason)"))
            case .tooLarge:
                problems.append(
                    Diagnostic(.fileTooLarge, nil, "\(path) is larger than \(SpecLoader.fileBytesMax) bytes"))
            case .notText: problems.append(Diagnostic(.syntax, nil, "\(path) is not UTF-8"))
            }
        }
        return (files, problems)
    }

    // MARK: Content

    private func decode(_ files: [(String, String)]) -> SpecLoad {
        let collector = DiagnosticCollector()
        var documents: [Node] = []
        var scalars: [String: [Range<Int>]] = [:]
        for (file, text) in files {
            let parsed = YAMLParser.parse(text, file: file)
            parsed.diagnostics.forEach(collector.report)
            documents += parsed.documents
            scalars[file] = parsed.scalars
        }
        var decoder = SpecDecoder(collector, baseFolder: baseFolder)
        let desired = decoder.decode(documents)
        let redactors = files.map { file, text in
            (file, SpecRedactor(text, secrets: collector.secrets[file] ?? [], scalars: scalars[file] ?? []))
        }
        guard let desired, !collector.diagnostics.contains(where: { $0.severity == .error }) else {
            let sources = Dictionary(redactors.map { ($0, $1.cautiously) }) { first, _ in first }
            return .rejected(collector.diagnostics, sources: sources)
        }
        let texts = redactors.map { ($0, $1.exactly) }
        // Names of files are left out of the digest: the same spec elsewhere is the same spec.
        let digest = hash(files.map(\.1).joined(separator: "\n---\n"))
        return .accepted(
            LoadedSpec(
                desired: desired, warnings: collector.diagnostics, digest: digest,
                // Literal secrets do not reach Postgres.
                redactedText: texts.map { "# \($0)\n\($1)" }.joined(separator: "\n---\n"),
                sources: Dictionary(texts) { first, _ in first }))
    }

    private var baseFolder: String {
        var info = stat()
        let isFolder = stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
        let folder =
            isFolder
            ? path
            : String(path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/"))
        guard !folder.hasPrefix("/") else { return folder }
        guard let current = getcwd(nil, 0) else { return folder }
        defer { free(current) }
        return String(cString: current) + "/" + folder
    }
}

/// A file's text.
enum FileText {
    case text(String)
    case unreadable(reason: String)
    case tooLarge
    case notText

    static func read(_ path: String, limit: Int) -> FileText {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return .unreadable(reason: String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let got = Glibc.read(descriptor, &buffer, buffer.count)
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { return .unreadable(reason: String(cString: strerror(errno))) }
            if got == 0 { break }
            bytes += buffer[0..<got]
            guard bytes.count <= limit else { return .tooLarge }
        }
        return String(validating: bytes, as: UTF8.self).map { .text($0) } ?? .notText
    }
}
