import Glibc
import Synchronization

/// Another implementation of S3, on loopback: a real backend for tests. `scripts/test-tools` installs them.
///
/// A shell holds the other end of a pipe of this process: when this process ends, however it ends, the server is stopped and its
/// folder removed.
package final class S3ServerProcess: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        /// `rclone serve s3`: checks signatures, keeps files.
        case rclone
        /// `moto_server`: knows conditions and versions, checks no signatures, keeps all in memory.
        case moto
    }

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    package static let accessKeyID = "testkey"
    package static let secret = "testsecret"
    package static let region = "us-east-1"
    private static let startTimeout: Duration = .seconds(90)
    private static let one = Mutex<[Kind: Result<S3ServerProcess, Failure>]>([:])

    package let kind: Kind
    package let port: Int
    private let folder: String
    private let keeper: Mutex<(process: pid_t, pipe: CInt)?>

    /// One per process of tests; started by whoever asks first.
    package static func shared(_ kind: Kind) throws(Failure) -> S3ServerProcess {
        try one.withLock { one in
            if let one = one[kind] { return one }
            let started = Result { () throws(Failure) in try S3ServerProcess(kind) }
            one[kind] = started
            return started
        }.get()
    }

    /// One of its own, for tests that stop it.
    package init(_ kind: Kind) throws(Failure) {
        self.kind = kind
        var template = Array("/tmp/sluice-s3-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(description: "mkdtemp: errno \(errno)") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        port = try S3ServerProcess.freePort()
        let tool = S3ServerProcess.tools + (kind == .rclone ? "/rclone" : "/moto_server")
        guard access(tool, X_OK) == 0 else {
            rmdir(folder)
            throw Failure(description: "no \(tool): run scripts/test-tools, or set SLUICE_TEST_TOOLS")
        }
        let command =
            switch kind {
            case .rclone:
                [
                    tool, "serve", "s3", "--config", "/dev/null", "--addr", "127.0.0.1:\(port)", "--auth-key",
                    "\(S3ServerProcess.accessKeyID),\(S3ServerProcess.secret)", "--vfs-cache-mode", "off",
                    "--log-level", "ERROR",
                    folder + "/root",
                ]
            case .moto: [tool, "-H", "127.0.0.1", "-p", "\(port)"]
            }
        mkdir(folder + "/root", 0o700)
        keeper = Mutex(nil)
        let started = try S3ServerProcess.spawn(folder, command)
        keeper.withLock { $0 = started }
        let deadline = ContinuousClock.now + S3ServerProcess.startTimeout
        while !S3ServerProcess.answers(port) {
            guard ContinuousClock.now < deadline, waitpid(started.process, nil, WNOHANG) == 0 else {
                let log = S3ServerProcess.read(folder + "/log")
                stop()
                throw Failure(description: "\(kind.rawValue) did not answer: \(log.suffix(1000))")
            }
            usleep(20_000)
        }
    }

    deinit { stop() }

    /// Ends it at once; nothing answers on its port afterwards.
    package func stop() {
        guard
            let running = keeper.withLock({ keeper in
                defer { keeper = nil }
                return keeper
            })
        else { return }
        close(running.pipe)
        while waitpid(running.process, nil, 0) == -1, errno == EINTR {}
    }

    // MARK: Processes

    private static let tools: String = {
        if let folder = getenv("SLUICE_TEST_TOOLS") { return String(cString: folder) }
        let repository = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        return "/\(repository)/.build/test-tools/bin"
    }()

    /// Ends the server when its standard input does, and when the server does.
    private static func spawn(_ folder: String, _ command: [String]) throws(Failure) -> (process: pid_t, pipe: CInt) {
        var ends: [CInt] = [0, 0]
        guard pipe(&ends) == 0 else { throw Failure(description: "pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let script = """
            trap '' INT TERM HUP; folder=$1; shift
            "$@" </dev/null >"$folder/log" 2>&1 & server=$!
            cat >/dev/null
            kill -KILL "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$folder"
            """
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The test runner's own signal mask must not leak into what it starts.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        // A session of its own (POSIX_SPAWN_SETSID, 0x80): Ctrl-C in the terminal is for the tests.
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK) | 0x80)
        let arguments = (["/bin/sh", "-c", script, "sluice-s3-keeper", folder] + command).map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child = pid_t()
        let code = posix_spawn(&child, "/bin/sh", &actions, &attributes, arguments, environ)
        close(ends[0])
        guard code == 0 else {
            close(ends[1])
            throw Failure(description: "posix_spawn /bin/sh: errno \(code)")
        }
        return (child, ends[1])
    }

    /// A port that was free a moment ago. Below those that the system gives out by itself (ip_local_port_range), so that nobody
    /// else gets it before the server has it.
    private static func freePort() throws(Failure) -> Int {
        for _ in 0..<1000 {
            let port = Int.random(in: 20_000..<32_000)
            let fd = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            guard fd >= 0 else { throw Failure(description: "socket: errno \(errno)") }
            defer { close(fd) }
            var address = loopback(port: port)
            let code = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if code == 0 { return port }
        }
        throw Failure(description: "no free port between 20000 and 32000")
    }

    private static func answers(_ port: Int) -> Bool {
        let fd = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        guard fd >= 0 else { return false }
        defer { close(fd) }
        var address = loopback(port: port)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func loopback(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private static func read(_ path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        let count = fread(&buffer, 1, buffer.count, file)
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
