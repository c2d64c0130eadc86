import Foundation
import Glibc
import Synchronization

/// A real process that a test starts, speaks to and kills; ended by its id when the test ends, whatever happened.
final class Subprocess: Sendable {
    struct Finished: Sendable {
        let status: Int32
        let output: String
        let errors: String
    }

    let pid: pid_t
    private let exit = Mutex<Int32?>(nil)

    /// - Parameters:
    ///   - output, errors: files that take stdout and stderr
    init(
        _ arguments: [String], environment: [String: String], output: String, errors: String,
        input: String = "/dev/null"
    ) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The test runner's own signal mask and group must not leak into what it starts.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)

        let argv = arguments.map { strdup($0) } + [nil]
        let envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in argv + envp { free(text) } }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, arguments[0], &actions, &attributes, argv, envp)
        guard code == 0 else { throw Failure("cannot start \(arguments[0]): \(String(cString: strerror(code)))") }
        self.pid = pid
    }

    deinit {
        if poll() == nil {
            Glibc.kill(-pid, SIGKILL)
            var status: Int32 = 0
            waitpid(pid, &status, 0)
        }
    }

    func signal(_ number: Int32) { if poll() == nil { Glibc.kill(pid, number) } }

    /// The exit status once it has ended (128 + the signal's number if one ended it), nil while it runs.
    func poll() -> Int32? {
        exit.withLock { exit in
            if let exit { return exit }
            var status: Int32 = 0
            guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
            exit = status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + status & 0x7f
            return exit
        }
    }

    @discardableResult
    func waitForExit(_ limit: Duration = .seconds(60)) async throws -> Int32 {
        try await eventually("process \(pid) ends", within: limit) { self.poll() }
    }

    /// Runs to the end and returns what it printed.
    static func run(
        _ arguments: [String], environment: [String: String] = [:], input: String = "/dev/null",
        within limit: Duration = .seconds(120)
    ) async throws -> Finished {
        let folder = try TemporaryFolder()
        let process = try Subprocess(
            arguments, environment: ProcessInfo.processInfo.environment.merging(environment) { _, new in new },
            output: folder.path + "/out", errors: folder.path + "/err", input: input)
        let status = try await process.waitForExit(limit)
        return Finished(status: status, output: folder.read("out"), errors: folder.read("err"))
    }
}

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A folder that goes when the test has let go of it.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/sluice-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure("mkdtemp: \(String(cString: strerror(errno)))") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func read(_ name: String) -> String {
        (try? String(decoding: Data(contentsOf: URL(fileURLWithPath: path + "/" + name)), as: UTF8.self)) ?? ""
    }

    func write(_ name: String, _ text: String) throws {
        let url = URL(fileURLWithPath: path + "/" + name)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url, options: .atomic)
    }
}

/// Asks until the answer is not nil. The pause between two questions is short; the limit ends a test that hangs.
func eventually<Answer>(
    _ what: String, within limit: Duration = .seconds(60), _ question: () async throws -> Answer?
) async throws -> Answer {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if let answer = try await question() { return answer }
        try await Task.sleep(for: .milliseconds(20))
    }
    throw Failure("did not happen within \(limit): \(what)")
}

/// A TCP port that was free a moment ago.
func freePort() throws -> Int {
    for _ in 0..<1000 {
        let port = Int.random(in: 20_000..<32_000)
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure("socket: \(errno)") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        address.sin_port = UInt16(port).bigEndian
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if code == 0 { return port }
    }
    throw Failure("no free port between 20000 and 32000")
}

/// One request on a connection of its own; the whole answer as text.
func httpGet(port: Int, path: String) throws -> String {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw Failure("socket: \(errno)") }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    address.sin_port = in_port_t(port).bigEndian
    let connected = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard connected == 0 else { throw Failure("connect: \(errno)") }
    let request = "GET \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n\r\n"
    _ = request.withCString { write(descriptor, $0, strlen($0)) }
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    while case let got = read(descriptor, &buffer, buffer.count), got > 0 { answer += buffer[0..<got] }
    return String(decoding: answer, as: UTF8.self)
}
