import Catalog
import HTTP
import S3
import Testing

@testable import Gateway

@Suite struct CopyObjectTests {
    @Test func `a copy keeps content, ETag and metadata, or replaces the metadata`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("a b+c", "content", [("x-amz-meta-color", "red"), ("Content-Type", "text/plain")])
            let copy = await harness.send(.put, "/photos/to", [("x-amz-copy-source", "/photos/a%20b+c")])
            #expect(copy.status == 200 && copy.text.contains("<CopyObjectResult"))
            let head = await harness.send(.head, "/photos/to")
            #expect(head.fields["x-amz-meta-color"] == "red" && head.fields["content-type"] == "text/plain")
            #expect(copy.text.contains((head.fields["etag"] ?? "?").filter { $0 != "\"" }))
            let replaced = await harness.send(
                .put, "/photos/to",
                [
                    ("x-amz-copy-source", "photos/to"), ("x-amz-metadata-directive", "REPLACE"),
                    ("x-amz-meta-size", "big"),
                ])
            #expect(replaced.status == 200)
            let after = await harness.send(.get, "/photos/to")
            #expect(
                after.fields["x-amz-meta-color"] == nil && after.fields["x-amz-meta-size"] == "big"
                    && after.text == "content")
        }
    }

    @Test func `a key that begins with a combining accent is copied like any other`() async throws {
        try await GatewayHarness.run { harness in
            let key = PercentCoding.encode("\u{301}key")
            #expect(await harness.send(.put, "/photos/\(key)", body: "content").status == 200)
            #expect(
                await harness.send(.put, "/photos/to", [("x-amz-copy-source", "/photos/\(key)")]).status == 200)
            #expect(await harness.send(.get, "/photos/to").text == "content")
        }
    }

    @Test func `a copy onto itself that changes nothing is refused`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "x")
            #expect(
                await harness.send(.put, "/photos/k", [("x-amz-copy-source", "/photos/k")]).code == "InvalidRequest")
        }
    }

    @Test func `the source needs a grant, exists, and meets its conditions`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "x")
            func copy(_ source: String, _ headers: [(String, String)] = []) async -> String? {
                await harness.send(.put, "/photos/to", [("x-amz-copy-source", source)] + headers).code
            }
            #expect(await copy("/logs/k") == "AccessDenied")
            #expect(await copy("/nowhere/k") == "NoSuchBucket")
            #expect(await copy("/photos/none") == "NoSuchKey")
            #expect(await copy("/photos") == "InvalidArgument")
            #expect(await copy("/photos/k?versionId=7") == "InvalidArgument")
            #expect(await copy("/photos/k", [("x-amz-copy-source-if-match", "\"other\"")]) == "PreconditionFailed")
            #expect(await copy("/photos/k", [("x-amz-metadata-directive", "MERGE")]) == "InvalidArgument")
            #expect(await copy("/photos/k", [("x-amz-copy-source-if-none-match", "\"other\"")]) == nil)
        }
    }

    @Test func `a part may be a range of another object`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "0123456789")
            let upload = await harness.send(.post, "/photos/to?uploads").element("UploadId") ?? ""
            let target = "/photos/to?partNumber=1&uploadId=\(upload)"
            let source = ("x-amz-copy-source", "/photos/k")
            let part = await harness.send(.put, target, [source, ("x-amz-copy-source-range", "bytes=2-4")])
            #expect(part.status == 200 && part.text.contains("<CopyPartResult"))
            #expect(await harness.send(.get, "/photos/to?uploadId=\(upload)").element("Size") == "3")
            for bad in ["bytes=2-10", "bytes=4-2", "2-4", "bytes=2-"] {
                let answer = await harness.send(.put, target, [source, ("x-amz-copy-source-range", bad)])
                #expect(answer.code == (bad == "bytes=2-10" ? "InvalidRange" : "InvalidArgument"), "\(bad)")
            }
        }
    }
}
