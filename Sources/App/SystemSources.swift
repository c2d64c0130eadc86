import CLinux
import Catalog
import Crypto
import Glibc
import HTTP
import Synchronization
import Transfer

/// Ids from the system's random generator and clock.
struct SystemIdentifiers: IdentifierSource {
    /// UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, version and variant, 74 random bits.
    private func timeOrdered() -> ID128 {
        let now = SystemClock.now()
        let milliseconds = UInt64(bitPattern: now.seconds) * 1000 + UInt64(now.nanoseconds / 1_000_000)
        let random = SystemRandom.bytes(10)
        let a = UInt64(random[0]) << 8 | UInt64(random[1])
        let b = random[2...].reduce(0) { $0 << 8 | UInt64($1) }
        return ID128(
            high: milliseconds << 16 | 0x7000 | a & 0x0FFF, low: b & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000)
    }

    private func random() -> ID128 { ID128(high: SystemRandom.word(), low: SystemRandom.word()) }

    func makeVersionID() -> VersionID { VersionID(timeOrdered()) }
    func makeCopyID() -> CopyID { CopyID(timeOrdered()) }
    func makeLeaseToken() -> LeaseToken { LeaseToken(random()) }
    func makeUploadID() -> UploadID { UploadID(random()) }
    func makeNameSuffix() -> UInt32 { UInt32(truncatingIfNeeded: SystemRandom.word() & 0x3FFF_FFFF) }
}

enum SystemClock {
    static func now() -> WallTime {
        var (seconds, nanoseconds) = (Int64(0), Int32(0))
        clinux_wall_clock(&seconds, &nanoseconds)
        return WallTime(seconds: seconds, nanoseconds: nanoseconds)
    }

    private static let start = ContinuousClock.now

    /// Monotonic; only differences mean anything.
    static func elapsed() -> Duration { start.duration(to: .now) }

    static func instanceName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "sluice" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// `SLUICE_CRASH_AT=name:count` ends the process with SIGKILL when the named point is reached for the count-th time; for tests.
enum CrashSwitch {
    static func plan(_ environment: [String: String]) throws(CommandFailure) -> CrashPlan {
        guard let text = environment["SLUICE_CRASH_AT"], !text.isEmpty else { return .none }
        let parts = text.split(separator: ":")
        guard let point = parts.first.flatMap({ CrashPoint(rawValue: String($0)) }), parts.count <= 2,
            let count = parts.count == 2 ? Int(parts[1]) : 1
        else {
            throw CommandFailure(
                .usage,
                "SLUICE_CRASH_AT=\(text) is not NAME:COUNT with a name of \(CrashPoint.allCases.map(\.rawValue).joined(separator: ", "))"
            )
        }
        let reached = Counter()
        return CrashPlan { one in
            if one == point, reached.next() == count { kill(getpid(), SIGKILL) }
        }
    }

    private final class Counter: Sendable {
        private let value = Atomic<Int>(0)
        func next() -> Int { value.wrappingAdd(1, ordering: .relaxed).newValue }
    }
}

/// Data goes to stdout, words for people to stderr.
enum Terminal {
    static func print(_ text: String) { write(text, to: STDOUT_FILENO) }
    static func say(_ text: String) { write(text, to: STDERR_FILENO) }

    /// One write a line where the kernel allows, so that lines of several threads do not mix.
    static func write(_ text: String, to descriptor: Int32) {
        var line = text.hasSuffix("\n") ? text : text + "\n"
        line.withUTF8 { bytes in
            var offset = 0
            while offset < bytes.count {
                let put = Glibc.write(descriptor, bytes.baseAddress?.advanced(by: offset), bytes.count - offset)
                if put < 0, errno == EINTR { continue }
                // Nobody reads: there is no better place to say so.
                guard put > 0 else { return }
                offset += put
            }
        }
    }
}
