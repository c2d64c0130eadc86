import EventLoop
import Glibc
import Testing

/// A directory that goes with the test.
private final class Scratch: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/sluice-watch-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError("mkdtemp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { Scratch.remove(path) }

    private static func remove(_ path: String) {
        // rmdir for an empty directory, unlink for everything else, links included.
        if Glibc.remove(path) == 0 { return }
        guard let directory = opendir(path) else { return }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        closedir(directory)
        for name in names where name != "." && name != ".." { remove("\(path)/\(name)") }
        rmdir(path)
    }

    func make(_ name: String) { mkdir("\(path)/\(name)", 0o755) }
    func link(_ target: String, _ name: String) { symlink(target, "\(path)/\(name)") }
    func move(_ from: String, _ to: String) { rename("\(path)/\(from)", "\(path)/\(to)") }

    func put(_ name: String, _ text: String) {
        let fd = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        _ = text.withCString { write(fd, $0, strlen($0)) }
        close(fd)
    }
}

@Suite(.timeLimit(.minutes(1))) struct DirectoryWatchTests {
    /// Whether `change` is noticed by who watches `name`, and the quiet before it is.
    private func notices(
        _ name: String, in scratch: Scratch, _ change: @escaping @Sendable (Scratch) -> Void
    ) async throws -> [DirectoryWatch.Hint] {
        try await onLoop { loop in
            let watch = try DirectoryWatch("\(scratch.path)/\(name)", on: loop)
            defer { watch.close() }
            let before = await watch.next(within: .milliseconds(20))
            loop.spawn { change(scratch) }
            return [before, await watch.next(within: .seconds(10))]
        }
    }

    @Test func `a file that is written in the directory`() async throws {
        let scratch = try Scratch()
        scratch.make("specs")
        #expect(
            try await notices("specs", in: scratch) { $0.put("specs/fleet.yaml", "a") } == [.timedOut, .mayHaveChanged])
    }

    @Test func `a file that an editor replaces by another`() async throws {
        let scratch = try Scratch()
        scratch.put("fleet.yaml", "a")
        scratch.put("fleet.yaml~new", "b")
        #expect(
            try await notices("fleet.yaml", in: scratch) { $0.move("fleet.yaml~new", "fleet.yaml") } == [
                .timedOut, .mayHaveChanged,
            ])
    }

    @Test func `the swap of a link within a mounted volume, as Kubernetes does it`() async throws {
        let scratch = try Scratch()
        for version in ["..1", "..2"] {
            scratch.make(version)
            scratch.put("\(version)/fleet.yaml", version)
        }
        scratch.link("..1", "..data")
        scratch.link("..data/fleet.yaml", "fleet.yaml")
        scratch.link("..2", "..data_tmp")
        for name in ["", "fleet.yaml"] {
            #expect(
                try await notices(name, in: scratch) { $0.move("..data_tmp", "..data") } == [
                    .timedOut, .mayHaveChanged,
                ])
            scratch.link("..1", "..data_tmp")
        }
    }

    @Test func `the swap of a link above the directory, and what happens behind it then`() async throws {
        let scratch = try Scratch()
        for release in ["r1", "r2"] {
            scratch.make(release)
            scratch.make("\(release)/specs")
        }
        scratch.link("r1", "current")
        scratch.link("r2", "next")
        let hints = try await onLoop { loop in
            let watch = try DirectoryWatch("\(scratch.path)/current/specs", on: loop)
            defer { watch.close() }
            var hints: [DirectoryWatch.Hint] = []
            scratch.move("next", "current")
            hints.append(await watch.next(within: .seconds(10)))
            scratch.put("r2/specs/fleet.yaml", "b")
            hints.append(await watch.next(within: .seconds(10)))
            return hints
        }
        #expect(hints == [.mayHaveChanged, .mayHaveChanged])
    }

    @Test func `a directory that comes later`() async throws {
        let scratch = try Scratch()
        #expect(try await notices("specs", in: scratch) { $0.make("specs") } == [.timedOut, .mayHaveChanged])
    }

    @Test func `what happens between two calls is not lost, and neighbours do not matter`() async throws {
        let scratch = try Scratch()
        scratch.make("specs")
        let hints = try await onLoop { loop in
            let watch = try DirectoryWatch("\(scratch.path)/specs/", on: loop)
            scratch.put("specs/a.yaml", "a")
            scratch.put("specs/b.yaml", "b")
            let first = await watch.next(within: .seconds(10))
            scratch.put("neighbour", "c")
            return [first, await watch.next(within: .milliseconds(30))]
        }
        #expect(hints == [.mayHaveChanged, .timedOut])
    }
}
