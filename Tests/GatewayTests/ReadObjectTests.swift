import Catalog
import HTTP
import S3
import Telemetry
import TestSupport
import Testing

@testable import Gateway

@Suite struct ReadObjectTests {
    static let ranges: [(String, Int, String, String?)] = [
        ("bytes=0-0", 206, "0", "bytes 0-0/10"), ("bytes=0-9", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=0-", 206, "0123456789", "bytes 0-9/10"), ("bytes=7-", 206, "789", "bytes 7-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"), ("bytes=-99", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=5-99", 206, "56789", "bytes 5-9/10"), ("bytes=10-", 416, "", nil), ("bytes=10-12", 416, "", nil),
        ("bytes=-0", 416, "", nil), ("bytes=5-2", 200, "0123456789", nil), ("bytes=a-b", 200, "0123456789", nil),
        ("bytes=0-1,3-4", 200, "0123456789", nil), ("lines=0-1", 200, "0123456789", nil),
        ("bytes=", 200, "0123456789", nil),
        ("bytes=99999999999999999999-", 416, "", nil),
    ]

    @Test(arguments: ranges)
    func `a range is answered as RFC 9110 and S3 have it`(
        header: String, status: Int, text: String, contentRange: String?
    ) async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "0123456789")
            let get = await harness.send(.get, "/photos/k", [("Range", header)])
            #expect(get.status == status && get.fields["content-range"] == contentRange, "\(header)")
            if status == 416 {
                #expect(get.code == "InvalidRange" && get.element("ActualObjectSize") == "10")
            } else {
                #expect(get.text == text)
            }
            let head = await harness.send(.head, "/photos/k", [("Range", header)])
            #expect(head.status == status && head.body.isEmpty)
            if status != 416 { #expect(head.fields["content-length"] == "\(text.utf8.count)") }
        }
    }

    @Test func `the Last-Modified that was given is not modified and not failed`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "x")
            let head = await harness.send(.head, "/photos/k")
            let modified = head.fields["last-modified"] ?? ""
            let etag = head.fields["etag"] ?? ""
            let cases: [([(String, String)], Int)] = [
                ([("If-Modified-Since", modified)], 304), ([("If-Unmodified-Since", modified)], 200),
                ([("If-None-Match", etag)], 304), ([("If-None-Match", "\"x\"")], 200), ([("If-Match", etag)], 200),
                ([("If-Match", "\"x\"")], 412),
                ([("If-Match", etag), ("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")], 200),
                ([("If-None-Match", "\"x\""), ("If-Modified-Since", modified)], 200),
                ([("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")], 412),
            ]
            for (headers, status) in cases {
                #expect(await harness.send(.get, "/photos/k", headers).status == status, "\(headers)")
                #expect(await harness.send(.head, "/photos/k", headers).status == status, "\(headers)")
            }
        }
    }

    @Test func `an empty object has no body and every range of it is refused`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "")
            let get = await harness.send(.get, "/photos/k")
            #expect(get.status == 200 && get.body.isEmpty)
            #expect(await harness.send(.get, "/photos/k", [("Range", "bytes=0-")]).status == 416)
            #expect(await harness.send(.get, "/photos/k?partNumber=1").status == 200)
        }
    }

    @Test func `copies that are gone make the read look again, a bounded number of times`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "content")
            let all = GatewayLimits.readAttemptsMax
            for store in harness.backends { store.inject(.fail(.timedOut), into: .get, times: all - 1) }
            #expect(await harness.send(.get, "/photos/k").text == "content")
            for store in harness.backends { store.heal() }
            for store in harness.backends { store.inject(.fail(.timedOut), into: .get, times: all) }
            let answer = await harness.send(.get, "/photos/k")
            #expect(answer.status == 503 && answer.fields["retry-after"] != nil)
        }
    }

    @Test func `a read that breaks for good in the middle breaks the response instead of ending it`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "content")
            for store in harness.backends { store.inject(.cutAfter(3), into: .get, times: 9) }
            let answer = await harness.send(.get, "/photos/k")
            #expect(
                "content".hasPrefix(answer.text) && answer.text.count < 7 && answer.bodyError != nil
                    && answer.fields["content-length"] == "7")
        }
    }

    @Test func `a backend that dies in the middle of a body is replaced by another at the same byte`() async throws {
        try await GatewayHarness.run { harness in
            let content = String(repeating: "0123456789", count: 20_000)
            await harness.put("k", content)
            for cut in [0, 1, 65_536, 199_999] {
                for store in harness.backends { store.heal() }
                // Whichever is read first breaks; the second copy goes on.
                let holder = try #require(harness.backends.first { !$0.names.isEmpty })
                holder.inject(.cutAfter(Int64(cut)), into: .get)
                let answer = await harness.send(.get, "/photos/k", [("Range", "bytes=10-")])
                #expect(answer.bodyError == nil && answer.text == String(content.dropFirst(10)), "cut at \(cut)")
            }
            #expect(harness.metrics.render().contains("sluice_read_failovers_total{backend=\"a\"}"))
        }
    }

    @Test func `a lost copy is served from another and marked, many at once are not believed`() async throws {
        try await GatewayHarness.run { harness in
            let keys = (0..<30).map { "k\($0)" }
            for key in keys { await harness.put(key, key) }
            for name in harness.backends[0].names { harness.backends[0].lose(name) }
            for key in keys { #expect(await harness.send(.get, "/photos/\(key)").text == key) }
            let marked = harness.catalog.tables.copies.values.filter(\.copy.isSuspect).count
            #expect(marked > 0 && marked < GatewayLimits.suspectsMax)
        }
    }

    @Test func `a client that goes away is logged as 499 and counted apart`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "content")
            // Dropped unread, as the server does when the connection is reset.
            _ = await harness.server.respond(to: SignedRequest.make(.get, "/photos/k", [], []))
            #expect(harness.logLines.all.last?.contains("\"status\":499") == true)
            #expect(harness.metrics.render().contains("sluice_s3_client_hangups_total{op=\"GetObject\"} 1"))
        }
    }

    @Test func `what is not there is 404 without a body for HEAD`() async throws {
        try await GatewayHarness.run { harness in
            let get = await harness.send(.get, "/photos/none")
            #expect(get.status == 404 && get.code == "NoSuchKey" && get.element("Key") == "none")
            let head = await harness.send(.head, "/photos/none")
            #expect(head.status == 404 && head.body.isEmpty && head.fields["x-amz-request-id"] == "0123456789ABCDEF")
        }
    }
}
