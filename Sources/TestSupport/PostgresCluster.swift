import Glibc
import Synchronization

/// A real, private Postgres on a unix socket in a folder of its own below /tmp.
///
/// A watcher process holds the other end of a pipe of this process: when this process ends, however it ends, the server is
/// stopped and the folder removed.
package final class PostgresCluster: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    private struct Running {
        var server: pid_t?
    }

    private static let owner = "postgres"
    private static let startTimeout: Duration = .seconds(60)
    private static let one = Mutex<Result<PostgresCluster, Failure>?>(nil)

    private let folder: String
    private let binaries: String
    private let isDurable: Bool
    private let running = Mutex(Running())
    private let databases = Atomic<Int>(0)

    /// The cluster that the tests of one process share; started by whoever asks first. Without fsync.
    package static func shared() throws(Failure) -> PostgresCluster {
        try one.withLock { one in
            if let one { return one }
            let started = Result { () throws(Failure) in try PostgresCluster(isDurable: false) }
            one = started
            return started
        }.get()
    }

    /// A cluster of its own, for tests that kill it.
    /// - Parameter isDurable: with fsync, as in production
    package init(isDurable: Bool) throws(Failure) {
        self.isDurable = isDurable
        guard let binaries = PostgresCluster.findBinaries() else {
            throw Failure(description: "no initdb in /usr/lib/postgresql/*/bin")
        }
        self.binaries = binaries
        var template = Array("/tmp/sluice-pg-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(description: "mkdtemp: errno \(errno)") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(folder, 0o755)
        if getuid() == 0, let user = getpwnam(PostgresCluster.owner) {
            chown(folder, user.pointee.pw_uid, user.pointee.pw_gid)
        }
        try watch()
        try run([
            binaries + "/initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-N",
        ])
        try start()
    }

    deinit {
        stop(immediately: true)
    }

    private var data: String { folder + "/data" }

    /// A libpq URI of `database`.
    package func uri(_ database: String = "postgres") -> String {
        "postgresql:///\(database)?host=\(folder.replacing("/", with: "%2F"))&user=postgres"
    }

    /// Where the server listens.
    package var socketPath: String { folder + "/.s.PGSQL.5432" }

    /// A fresh, empty database; its URI.
    package func createDatabase() throws(Failure) -> String {
        let name = "test\(databases.wrappingAdd(1, ordering: .relaxed).newValue)"
        try run([binaries + "/createdb", "-h", folder, "-U", "postgres", "-T", "template0", name])
        return uri(name)
    }

    // MARK: Life

    /// Starts the server and waits until it answers.
    package func start() throws(Failure) {
        let fsync = isDurable ? "on" : "off"
        let arguments = [
            binaries + "/postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "max_connections=200",
            "-c", "fsync=\(fsync)", "-c", "shared_buffers=64MB", "-c", "autovacuum_naptime=10s", "-c",
            "log_min_messages=log",
        ]
        let server = try spawn(arguments, output: folder + "/postgres.log")
        running.withLock { $0.server = server }
        let deadline = ContinuousClock.now + PostgresCluster.startTimeout
        while ContinuousClock.now < deadline {
            if (try? run([binaries + "/pg_isready", "-q", "-h", folder])) != nil { return }
            var status: CInt = 0
            if waitpid(server, &status, WNOHANG) == server {
                running.withLock { $0.server = nil }
                throw Failure(description: "postgres ended with \(status):\n\(log)")
            }
            usleep(20_000)
        }
        throw Failure(description: "postgres did not answer in \(PostgresCluster.startTimeout):\n\(log)")
    }

    /// SIGINT (fast) or SIGQUIT (immediate, with recovery at the next start); returns when it has ended.
    package func stop(immediately: Bool = false) {
        guard
            let server = running.withLock({ running in
                defer { running.server = nil }
                return running.server
            })
        else { return }
        Glibc.kill(server, immediately ? SIGQUIT : SIGINT)
        PostgresCluster.reap(server)
    }

    /// SIGKILL for the postmaster and all its children, as if the machine had gone; returns when none of them is left.
    package func kill() {
        guard
            let server = running.withLock({ running in
                defer { running.server = nil }
                return running.server
            })
        else { return }
        Glibc.kill(server, SIGSTOP)
        let children = PostgresCluster.children(of: server)
        for child in children { Glibc.kill(child, SIGKILL) }
        Glibc.kill(server, SIGKILL)
        PostgresCluster.reap(server)
        // They were adopted by init; the shared memory is free only when each of them has ended.
        for child in children { while Glibc.kill(child, 0) == 0, !PostgresCluster.isZombie(child) { usleep(5_000) } }
    }

    package func restart() throws(Failure) {
        stop()
        try start()
    }

    private var log: String {
        PostgresCluster.read(folder + "/postgres.log").map { String($0.suffix(2000)) } ?? ""
    }

    // MARK: Processes

    private static func findBinaries() -> String? {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob("/usr/lib/postgresql/*/bin/initdb", 0, nil, &found) == 0 else { return nil }
        let paths = (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
        let versions = paths.map { path in
            (Int(path.split(separator: "/")[3]) ?? 0, String(path.dropLast("/initdb".utf8.count)))
        }
        return versions.max { $0.0 < $1.0 }?.1
    }

    /// Ends with this process, since its standard input is a pipe that only this process holds the other end of.
    private func watch() throws(Failure) {
        var ends: [CInt] = [0, 0]
        guard pipe(&ends) == 0 else { throw Failure(description: "pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let script = """
            trap '' INT TERM HUP; cat >/dev/null
            if [ -f "$1/data/postmaster.pid" ]; then
              read pid <"$1/data/postmaster.pid"; kill -QUIT "$pid" 2>/dev/null
              for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
            fi
            rm -rf "$1"
            """
        _ = try spawn(["/bin/sh", "-c", script, "sluice-postgres-watcher", folder], asOwner: false, input: ends[0])
        close(ends[0])
        // ends[1] stays open for as long as this process lives.
    }

    private func run(_ arguments: [String]) throws(Failure) {
        let log = folder + "/commands.log"
        let child = try spawn(arguments, output: log)
        let status = PostgresCluster.reap(child)
        guard status == 0 else {
            throw Failure(description: "\(arguments[0]) ended with \(status): \(PostgresCluster.read(log) ?? "")")
        }
    }

    /// Postgres refuses to run as root: there, its own user runs it.
    private func spawn(
        _ command: [String], asOwner: Bool = true, input: CInt? = nil, output: String? = nil
    ) throws(Failure) -> pid_t {
        var command = command
        if asOwner, getuid() == 0 {
            let owner = PostgresCluster.owner
            command = ["/usr/bin/setpriv", "--reuid=\(owner)", "--regid=\(owner)", "--clear-groups"] + command
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_addopen(&actions, 1, output ?? "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0o644)
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
        let arguments = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child = pid_t()
        let code = posix_spawn(&child, command[0], &actions, &attributes, arguments, environ)
        guard code == 0 else { throw Failure(description: "posix_spawn \(command[0]): errno \(code)") }
        return child
    }

    @discardableResult
    private static func reap(_ child: pid_t) -> CInt {
        var status: CInt = 0
        while waitpid(child, &status, 0) == -1, errno == EINTR {}
        return status
    }

    private static func children(of parent: pid_t) -> [pid_t] {
        (read("/proc/\(parent)/task/\(parent)/children") ?? "").split(separator: " ").compactMap { pid_t($0) }
    }

    private static func isZombie(_ process: pid_t) -> Bool {
        read("/proc/\(process)/stat").map { $0.contains(") Z ") } ?? true
    }

    private static func read(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { text += buffer[..<count] }
        return String(decoding: text, as: UTF8.self)
    }
}
