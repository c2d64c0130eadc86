import Catalog
import HTTP
import S3
import Telemetry
import TestSupport
import Testing

@testable import Gateway

@Suite struct FailureTests {
    @Test func `an error document is AWS's`() async throws {
        try await GatewayHarness.run { harness in
            let answer = await harness.send(.get, "/photos/a%26b")
            #expect(
                answer.text == """
                    <?xml version="1.0" encoding="UTF-8"?>
                    <Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>a&amp;b</Key>\
                    <Resource>/photos/a%26b</Resource><RequestId>0123456789ABCDEF</RequestId></Error>
                    """)
            #expect(answer.fields["content-type"] == "application/xml")
            #expect(answer.fields["x-amz-request-id"] == "0123456789ABCDEF")
        }
    }

    static let table: [(TransferFailure, String, Int, Bool)] = [
        (.catalog(.unavailable(evidence: "e")), "ServiceUnavailable", 503, true),
        (.catalog(.timedOut(evidence: "e")), "ServiceUnavailable", 503, true),
        (.catalog(.readOnly(evidence: "e")), "ServiceUnavailable", 503, true),
        (.catalog(.unknownOutcome(evidence: "e")), "InternalError", 500, false),
        (.catalog(.internalError(evidence: "e")), "InternalError", 500, false),
        (.noEligibleBackend, "ServiceUnavailable", 503, true), (.overQuota, "ServiceUnavailable", 503, true),
        (.tooFewCopies(stored: 1, required: 2, evidence: "e"), "ServiceUnavailable", 503, true),
        (.fenceLost, "ServiceUnavailable", 503, true), (.unknownOutcome, "InternalError", 500, false),
        (.preconditionFailed, "PreconditionFailed", 412, false), (.noSuchKey, "NoSuchKey", 404, false),
        (.body(.tooSlow), "RequestTimeout", 400, false), (.body(.truncated), "IncompleteBody", 400, false),
        (.body(.tooLong), "IncompleteBody", 400, false), (.body(.malformed("x")), "InvalidRequest", 400, false),
        (.body(.contentMismatch(code: "NoSuchCode", message: "m")), "InvalidRequest", 400, false),
    ]

    @Test(arguments: table)
    func `each failure of a write has its code, and only what may be repeated says when`(
        failure: TransferFailure, code: String, status: Int, retries: Bool
    ) async throws {
        try await GatewayHarness.run { harness in
            harness.transfer.fail(with: failure)
            let answer = await harness.put("k", "x")
            #expect(answer.code == code && answer.status == status, "\(failure)")
            #expect((answer.fields["retry-after"] != nil) == retries, "\(failure)")
        }
    }

    @Test func `without the database everything that needs it is 503`() async throws {
        try await GatewayHarness.run { harness in
            for call in MemoryCatalog.Call.allCases { harness.catalog.inject(.unavailable, into: call, times: 9) }
            for (method, target) in [
                (HTTP.Method.get, "/photos/k"), (.head, "/photos/k"), (.delete, "/photos/k"),
                (.get, "/photos?list-type=2"),
                (.get, "/photos?uploads"), (.delete, "/photos/k?uploadId=0000000000000000000000000z"),
            ] {
                let answer = await harness.send(method, target)
                #expect(answer.status == 503 && answer.fields["retry-after"] == "5", "\(method) \(target)")
                #expect(!answer.text.contains("injected"))
            }
            #expect(await harness.send(.get, "/").status == 200)
        }
    }

    @Test func `the access log has no key, no query and no secret, and one line per request`() async throws {
        try await GatewayHarness.run { harness in
            _ = await harness.send(.put, "/photos/private-name", body: "xyz", proof: .presigned, payload: .unsigned)
            let lines = harness.logLines.all
            #expect(lines.count == 1)
            let line = lines.first ?? ""
            for word in ["private-name", "X-Amz-Signature", "photossecret"] { #expect(!line.contains(word)) }
            for word in [
                "\"op\":\"PutObject\"", "\"status\":200", "\"bucket\":\"photos\"", "\"received_bytes\":3",
                "\"request_id\":\"0123456789ABCDEF\"", "\"access_key\":\"photoskey\"",
            ] { #expect(line.contains(word), "\(word) in \(line)") }
        }
    }

    @Test func `metrics count by operation and class, and unknown buckets make no series`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "xyz")
            _ = await harness.send(.get, "/photos/k")
            #expect(harness.metrics.render().contains("sluice_s3_sent_bytes_total 3\n"))
            _ = await harness.send(.get, "/made-up-by-a-client/k")
            let text = harness.metrics.render()
            for line in [
                "sluice_s3_requests_total{op=\"PutObject\",code_class=\"2xx\",bucket=\"photos\"} 1",
                "sluice_s3_requests_total{op=\"GetObject\",code_class=\"4xx\",bucket=\"\"} 1",
                "sluice_s3_requests_in_flight 0", "sluice_s3_received_bytes_total 3",
                "sluice_s3_request_duration_seconds_count{op=\"GetObject\"} 2",
            ] { #expect(text.contains(line), "\(line)") }
            #expect(!text.contains("made-up"))
        }
    }
}
