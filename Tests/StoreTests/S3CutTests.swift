import EventLoop
import Glibc
import HTTP
import S3
import S3Client
import Synchronization
import TestSupport
import Testing
import Transport

/// A listener that closes its connections without an answer.
final class CuttingServer: Sendable {
    private let listener: CInt
    let port: Int
    private let taken = Atomic<Int>(0)
    var connections: Int { taken.load(ordering: .relaxed) }

    init() throws {
        listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let fd = listener
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(fd, $0, length) == 0 && listen(fd, 16) == 0 ? getsockname(fd, $0, &length) : -1
            }
        }
        guard code == 0 else { throw SystemError("listen") }
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { close(listener) }

    /// Blocks until so many connections were taken, read from and reset.
    func cut(_ count: Int) {
        for _ in 0..<count {
            let fd = accept(listener, nil, nil)
            guard fd >= 0 else { return }
            taken.add(1, ordering: .relaxed)
            var byte: UInt8 = 0
            _ = recv(fd, &byte, 1, 0)
            var hard = linger(l_onoff: 1, l_linger: 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, socklen_t(MemoryLayout<linger>.size))
            close(fd)
        }
    }
}

@Suite struct S3CutTests {
    @Test func `a connection that is cut leaves a write unknown, and is made once`() async throws {
        try await S3Harness.run { harness in
            let server = try CuttingServer()
            async let cutting: Void = harness.pool.run { server.cut(1) }
            let store = harness.store(port: server.port, bucket: "bucket")
            do throws(StoreError) {
                _ = try await S3FaultTests.put(store)
                Issue.record("no error")
            } catch {
                #expect(error.code == .reset && error.mayArriveLate, "\(error)")
            }
            await cutting
            #expect(server.connections == 1)
        }
    }

    @Test func `a read that is cut is repeated, and then has failed without an effect`() async throws {
        try await S3Harness.run { harness in
            let server = try CuttingServer()
            var retries = ReadRetries()
            retries.sleep = { _ in }
            let attempts = retries.attemptsMax
            async let cutting: Void = harness.pool.run { server.cut(attempts) }
            let store = harness.store(port: server.port, bucket: "bucket", retries: retries)
            do throws(StoreError) {
                _ = try await store.get("k", range: nil)
                Issue.record("no error")
            } catch {
                #expect(error.code == .reset && !error.mayArriveLate, "\(error)")
            }
            await cutting
            #expect(server.connections == attempts)
        }
    }

    @Test func `a call that is cancelled ends at once; of a write nothing is known then`() async throws {
        try await S3Harness.run { harness in
            let (arrivals, arrived) = AsyncStream.makeStream(of: Void.self)
            let store = try harness.scripted { _, request in
                arrived.yield()
                _ = await S3FaultTests.read(request)
                do throws(CancellationError) { try await EventLoop.sleep(for: .seconds(60)) } catch {}
                return S3FaultTests.answer(500)
            }
            var waiting = arrivals.makeAsyncIterator()
            for isWrite in [true, false] {
                let failure = await withTaskGroup(of: StoreError?.self) { group in
                    group.addTask {
                        do throws(StoreError) {
                            if isWrite {
                                _ = try await S3FaultTests.put(store)
                            } else {
                                _ = try await store.get("k", range: nil)
                            }
                            return nil
                        } catch {
                            return error
                        }
                    }
                    await waiting.next()
                    group.cancelAll()
                    return await group.next() ?? nil
                }
                #expect(failure?.code == .cancelled && failure?.mayArriveLate == isWrite)
            }
        }
    }
}
