import HTTP
import Synchronization
import TestSupport
import Testing
import Transfer

/// Counts what was asked of it.
final class CountingReader: BodyReader {
    private let runs: [Bytes]
    private let failure: BodyError?
    private let count = Mutex(0)
    init(_ runs: [Bytes], failure: BodyError? = nil) {
        self.runs = runs
        self.failure = failure
    }
    var asked: Int { count.withLock { $0 } }
    func next() async throws(BodyError) -> Bytes? {
        let index = count.withLock { count in
            count += 1
            return count - 1
        }
        if index < runs.count { return runs[index] }
        if let failure { throw failure }
        return nil
    }
}

@Suite(.timeLimit(.minutes(1))) struct BodyFanOutTests {
    private static let runs = (0..<20).map { Bytes("run \($0);") }

    private func read(_ reader: any BodyReader) async -> Result<[Bytes], BodyError> {
        var runs: [Bytes] = []
        do throws(BodyError) {
            while let run = try await reader.next() { runs.append(run) }
            return .success(runs)
        } catch {
            return .failure(error)
        }
    }

    @Test(arguments: [1, 2, 5])
    func `every reader gets every run`(count: Int) async {
        let source = CountingReader(Self.runs)
        let fanOut = BodyFanOut(source, readers: count)
        await withTaskGroup(of: Result<[Bytes], BodyError>?.self) { group in
            group.addTask {
                await fanOut.pump()
                return nil
            }
            for index in 0..<count {
                let reader = fanOut.reader(index)
                group.addTask { await read(reader) }
            }
            for await result in group { if let result { #expect(result == .success(Self.runs)) } }
        }
        #expect(source.asked == Self.runs.count + 1)
    }

    @Test func `a failure reaches every reader and stays`() async {
        let fanOut = BodyFanOut(CountingReader([Self.runs[0]], failure: .tooSlow), readers: 2)
        let readers = [fanOut.reader(0), fanOut.reader(1)]
        async let pump: Void = fanOut.pump()
        async let first = read(readers[0])
        #expect(await read(readers[1]) == .failure(.tooSlow))
        #expect(await first == .failure(.tooSlow))
        #expect(await read(readers[1]) == .failure(.tooSlow))
        await pump
    }

    @Test func `nothing is read before somebody asks, and at most one run ahead of the slowest`() async throws {
        let source = CountingReader(Self.runs)
        let fanOut = BodyFanOut(source, readers: 2)
        let (fast, slow) = (fanOut.reader(0), fanOut.reader(1))
        async let pump: Void = fanOut.pump()
        await Task.yield()
        #expect(source.asked == 0)
        async let rest = read(fast)
        for taken in 1...5 {
            #expect(try await slow.next() == Self.runs[taken - 1])
            for _ in 0..<50 { await Task.yield() }
            #expect(source.asked <= taken + 1)
        }
        fanOut.drop(1)
        #expect(await rest == .success(Self.runs))
        await pump
    }

    @Test func `a reader that drops out does not hold the others up`() async {
        let fanOut = BodyFanOut(CountingReader(Self.runs), readers: 2)
        let reader = fanOut.reader(0)
        // The second reader is let go without ever reading.
        _ = fanOut.reader(1)
        async let pump: Void = fanOut.pump()
        #expect(await read(reader) == .success(Self.runs))
        await pump
    }

    @Test func `the pump ends when nobody is left`() async {
        let source = CountingReader(Self.runs)
        let fanOut = BodyFanOut(source, readers: 2)
        fanOut.drop(0)
        fanOut.drop(1)
        await fanOut.pump()
        #expect(source.asked == 0)
    }

    @Test func `a cancelled reader leaves the others alone`() async {
        let gate = Gate()
        let fanOut = BodyFanOut(GatedReader(gate, Self.runs), readers: 2)
        let (cancelled, other) = (fanOut.reader(0), fanOut.reader(1))
        await withTaskGroup(of: Result<[Bytes], BodyError>?.self) { group in
            group.addTask {
                await fanOut.pump()
                return nil
            }
            group.addTask { await read(other) }
            group.addTask {
                await withTaskGroup(of: Void.self) { inner in
                    inner.addTask { #expect(await read(cancelled) == .failure(.cancelled)) }
                    while gate.waiting == 0 { await Task.yield() }
                    inner.cancelAll()
                }
                fanOut.drop(0)
                gate.open()
                return nil
            }
            for await result in group { if let result { #expect(result == .success(Self.runs)) } }
        }
    }
}

/// Gives nothing before its gate opens.
final class GatedReader: BodyReader {
    private let gate: Gate
    private let reader: BytesReader
    init(_ gate: Gate, _ runs: [Bytes]) {
        self.gate = gate
        reader = BytesReader(runs: runs)
    }
    func next() async throws(BodyError) -> Bytes? {
        await gate.wait()
        return try await reader.next()
    }
}
