import HTTP
import S3
import Testing
import Transport

@testable import S3Client

@Suite struct S3MappingTests {
    @Test(
        arguments: [
            (404, "NoSuchKey", StoreError.Code.noSuchKey), (404, nil, .rejected), (404, "NoSuchBucket", .wrongLocation),
            (404, "NoSuchUpload", .noSuchUpload), (301, "PermanentRedirect", .wrongLocation),
            (307, nil, .wrongLocation),
            (400, "AuthorizationHeaderMalformed", .wrongLocation), (403, "AccessDenied", .accessDenied),
            (403, nil, .accessDenied),
            (401, nil, .accessDenied), (403, "SignatureDoesNotMatch", .accessDenied), (403, "QuotaExceeded", .noSpace),
            (400, "XMinioAdminBucketQuotaExceeded", .noSpace), (507, nil, .noSpace),
            (507, "XMinioStorageFull", .noSpace),
            (429, nil, .throttled), (503, nil, .throttled), (503, "SlowDown", .throttled),
            (503, "ServiceUnavailable", .throttled),
            (409, "OperationAborted", .throttled), (409, "ConditionalRequestConflict", .throttled),
            (500, nil, .serverError),
            (500, "InternalError", .serverError), (502, nil, .serverError), (504, "Weird", .serverError),
            (412, nil, .alreadyExists),
            (416, "InvalidRange", .invalidRange), (400, "RequestTimeout", .timedOut), (408, nil, .timedOut),
            (501, "NotImplemented", .notSupported), (405, nil, .notSupported), (400, "BadDigest", .corrupt),
            (400, "InvalidPart", .rejected), (400, nil, .rejected), (418, "Teapot", .rejected),
        ] as [(Int, String?, StoreError.Code)])
    func `an answer has one meaning`(status: Int, name: String?, code: StoreError.Code) {
        let document = name.map { ResponseDocuments.ErrorDocument(code: $0, message: "m") }
        let error = StoreError(status, document, isWrite: true)
        #expect(error.code == code)
        #expect(error.mayArriveLate == (status >= 500 || status == 408))
        #expect(!StoreError(status, document, isWrite: false).mayArriveLate, "a read has no effect")
    }

    @Test func `what is not known to have failed may arrive late`() {
        let cases: [(ClientError, StoreError.Code, Bool)] = [
            (.unresolved(host: "h", evidence: ""), .unreachable, false), (.connect(evidence: ""), .unreachable, false),
            (.tls(evidence: ""), .unreachable, false), (.timedOut, .timedOut, true), (.reset, .reset, true),
            (.malformed(reason: ""), .reset, true), (.cancelled, .cancelled, true),
            (.bodyFailed(.truncated), .bodyFailed, false),
        ]
        for (cause, code, late) in cases {
            let error = StoreError(cause, isWrite: true)
            #expect(error.code == code && error.mayArriveLate == late, "\(cause)")
            #expect(!StoreError(cause, isWrite: false).mayArriveLate)
        }
        #expect(StoreError(.bodyFailed(.tooLong), isWrite: true).bodyError == .tooLong)
    }

    @Test func `a Content-Range is read strictly`() {
        let whole = ContentRange("bytes 0-9/100")
        #expect(whole?.range == ByteRange(0, 10) && whole?.size == 100)
        #expect(ContentRange("bytes 0-9/*")?.range == ByteRange(0, 10) && ContentRange("bytes 0-9/*")?.size == nil)
        for text in [
            "", "bytes", "bytes 0-9", "bytes 9-0/10", "bytes -1-2/10", "bytes 0-9/9", "bytes a-b/c", "items 0-9/10",
            "bytes 0-9/10/10",
            "bytes */10", "bytes 0-9223372036854775807/*", "bytes 0-9/x",
        ] {
            #expect(ContentRange(text) == nil, "\(text)")
        }
    }

    @Test func `pauses grow, are bounded by their number and by time, and follow only what is transient`() {
        var retries = ReadRetries()
        retries.attemptsMax = 10
        retries.random = { 0.999 }
        func pause(_ attempt: Int, _ code: StoreError.Code = .throttled, elapsed: Duration = .zero) -> Duration? {
            retries.pause(after: attempt, StoreError(code, mayArriveLate: false, evidence: ""), elapsed: elapsed)
        }
        var last = Duration.zero
        for attempt in 1..<10 {
            guard let next = pause(attempt) else { return #expect(Bool(false), "attempt \(attempt)") }
            #expect(next >= last && next <= retries.pauseMax)
            last = next
        }
        #expect(pause(10) == nil && pause(1, elapsed: .seconds(5)) == nil)
        for code in [
            StoreError.Code.accessDenied, .noSuchKey, .unreachable, .timedOut, .corrupt, .cancelled, .rejected,
        ] {
            #expect(pause(1, code) == nil)
        }
        retries.random = { 0 }
        #expect(pause(1) == .milliseconds(25))
        let real = ReadRetries()
        for _ in 0..<100 { #expect((0..<1).contains(real.random())) }
    }

    @Test func `a bucket stands in the path or in the host`() throws {
        try S3MappingTests.withStore(usesPathStyle: true) { store in
            #expect(
                store.target("a b/ü+", []) == "/bucket/a%20b/%C3%BC%2B"
                    && store.place.authority == "s3.example.net:9000")
            #expect(
                store.target(nil, [("prefix", "a/b")]) == "/bucket?prefix=a%2Fb" && store.target(nil, []) == "/bucket")
            #expect(store.target("/a//b", []) == "/bucket//a//b" && store.target("../x", []) == "/bucket/../x")
        }
        try S3MappingTests.withStore(usesPathStyle: false) { store in
            #expect(store.target("a", []) == "/a" && store.place.authority == "bucket.s3.example.net:9000")
            #expect(store.target(nil, [("uploads", "")]) == "/?uploads=" && store.target(nil, []) == "/")
        }
    }

    private static func withStore(usesPathStyle: Bool, _ body: (NetworkStore) -> Void) throws {
        let harness = try S3Harness()
        defer { harness.stop() }
        body(
            NetworkStore(
                client: harness.client, endpoint: Endpoint(scheme: .http, host: "s3.example.net", port: 9000),
                bucket: "bucket",
                usesPathStyle: usesPathStyle, signer: RequestSigner(accessKeyID: "a", secret: "s", region: "r"),
                now: S3Harness.now,
                observe: { _, _, _ in }))
    }
}
