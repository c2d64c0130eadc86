import Catalog
import HTTP
import S3
import Synchronization
import Telemetry
import Testing

@testable import Gateway

@Suite struct ReadObjectTests {
    static let ranges: [(String, Int, String, String?)] = [
        ("bytes=0-0", 206, "0", "bytes 0-0/10"), ("bytes=0-9", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=0-", 206, "0123456789", "bytes 0-9/10"), ("bytes=7-", 206, "789", "bytes 7-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"), ("bytes=-99", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=5-99", 206, "56789", "bytes 5-9/10"), ("bytes=10-", 416, "", nil), ("bytes=10-12", 416, "", nil),
        ("bytes=-0", 416, "", nil), ("bytes=5-2", 200, "0123456789", nil), ("bytes=a-b", 200, "0123456789", nil),
        ("bytes=0-1,3-4", 200, "0123456789", nil), ("lines=0-1", 200, "0123456789", nil), ("bytes=", 200, "0123456789", nil),
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
                ([("If-Match", "\"x\"")], 412), ([("If-Match", etag), ("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")], 200),
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
            harness.stores.state.withLock { $0.failingReads = GatewayLimits.readAttemptsMax - 1 }
            #expect(await harness.send(.get, "/photos/k").text == "content")
            harness.stores.state.withLock { $0.failingReads = GatewayLimits.readAttemptsMax }
            let answer = await harness.send(.get, "/photos/k")
            #expect(answer.status == 503 && answer.fields["retry-after"] != nil)
        }
    }

    @Test func `a read that breaks for good in the middle breaks the response instead of ending it`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "content")
            harness.stores.state.withLock { $0.readBreaksAfter = 3 }
            let answer = await harness.send(.get, "/photos/k")
            #expect(answer.text == "con" && answer.bodyError != nil && answer.fields["content-length"] == "7")
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
