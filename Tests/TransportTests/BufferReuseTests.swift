import HTTP
import Testing

@Suite(.timeLimit(.minutes(1))) struct BufferReuseTests {
    @Test func `a large buffer belongs to one run of bytes until its last slice is gone`() async {
        await withTaskGroup(of: Void.self) { group in
            for worker in UInt8(0)..<4 {
                group.addTask {
                    var held: [Bytes] = []
                    for turn in 0..<200 {
                        let mark = worker &* 60 &+ UInt8(turn % 60)
                        // Sizes on both sides of what is kept.
                        let size = [100_000, 200_000, 262_144, 300_000][turn % 4]
                        let bytes = Bytes(capacity: size) { buffer in
                            buffer.initializeMemory(as: UInt8.self, repeating: mark)
                            return size
                        }
                        held.append(bytes[(size - 10)..<size])
                        #expect(bytes[0] == mark && bytes[size / 2] == mark)
                        await Task.yield()
                        if held.count > 20 {
                            let oldest = held.removeFirst()
                            #expect(oldest.array == Array(repeating: oldest[0], count: 10))
                            #expect(oldest[0] == worker &* 60 &+ UInt8((turn - 20) % 60))
                        }
                    }
                }
            }
        }
    }
}
