import EventLoop
import HTTP
import Testing
import Transport

/// SplitMix64, so that a failure can be replayed from its printed seed.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite(.timeLimit(.minutes(2))) struct PipelineTests {
    /// A request with a body in a random framing, and whether the handler reads it.
    private static func request(_ number: Int, isLast: Bool, _ random: inout SeededGenerator) -> (
        text: String, answer: String
    ) {
        let body = String(
            (0..<Int.random(in: 0...300, using: &random)).map { _ in
                Character(["a", "b", "\r", "\n", "0"].randomElement(using: &random) ?? "a")
            })
        let isRead = Bool.random(using: &random)
        var text =
            "PUT /\(isRead ? "read" : "leave")/\(number) HTTP/1.1\r\nHost: a\r\n\(isLast ? "Connection: close\r\n" : "")"
        if Bool.random(using: &random) {
            text += "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        } else {
            text += "Transfer-Encoding: chunked\r\n\r\n"
            var rest = Array(body.utf8)[...]
            while !rest.isEmpty {
                let chunk = rest.prefix(Int.random(in: 1...100, using: &random))
                rest = rest.dropFirst(chunk.count)
                text += String(chunk.count, radix: 16) + "\r\n" + String(decoding: chunk, as: UTF8.self) + "\r\n"
            }
            text += "0\r\n\r\n"
        }
        return (text, "<\(number):\(isRead ? "\(body.utf8.count)" : "left")>")
    }

    @Test(arguments: (0..<24).map { _ in UInt64.random(in: 0 ... .max) })
    func `requests that come in pieces of any size are answered in order, read or not`(seed: UInt64) async throws {
        let answer: @Sendable (Request) async -> Response = { request in
            let path = request.head.target.split(separator: "/")
            guard path.count == 2, path[0] == "read" else { return text(200, "<\(path.last ?? ""):left>") }
            let count = (try? await request.body.collect(limit: 1000).count) ?? -1
            return text(200, "<\(path[1]):\(count)>")
        }
        try await withServer(answer: answer) { served in
            var random = SeededGenerator(state: seed)
            let requests = (0..<12).map { PipelineTests.request($0, isLast: $0 == 11, &random) }
            var stream = Array(requests.map(\.text).joined().utf8)[...]
            let peer = try await served.peer()
            while !stream.isEmpty {
                let piece = stream.prefix(Int.random(in: 1...400, using: &random))
                stream = stream.dropFirst(piece.count)
                try await peer.send(Array(piece))
                if Bool.random(using: &random) { try await EventLoop.sleep(for: .milliseconds(1)) }
            }
            let answers = try await peer.receiveAll()
            let marks = answers.split(separator: "<").dropFirst().map { "<" + $0.prefix { $0 != ">" } + ">" }
            #expect(marks == requests.map(\.answer), "seed \(seed)")
        }
    }

    @Test(arguments: (0..<24).map { _ in UInt64.random(in: 0 ... .max) })
    func `bytes that are no HTTP end the connection and nothing else`(seed: UInt64) async throws {
        let answer: @Sendable (Request) async -> Response = { request in
            _ = try? await request.body.collect(limit: 1000)
            return text(200, "")
        }
        try await withServer(answer: answer) { served in
            var random = SeededGenerator(state: seed)
            var bytes = Array(
                "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n".utf8)
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            let peer = try await served.peer()
            // A server that has seen enough may have reset the connection.
            try? await peer.send(bytes)
            peer.finishWriting()
            _ = try? await peer.receiveAll()
            peer.close()
            #expect(try await eventually { served.server.connectionCount == 0 }, "seed \(seed)")
            let next = try await served.peer()
            try await next.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            #expect(try await next.receiveAll().hasPrefix("HTTP/1.1 200 "), "seed \(seed)")
        }
    }
}
