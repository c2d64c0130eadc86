import Catalog
import HTTP
import S3
import Synchronization
import TestSupport
import Testing
import Transfer

@Suite struct CopyReaderTests {
    private static let size = 10_000
    private static let bytes = MemoryFleet.contents(of: "k", count: size)

    private func fleet(_ picture: FleetPicture = "a: k | b: k | c: k") -> MemoryFleet {
        MemoryFleet(picture, sizes: ["k": Self.size]) { _ in MemoryStore(runBytes: 512) }
    }

    /// Reads to the end, and tells what was found on the way.
    private func read(
        _ fleet: MemoryFleet, range: ByteRange? = nil
    ) async throws -> (Result<Bytes, BodyError>, [ReadFinding]) {
        let placed = try #require(try await fleet.catalog.current(fleet.object("k")))
        let findings = Mutex<[ReadFinding]>([])
        let reader = CopyReader(placed.version, placed.copies, range: range, context: fleet.context()) { finding in
            findings.withLock { $0.append(finding) }
        }
        let result: Result<Bytes, BodyError>
        do throws(ReadFailure) {
            try await reader.open()
            do throws(BodyError) {
                result = .success(try await reader.collect(limit: 1 << 20))
            } catch {
                result = .failure(error)
                // An error stays: a reader that fails must never look finished.
                await #expect(throws: error) { try await reader.next() }
            }
        } catch {
            result = .failure(.source("\(error.errors.map(\.code.rawValue))"))
        }
        return (result, findings.withLock { $0 })
    }

    @Test func `the first copy serves`() async throws {
        let fleet = fleet()
        let (result, findings) = try await read(fleet)
        #expect(result == .success(Self.bytes))
        #expect(findings == [.served(fleet.backend("a"))])
        #expect(fleet.store("b").calls(.get) == 0)
    }

    @Test(arguments: [StoreError.Code.noSuchKey, .timedOut, .unreachable, .accessDenied, .wrongLocation, .throttled])
    func `an error before the body goes on with the next copy`(code: StoreError.Code) async throws {
        let fleet = fleet()
        fleet.store("a").inject(.fail(code), into: .get)
        let (result, findings) = try await read(fleet)
        #expect(result == .success(Self.bytes))
        let isSuspect = findings.contains { if case .suspect = $0 { true } else { false } }
        #expect(isSuspect == (code == .noSuchKey), "only NoSuchKey speaks of the copy, the rest of the backend")
        #expect(findings.last == .served(fleet.backend("b")))
    }

    @Test(arguments: [Int64(0), 1, 511, 512, 513, 5_000, 9_999])
    func `an error during the body goes on at the same offset`(cut: Int64) async throws {
        let fleet = fleet()
        fleet.store("a").inject(.cutAfter(cut), into: .get)
        fleet.store("b").inject(.cutAfter((10_000 - cut) / 2), into: .get)
        let (result, findings) = try await read(fleet)
        #expect(result == .success(Self.bytes))
        #expect(findings.last == .served(fleet.backend("c")))
    }

    @Test func `when the last copy breaks off, the reader is told, and again when it asks again`() async throws {
        let fleet = fleet("a: k | b: k")
        for name in ["a", "b"] { fleet.store(name).inject(.cutAfter(3_000), into: .get) }
        guard case .failure(.source) = try await read(fleet).0 else {
            Issue.record("a truncated body was a success")
            return
        }
    }

    @Test func `every copy absent is told apart from backends that do not answer`() async throws {
        let fleet = fleet("a: k | b: k")
        let placed = try #require(try await fleet.catalog.current(fleet.object("k")))
        func failure() async -> ReadFailure? {
            let reader = CopyReader(placed.version, placed.copies, range: nil, context: fleet.context()) { _ in }
            do throws(ReadFailure) { try await reader.open() } catch { return error }
            return nil
        }
        for copy in placed.copies { fleet.stores[copy.backend]?.lose(copy.physicalKey) }
        #expect(await failure()?.allAbsent == true)
        fleet.store("b").inject(.fail(.timedOut), into: .get)
        #expect(await failure()?.allAbsent == false)
    }

    @Test func `suspects are the last resort`() async throws {
        let fleet = fleet("a: k* | b: k")
        #expect(try await read(fleet).1 == [.served(fleet.backend("b"))])
        fleet.store("b").inject(.fail(.timedOut), into: .get)
        let (result, findings) = try await read(fleet)
        #expect(result == .success(Self.bytes))
        #expect(findings.last == .served(fleet.backend("a")))
    }

    @Test func `a copy of another size is not served`() async throws {
        let fleet = fleet()
        let name = try #require(fleet.store("a").names.first)
        fleet.store("a").place(name, Bytes("short"), StoredMetadata())
        let (result, findings) = try await read(fleet)
        #expect(result == .success(Self.bytes))
        #expect(
            findings.contains { if case .suspect(let copy) = $0 { copy.backend == fleet.backend("a") } else { false } })
    }

    @Test(arguments: [UInt64(1), 2, 3, 4])
    func `any range is exact, also over failing copies`(seed: UInt64) async throws {
        var random = SimulatedRandom(seed: seed)
        for _ in 0..<50 {
            let fleet = fleet()
            let lower = random.below(Self.size)
            let upper = lower + 1 + random.below(Self.size - lower)
            for name in ["a", "b"] where random.chance(60) {
                fleet.store(name).inject(.cutAfter(Int64(random.below(upper - lower + 1))), into: .get)
            }
            let (result, _) = try await read(fleet, range: ByteRange(Int64(lower), Int64(upper)))
            #expect(result == .success(Self.bytes[lower..<upper]), "seed \(seed): \(lower)..<\(upper)")
        }
    }

    @Test func `an empty object needs no copy`() async throws {
        let fleet = MemoryFleet("a: k", sizes: ["k": 0])
        #expect(try await fleet.read("k") == Bytes(""))
    }

    @Test func `a reader that goes away says nothing about backends`() async throws {
        let fleet = fleet()
        fleet.store("a").inject(.fail(.cancelled), into: .get)
        let (result, findings) = try await read(fleet)
        #expect(findings == [])
        #expect(result == .failure(.source("[\"cancelled\"]")))
    }
}
