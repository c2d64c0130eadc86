import HTTP
import S3
import Synchronization
import TestSupport
import Testing
import Transport

@testable import S3Client

/// Our client and servers that answer as no server should, or only some do.
@Suite struct S3FaultTests {
    static func answer(_ status: Int, _ fields: [(String, String)] = [], _ body: String = "") -> Response {
        Response(
            ResponseHead(Status(status), fields: Fields(fields)), body: body.isEmpty ? .empty : .bytes(Bytes(body)))
    }
    static func error(_ status: Int, _ code: String) -> Response {
        answer(status, [("Content-Type", "application/xml")], "<Error><Code>\(code)</Code><Message>m</Message></Error>")
    }
    /// Reads the body as a server must, so that the connection stays in step.
    static func read(_ request: Request) async -> Bytes? {
        do throws(BodyError) { return try await request.body.collect(limit: 16 << 20) } catch { return nil }
    }
    static func put(
        _ store: NetworkStore, _ text: String = "hello", length: Int64? = nil, ifAbsent: Bool = false
    ) async throws(StoreError) -> StoredObject {
        try await store.put(
            "k", length: length ?? Int64(text.utf8.count), body: BytesReader(Bytes(text)), metadata: StoredMetadata(),
            ifAbsent: ifAbsent)
    }

    // MARK: Writing

    @Test
    func `an ETag that is not the MD5 of what was sent is corrupt; a token or an encrypted object's says nothing`()
        async throws
    {
        let md5 = "5d41402abc4b2a76b9719d911017c592"
        let other = "00000000000000000000000000000000"
        try await S3Harness.run { harness in
            for (etag, fields) in [
                (md5, []), (md5.uppercased(), []), ("\(other)-1", []), ("token", []), ("", []),
                (other, [("x-amz-server-side-encryption", "aws:kms")]),
                (other, [("x-amz-server-side-encryption-customer-algorithm", "AES256")]),
            ] as [(String, [(String, String)])] {
                let store = try harness.scripted { _, request in
                    _ = await S3FaultTests.read(request)
                    return S3FaultTests.answer(200, [("ETag", "\"\(etag)\"")] + fields)
                }
                let stored = try await S3FaultTests.put(store)
                #expect(ETag.isMD5(stored.etag) == (etag.lowercased() == md5), "\(etag)")
            }
            let store = try harness.scripted { _, request in
                _ = await S3FaultTests.read(request)
                return S3FaultTests.answer(200, [("ETag", "\"\(other)\""), ("x-amz-server-side-encryption", "AES256")])
            }
            await expectCode(.corrupt, "put") { () async throws(StoreError) in _ = try await S3FaultTests.put(store) }
            await expectCode(.corrupt, "part") { () async throws(StoreError) in
                _ = try await store.putPart("k", uploadID: "u", number: 1, length: 1, body: BytesReader(Bytes("x")))
            }
        }
    }

    @Test func `a write is made once, whatever the answer`() async throws {
        try await S3Harness.run { harness in
            let count = Mutex(0)
            for (status, code, late) in [
                (503, "SlowDown", true), (500, "InternalError", true), (403, "AccessDenied", false),
            ] {
                count.withLock { $0 = 0 }
                let store = try harness.scripted { _, request in
                    count.withLock { $0 += 1 }
                    _ = await S3FaultTests.read(request)
                    return S3FaultTests.error(status, code)
                }
                do throws(StoreError) {
                    _ = try await S3FaultTests.put(store)
                    Issue.record("no error")
                } catch {
                    #expect(error.mayArriveLate == late && error.evidence.contains(code))
                }
                #expect(count.withLock { $0 } == 1)
            }
        }
    }

    @Test func `a refusal before the body costs no transfer`() async throws {
        try await S3Harness.run { harness in
            let store = try harness.scripted { _, _ in S3FaultTests.error(507, "InsufficientStorage") }
            let large = [UInt8](repeating: 7, count: 3 << 20)
            let body = CountingBody(Bytes(large))
            await expectCode(.noSpace, "put") { () async throws(StoreError) in
                _ = try await store.put("k", length: 3 << 20, body: body, metadata: StoredMetadata(), ifAbsent: false)
            }
            #expect(body.asked == 0)
        }
    }

    @Test func `a body that fails at its very end is never complete for the server`() async throws {
        try await S3Harness.run { harness in
            let received = Mutex<[Int?]>([])
            let store = try harness.scripted { _, request in
                let bytes = await S3FaultTests.read(request)
                received.withLock { $0.append(bytes?.count) }
                return S3FaultTests.answer(200, [("ETag", "\"token\"")])
            }
            let bad = BodyError.contentMismatch(code: "BadDigest", message: "m")
            for body in [
                FailingBody([Bytes("hel"), Bytes("lo")], then: bad), BytesReader(runs: [Bytes("hel"), Bytes("l")]),
                BytesReader(runs: [Bytes("hel"), Bytes("lo!")]),
            ] as [any BodyReader] {
                do throws(StoreError) {
                    _ = try await store.put("k", length: 5, body: body, metadata: StoredMetadata(), ifAbsent: false)
                    Issue.record("no error")
                } catch {
                    #expect(error.code == .bodyFailed && !error.mayArriveLate && error.bodyError != nil, "\(error)")
                }
            }
            #expect(received.withLock { $0.allSatisfy { $0 == nil } })
        }
    }

    @Test func `If-None-Match is sent for a conditional create only, and 412 is alreadyExists`() async throws {
        try await S3Harness.run { harness in
            let store = try harness.scripted { _, request in
                _ = await S3FaultTests.read(request)
                return request.head.fields["if-none-match"] == "*"
                    ? S3FaultTests.error(412, "PreconditionFailed") : S3FaultTests.answer(200, [("ETag", "\"t\"")])
            }
            _ = try await S3FaultTests.put(store)
            await expectCode(.alreadyExists, "put") { () async throws(StoreError) in
                _ = try await S3FaultTests.put(store, ifAbsent: true)
            }
        }
    }

    @Test func `Complete understands white space, another root, and an error with status 200`() async throws {
        let parts = [StoredPart(number: 1, etag: "sse:e1", size: 7), StoredPart(number: 2, etag: "e2", size: 5)]
        try await S3Harness.run { harness in
            let body = Mutex("")
            let store = try harness.scripted { _, request in
                let sent = await S3FaultTests.read(request)?.text ?? ""
                let isRight = sent.contains("<PartNumber>1</PartNumber><ETag>&quot;e1&quot;</ETag>")
                #expect(isRight && sent.contains("<PartNumber>2</PartNumber><ETag>&quot;e2&quot;</ETag>"), "\(sent)")
                let runs = [Bytes("  \n"), Bytes(" "), Bytes(body.withLock { $0 })]
                return Response(ResponseHead(.ok), body: .stream(length: nil, BytesReader(runs: runs)))
            }
            for root in ["CompleteMultipartUploadResult", "CompleteMultipartUploadResponse"] {
                body.withLock { $0 = "<?xml version=\"1.0\"?><\(root)><ETag>\"e-2\"</ETag></\(root)>" }
                let stored = try await store.completeUpload("k", uploadID: "u", parts: parts)
                #expect(stored.etag == "e-2" && stored.size == 12)
            }
            for (text, code) in [
                ("<Error><Code>InternalError</Code></Error>", StoreError.Code.serverError),
                ("<Error><Code>NoSuchUpload</Code></Error>", .noSuchUpload), ("", .serverError),
                ("<html/>", .serverError),
            ] {
                body.withLock { $0 = text }
                do throws(StoreError) {
                    _ = try await store.completeUpload("k", uploadID: "u", parts: parts)
                    Issue.record("no error for \(text)")
                } catch {
                    #expect(error.code == code && error.mayArriveLate, "\(text): \(error)")
                }
            }
        }
    }

    // MARK: Reading

    @Test func `a range is the range that was asked for, or an error`() async throws {
        try await S3Harness.run { harness in
            let reply = Mutex<(Int, String?, String)>((206, nil, ""))
            let store = try harness.scripted { _, _ in
                let (status, range, body) = reply.withLock { $0 }
                return S3FaultTests.answer(status, range.map { [("Content-Range", $0)] } ?? [], body)
            }
            let cases: [(Int, String?, String, StoreError.Code?)] = [
                (206, "bytes 2-5/10", "2345", nil), (200, "bytes 2-5/10", "2345", nil),
                (206, "bytes 2-5/*", "2345", nil),
                (200, nil, "0123456789", .serverError), (206, "bytes 0-3/10", "0123", .corrupt),
                (206, "bytes 2-4/5", "234", .corrupt),
                (206, "bytes 2-5/10", "234", .corrupt), (206, "nonsense", "2345", .serverError),
                (206, nil, "2345", .serverError),
                (416, nil, "", .invalidRange),
            ]
            for (status, range, body, code) in cases {
                reply.withLock { $0 = (status, range, body) }
                do throws(StoreError) {
                    let reading = try await store.get("k", range: ByteRange(2, 6))
                    #expect(code == nil && reading.length == 4, "\(status) \(range ?? "")")
                    #expect(reading.object.size == (range?.hasSuffix("/10") ?? false ? 10 : 6))
                } catch {
                    #expect(error.code == code, "\(status) \(range ?? ""): \(error)")
                }
            }
        }
    }

    @Test func `a body that ends early is an error, never a short success`() async throws {
        try await S3Harness.run { harness in
            let store = try harness.scripted { _, _ in
                Response(
                    ResponseHead(.ok), body: .stream(length: 10, FailingBody([Bytes("01234")], then: .source("cut"))))
            }
            let reading = try await store.get("k", range: nil)
            #expect(reading.length == 10)
            await #expect(throws: BodyError.self) { try await reading.body.collect(limit: 100) }
        }
    }

    @Test func `what is transient is read again, soon and a few times`() async throws {
        try await S3Harness.run { harness in
            let pauses = Mutex<[Duration]>([])
            var retries = ReadRetries()
            retries.random = { 0.5 }
            retries.sleep = { pause in pauses.withLock { $0.append(pause) } }
            for (failures, succeeds) in [(0, true), (2, true), (3, false)] {
                pauses.withLock { $0 = [] }
                let store = try harness.scripted(retries: retries) { number, _ in
                    number < failures
                        ? S3FaultTests.error(503, "SlowDown") : S3FaultTests.answer(200, [("ETag", "\"e\"")], "content")
                }
                do throws(StoreError) {
                    _ = try await store.get("k", range: nil)
                    #expect(succeeds)
                } catch {
                    #expect(!succeeds && error.code == .throttled && !error.mayArriveLate)
                }
                let expected: [Duration] = [.microseconds(37_500), .milliseconds(75)]
                #expect(pauses.withLock { $0 } == Array(expected.prefix(min(failures, 2))))
            }
            #expect(harness.observed == ["2xx", "5xx", "5xx", "2xx", "5xx", "5xx", "5xx"].map { "GetObject " + $0 })
        }
    }

    @Test func `a redirect is not followed`() async throws {
        try await S3Harness.run { harness in
            for status in [301, 302, 307, 308] {
                let store = try harness.scripted { number, _ in
                    #expect(number == 0, "followed")
                    return S3FaultTests.answer(status, [("Location", "http://127.0.0.1:1/elsewhere")])
                }
                await expectCode(.wrongLocation, "\(status)") { () async throws(StoreError) in
                    _ = try await store.get("k", range: nil)
                }
            }
        }
    }

    @Test func `a HEAD's 404 is noSuchKey only if the bucket lists, and the key is not listed`() async throws {
        let listing = "<ListBucketResult><Contents><Key>k</Key><Size>1</Size></Contents></ListBucketResult>"
        try await S3Harness.run { harness in
            for (list, code) in [
                (S3FaultTests.answer(200, [], "<ListBucketResult/>"), StoreError.Code.noSuchKey),
                (S3FaultTests.error(404, "NoSuchBucket"), .wrongLocation),
                (S3FaultTests.error(403, "AccessDenied"), .accessDenied),
                (S3FaultTests.answer(200, [], listing), .serverError),
            ] {
                var retries = ReadRetries()
                retries.sleep = { _ in }
                let store = try harness.scripted(retries: retries) { _, request in
                    request.head.method == .head ? S3FaultTests.answer(404) : list
                }
                await expectCode(code, "head") { () async throws(StoreError) in _ = try await store.head("k") }
            }
            let plain = try harness.scripted { _, _ in S3FaultTests.answer(404, [], "<html>not found</html>") }
            await expectCode(.rejected, "a 404 that says nothing") { () async throws(StoreError) in
                _ = try await plain.get("k", range: nil)
            }
        }
    }
}

/// Counts how often it is asked.
final class CountingBody: BodyReader {
    private let runs: BytesReader
    private let count = Atomic<Int>(0)
    init(_ bytes: Bytes) { runs = BytesReader(bytes) }
    var asked: Int { count.load(ordering: .relaxed) }
    func next() async throws(BodyError) -> Bytes? {
        count.add(1, ordering: .relaxed)
        return try await runs.next()
    }
}
