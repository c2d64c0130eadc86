import Catalog
import HTTP
import S3
import Spec
import Telemetry
import TestSupport
import Testing

@testable import Gateway

@Suite struct TransferServiceTests {
    @Test func `an object is on as many backends as must acknowledge it`() async throws {
        try await GatewayHarness.run { harness in
            #expect(await harness.put("k", "content").status == 200)
            #expect(await harness.copies("k") == 2)
            #expect(harness.backends.filter { !$0.names.isEmpty }.count == 2)
        }
    }

    @Test func `thirty-two clients that hang up leave everybody else's uploads alone`() async throws {
        try await GatewayHarness.run { harness in
            for _ in 0..<32 {
                var request = SignedRequest.make(.put, "/photos/k", [], Array("content".utf8))
                request.body = BrokenBody(Bytes("con"), .truncated)
                #expect(await harness.answer(request).code == "IncompleteBody")
            }
            #expect(await harness.put("k", "content").status == 200)
            #expect(await harness.copies("k") == 2)
            for id in 1...3 { #expect(harness.health.admits(BackendID(Int32(id)))) }
        }
    }

    @Test func `a backend that refuses for certain is made up for, one that may have taken the bytes is not`()
        async throws
    {
        try await GatewayHarness.run { harness in
            harness.backends[0].inject(.fail(.accessDenied), into: .put)
            #expect(await harness.put("sure", "content").status == 200)
            #expect(await harness.copies("sure") == 1)
            for store in harness.backends { store.inject(.fail(.timedOut, mayArriveLate: true), into: .put) }
            let answer = await harness.put("unsure", "content")
            #expect(answer.status == 503 && answer.fields["retry-after"] != nil)
            #expect(await !harness.exists("unsure"))
        }
    }

    @Test func `a backend that keeps failing gets no new copies for a while`() async throws {
        try await GatewayHarness.run { harness in
            harness.backends[0].inject(.fail(.unreachable), into: .put, times: 1000)
            for index in 0..<20 { #expect(await harness.put("k\(index)", "content").status == 200) }
            #expect(harness.backends[0].calls(.put) == BackendHealth.failuresMax)
            #expect(await harness.copies("k19") == 2)
        }
    }

    @Test func `without room, and without any backend, the answer says which`() async throws {
        try await GatewayHarness.run(quota: ByteCount(4)) { harness in
            let full = await harness.put("k", "content")
            #expect(full.status == 503 && full.element("Message")?.contains("quotas") == true)
            #expect(await harness.put("k", "ok").status == 200)
        }
        try await GatewayHarness.run { harness in
            for id in 1...3 {
                for _ in 0..<BackendHealth.failuresMax {
                    harness.health.record(
                        BackendID(Int32(id)), StoreError(.unreachable, mayArriveLate: false, evidence: ""))
                }
            }
            let none = await harness.put("k", "content")
            #expect(none.status == 503 && none.element("Message")?.contains("No backend accepts writes") == true)
        }
    }

    @Test func `a commit whose reply was lost is looked up, not guessed`() async throws {
        try await GatewayHarness.run { harness in
            harness.catalog.inject(.lostReply, into: .commit)
            #expect(await harness.put("happened", "content").status == 200)
            #expect(await harness.send(.get, "/photos/happened").text == "content")
            harness.catalog.inject(.lostRequest, into: .commit)
            #expect(await harness.put("did-not", "content").status == 503)
            #expect(await !harness.exists("did-not"))
        }
    }

    @Test func `an intent whose reply was lost shows nothing and may be tried again`() async throws {
        try await GatewayHarness.run { harness in
            harness.catalog.inject(.lostReply, into: .intend)
            let answer = await harness.put("k", "content")
            #expect(answer.status == 503 && answer.fields["retry-after"] != nil)
            #expect(await harness.put("k", "content").status == 200)
        }
    }

    @Test func `a GET costs one statement, a PUT two`() async throws {
        try await GatewayHarness.run { harness in
            let start = harness.statements
            await harness.put("k", "content")
            #expect(harness.statements == start + 2)
            _ = await harness.send(.get, "/photos/k")
            #expect(harness.statements == start + 3)
        }
    }
}
