import EventLoop
import Glibc
import Synchronization
import Testing

/// Two connected sockets that do not block.
private func socketPair() throws -> (CInt, CInt) {
    var ends: [CInt] = [-1, -1]
    let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw SystemError("socketpair") }
    return (ends[0], ends[1])
}

private func put(_ fd: CInt, _ count: Int) -> Int {
    let bytes = [UInt8](repeating: 7, count: count)
    return write(fd, bytes, bytes.count)
}

private func take(_ fd: CInt, _ count: Int) -> Int {
    var bytes = [UInt8](repeating: 0, count: count)
    return read(fd, &bytes, count)
}

private func outcome(_ wait: () async throws(WaitError) -> Void) async -> WaitError? {
    do throws(WaitError) {
        try await wait()
        return nil
    } catch {
        return error
    }
}

@Suite(.timeLimit(.minutes(1))) struct DescriptorTests {
    @Test func `a waiting reader wakes for bytes, and for the end of the stream`() async throws {
        try await onLoop { loop in
            let (mine, theirs) = try socketPair()
            let descriptor = try loop.watch(mine, .edge)
            defer { descriptor.close() }
            loop.spawn { _ = put(theirs, 3) }
            try await descriptor.readable()
            #expect(take(mine, 8) == 3)
            #expect(take(mine, 8) == -1)
            descriptor.drainedReadable()
            loop.spawn { close(theirs) }
            try await descriptor.readable()
            #expect(take(mine, 8) == 0)
        }
    }

    @Test func `an end of stream that came with the last bytes is not lost after a short read`() async throws {
        try await onLoop { loop in
            let (mine, theirs) = try socketPair()
            _ = put(theirs, 3)
            close(theirs)
            let descriptor = try loop.watch(mine, .edge)
            defer { descriptor.close() }
            try await descriptor.readable()
            #expect(take(mine, 8) == 3)
            descriptor.readShort()
            #expect(
                await outcome { () async throws(WaitError) in
                    try await descriptor.readable(deadline: .now + .seconds(5))
                } == nil)
            #expect(take(mine, 8) == 0)
        }
    }

    @Test func `bytes that come after a short read wake the reader`() async throws {
        try await onLoop { loop in
            let (mine, theirs) = try socketPair()
            let descriptor = try loop.watch(mine, .edge)
            defer { descriptor.close() }
            _ = put(theirs, 1)
            for _ in 0..<200 {
                try await descriptor.readable(deadline: .now + .seconds(5))
                #expect(take(mine, 8) == 1)
                // Between the read and our telling so.
                _ = put(theirs, 1)
                descriptor.readShort()
            }
            close(theirs)
        }
    }

    @Test func `a writer waits for room`() async throws {
        try await onLoop { loop in
            let (mine, theirs) = try socketPair()
            let descriptor = try loop.watch(mine, .edge)
            defer { descriptor.close() }
            while put(mine, 65_536) > 0 {}
            descriptor.drainedWritable()
            #expect(
                await outcome { () async throws(WaitError) in
                    try await descriptor.writable(deadline: .now + .milliseconds(20))
                } == .timedOut)
            loop.spawn { while take(theirs, 65_536) > 0 {} }
            try await descriptor.writable(deadline: .now + .seconds(5))
            #expect(put(mine, 1) == 1)
            close(theirs)
        }
    }

    @Test func `a deadline, a cancellation and a close each end a wait, and say which`() async throws {
        let outcomes = try await onLoop { loop in
            let (mine, theirs) = try socketPair()
            defer { close(theirs) }
            let descriptor = try loop.watch(mine, .edge)
            var outcomes: [WaitError?] = []
            outcomes.append(
                await outcome { () async throws(WaitError) in
                    try await descriptor.readable(deadline: .now + .milliseconds(10))
                })
            for isClose in [false, true] {
                let seen = Mutex<WaitError?>(nil)
                let waiting = loop.spawn {
                    let error = await outcome { () async throws(WaitError) in try await descriptor.readable() }
                    seen.withLock { $0 = error }
                }
                try await loop.sleep(for: .milliseconds(5))
                if isClose { descriptor.close() } else { waiting.cancel() }
                await waiting.value
                outcomes.append(seen.withLock { $0 })
            }
            outcomes.append(await outcome { () async throws(WaitError) in try await descriptor.readable() })
            return outcomes
        }
        #expect(outcomes == [.timedOut, .cancelled, .closed, .closed])
    }

    @Test func `a reader, a writer and a second reader wait side by side`() async throws {
        try await onLoop { loop in
            let (mine, theirs) = try socketPair()
            let descriptor = try loop.watch(mine, .edge)
            defer { descriptor.close() }
            while put(mine, 65_536) > 0 {}
            descriptor.drainedWritable()
            async let first: Void = descriptor.readable(deadline: .now + .seconds(5))
            async let second: Void = descriptor.readable(deadline: .now + .seconds(5))
            async let writer: Void = descriptor.writable(deadline: .now + .seconds(5))
            try await loop.sleep(for: .milliseconds(5))
            _ = put(theirs, 1)
            try await first
            try await second
            while take(theirs, 65_536) > 0 {}
            try await writer
            close(theirs)
        }
    }

    @Test func `one-shot waits have level semantics`() async throws {
        try await onLoop { loop in
            let (mine, theirs) = try socketPair()
            let descriptor = try loop.watch(mine, .oneShot)
            defer { descriptor.close() }
            _ = put(theirs, 2)
            // Nothing is read in between, and yet each wait ends.
            for _ in 0..<3 { try await descriptor.readable(deadline: .now + .seconds(5)) }
            #expect(take(mine, 8) == 2)
            #expect(
                await outcome { () async throws(WaitError) in
                    try await descriptor.readable(deadline: .now + .milliseconds(10))
                } == .timedOut)
            async let reading: Void = descriptor.readable(deadline: .now + .seconds(5))
            try await descriptor.writable(deadline: .now + .seconds(5))
            _ = put(theirs, 1)
            try await reading
            close(theirs)
        }
    }

    @Test func `a closed descriptor never touches the file that got its number`() async throws {
        try await onLoop { loop in
            let (first, second) = (try socketPair(), try socketPair())
            // Numbers so high that no test beside this one is given them.
            let mine = fcntl(first.0, F_DUPFD_CLOEXEC, 3000)
            let stale = try loop.watch(mine, .edge)
            stale.close()
            let (successor, peer) = (fcntl(second.0, F_DUPFD_CLOEXEC, mine), second.1)
            #expect(successor == mine)
            let fresh = try loop.watch(successor, .edge)
            #expect(stale.withOpenFD { take($0, 1) } == nil)
            stale.close()
            _ = put(peer, 1)
            try await fresh.readable(deadline: .now + .seconds(5))
            #expect(fresh.withOpenFD { take($0, 8) } == 1)
            fresh.close()
            for fd in [first.0, first.1, second.0, peer] { close(fd) }
        }
    }

    @Test func `a task on another thread loses no wake-up`() async throws {
        let loops = try LoopGroup(count: 2, name: "foreign")
        defer { loops.stop() }
        let (mine, theirs) = try socketPair()
        let descriptor = try loops.loops[0].watch(mine, .edge)
        let received = Mutex(0)
        let total = 20_000
        let reader = loops.loops[1].spawn {
            while received.withLock({ $0 }) < total {
                let count = take(mine, 64)
                if count > 0 {
                    received.withLock { $0 += count }
                } else {
                    descriptor.drainedReadable()
                    if await outcome({ () async throws(WaitError) in
                        try await descriptor.readable(deadline: .now + .seconds(5))
                    }) != nil {
                        return
                    }
                }
            }
        }
        var sent = 0
        while sent < total { sent += max(0, put(theirs, 1)) }
        await reader.value
        #expect(received.withLock { $0 } == total)
        descriptor.close()
        close(theirs)
    }

    @Test func `a file that cannot be watched stays the caller's`() async throws {
        try await onLoop { loop in
            let file = open("/dev/null", O_RDONLY)
            let regular = open("/etc/passwd", O_RDONLY)
            #expect(throws: SystemError.self) { try loop.watch(regular, .edge) }
            #expect(fcntl(regular, F_GETFD) >= 0)
            close(regular)
            close(file)
        }
    }
}
