import HTTP
import S3
import Testing
import Transport

@testable import S3Client

/// Listings of servers that do not do all that AWS does.
@Suite struct S3ListingTests {
    static func page(_ keys: [String], isTruncated: Bool = false, token: String? = nil, encoded: Bool = false)
        -> Response
    {
        let text =
            "<ListBucketResult><IsTruncated>\(isTruncated)</IsTruncated>"
            + (encoded ? "<EncodingType>url</EncodingType>" : "")
            + (token.map { "<NextContinuationToken>\($0)</NextContinuationToken>" } ?? "")
            + keys.map { "<Contents><Key>\($0)</Key><Size>1</Size></Contents>" }.joined() + "</ListBucketResult>"
        return Response(ResponseHead(.ok), body: .bytes(Bytes(text)))
    }

    @Test func `what is asked for stands in the query, encoded`() async throws {
        try await S3Harness.run { harness in
            let store = try harness.scripted { _, request in
                let query = Query(raw: request.head.rawQuery)
                #expect(query?["list-type"] == "2" && query?["max-keys"] == "7" && query?["encoding-type"] == "url")
                #expect(
                    query?["prefix"] == "a b+ü/" && query?["start-after"] == "a b+ü/&="
                        && request.head.rawPath == "/bucket")
                return S3ListingTests.page(["a%20b%2B%C3%BC/1", "a+b%2B%C3%BC/2"], encoded: true)
            }
            let listing = try await store.list(prefix: "a b+ü/", after: "a b+ü/&=", limit: 7)
            #expect(listing.entries.map(\.key) == ["a b+ü/1", "a b+ü/2"])
        }
    }

    @Test func `keys that were not asked for are left out, and a page out of order is put in order`() async throws {
        try await S3Harness.run { harness in
            let store = try harness.scripted { _, _ in S3ListingTests.page(["p/c", "p/b", "q", "p/a", "p/Z"]) }
            let listing = try await store.list(prefix: "p/", after: "p/a", limit: 10)
            #expect(listing.entries.map(\.key) == ["p/b", "p/c"])
        }
    }

    @Test func `a server that ignores start-after is followed by its tokens`() async throws {
        try await S3Harness.run { harness in
            let store = try harness.scripted { _, request in
                switch Query(raw: request.head.rawQuery)?["continuation-token"] {
                case nil: S3ListingTests.page(["a", "b"], isTruncated: true, token: "t1")
                case "t1": S3ListingTests.page(["c"], isTruncated: true, token: "t2")
                default: S3ListingTests.page(["d", "e"])
                }
            }
            let listing = try await store.list(prefix: "", after: "c", limit: 2)
            #expect(listing.entries.map(\.key) == ["d", "e"] && !listing.isTruncated)
        }
    }

    @Test func `pages without end, and truncated pages out of order, are errors`() async throws {
        try await S3Harness.run { harness in
            var retries = ReadRetries()
            retries.sleep = { _ in }
            let endless = try harness.scripted(retries: retries) { _, _ in
                S3ListingTests.page(["a"], isTruncated: true, token: "t")
            }
            await expectCode(.serverError, "endless") { () async throws(StoreError) in
                _ = try await endless.list(prefix: "", after: "b", limit: 1)
            }
            let disorder = try harness.scripted(retries: retries) { _, _ in
                S3ListingTests.page(["b", "a"], isTruncated: true)
            }
            await expectCode(.serverError, "out of order") { () async throws(StoreError) in
                _ = try await disorder.list(prefix: "", after: nil, limit: 2)
            }
            let nonsense = try harness.scripted(retries: retries) { _, _ in
                Response(ResponseHead(.ok), body: .bytes(Bytes("<html/>")))
            }
            await expectCode(.serverError, "no listing") { () async throws(StoreError) in
                _ = try await nonsense.list(prefix: "", after: nil, limit: 2)
            }
        }
    }

    @Test func `a page of a thousand long keys is read`() async throws {
        let keys = (0..<1000).map { index in String(repeating: "ü", count: 500) + "\(1000 + index)" }
        try await S3Harness.run { harness in
            let store = try harness.scripted { _, _ in
                S3ListingTests.page(keys.map { PercentCoding.encode($0) }, encoded: true)
            }
            #expect(try await store.list(prefix: "", after: nil, limit: 1000).entries.map(\.key) == keys)
        }
    }

    @Test func `a server that lists no uploads shows none`() async throws {
        try await S3Harness.run { harness in
            let store = try harness.scripted { _, _ in S3FaultTests.error(501, "NotImplemented") }
            #expect(try await store.listUploads(prefix: "p/").isEmpty)
            let other = try harness.scripted { _, _ in
                let upload =
                    "<Upload><Key>p/a</Key><UploadId>1</UploadId></Upload><Upload><Key>p/ab</Key><UploadId>2</UploadId></Upload>"
                return Response(
                    ResponseHead(.ok),
                    body: .bytes(Bytes("<ListMultipartUploadsResult>\(upload)</ListMultipartUploadsResult>")))
            }
            #expect(try await other.openUploads("p/a") == ["1"])
            #expect(try await other.listUploads(prefix: "q").isEmpty, "a server that ignores the prefix")
        }
    }
}
