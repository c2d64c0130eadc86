import Catalog
import Crypto
import HTTP
import S3
import TestSupport
import Testing

@testable import Gateway

@Suite struct MultipartTests {
    static let big = [UInt8](repeating: 0x61, count: 5 * 1024 * 1024)

    private func create(_ harness: GatewayHarness, _ headers: [(String, String)] = []) async -> String {
        await harness.send(.post, "/photos/k?uploads", headers).element("UploadId") ?? ""
    }

    private func part(_ harness: GatewayHarness, _ upload: String, _ number: Int, _ bytes: [UInt8]) async -> String {
        let answer = await harness.send(
            .put, "/photos/k?partNumber=\(number)&uploadId=\(upload)", bytes: bytes, payload: .unsigned)
        #expect(answer.status == 200)
        return answer.fields["etag"] ?? ""
    }

    private func complete(
        _ harness: GatewayHarness, _ upload: String, _ parts: [(Int, String)], _ headers: [(String, String)] = []
    ) async -> GatewayHarness.Answer {
        let body = parts.map { "<Part><PartNumber>\($0.0)</PartNumber><ETag>\($0.1)</ETag></Part>" }.joined()
        return await harness.send(
            .post, "/photos/k?uploadId=\(upload)", headers,
            body: "<CompleteMultipartUpload>\(body)</CompleteMultipartUpload>")
    }

    @Test func `uploads are grouped by a delimiter, and each group is passed as a whole`() async throws {
        try await GatewayHarness.run { harness in
            for key in ["a", "b/1", "b/2", "b/2", "b/3", "c/é/1", "c/z", "d", "e//f"] {
                let target = "/photos/" + PercentCoding.encode(key, keepingSlash: true) + "?uploads"
                #expect(await harness.send(.post, target).status == 200)
            }
            let whole = await harness.send(.get, "/photos?uploads&delimiter=/")
            #expect(whole.elements("Key") == ["a", "d"] && whole.elements("Prefix") == ["", "b/", "c/", "e/"])
            #expect(whole.element("IsTruncated") == "false")
            for size in 1...4 {
                var (keys, groups): ([String], [String]) = ([], [])
                var markers = ""
                for _ in 0..<10 {
                    let page = await harness.send(.get, "/photos?uploads&delimiter=/&max-uploads=\(size)" + markers)
                    keys += page.elements("Key")
                    groups += page.elements("Prefix").dropFirst()
                    #expect(page.elements("Key").count + page.elements("Prefix").count - 1 <= size)
                    guard page.element("IsTruncated") == "true" else { break }
                    markers = "&key-marker=" + PercentCoding.encode(page.element("NextKeyMarker") ?? "")
                    if let id = page.element("NextUploadIdMarker") { markers += "&upload-id-marker=\(id)" }
                }
                #expect(keys == ["a", "d"] && groups == ["b/", "c/", "e/"], "pages of \(size)")
            }
            let below = await harness.send(.get, "/photos?uploads&delimiter=/&prefix=c/")
            #expect(below.elements("Key") == ["c/z"] && below.elements("Prefix") == ["c/", "c/é/"])
            for parameter in ["prefix=a%00", "key-marker=a%00", "delimiter=%00"] {
                #expect(await harness.send(.get, "/photos?uploads&\(parameter)").code == "InvalidArgument")
            }
            let long = await harness.send(.get, "/photos?uploads&delimiter=//")
            #expect(long.elements("Prefix") == ["", "e//"] && long.elements("Key").count == 8)
        }
    }

    @Test func `groups whose names only look alike are two`() async throws {
        try await GatewayHarness.run { harness in
            for key in ["e\u{301}/x", "\u{E9}/x"] {
                let target = "/photos/" + PercentCoding.encode(key, keepingSlash: true) + "?uploads"
                #expect(await harness.send(.post, target).status == 200)
            }
            let listing = await harness.send(.get, "/photos?uploads&delimiter=/")
            #expect(listing.elements("Prefix").count == 3, "the request's own and two groups")
        }
    }

    @Test func `parts in any order make the object, and a repeated Complete answers the same`() async throws {
        try await GatewayHarness.run { harness in
            let upload = await create(harness, [("Content-Type", "text/plain"), ("x-amz-meta-a", "b")])
            let second = await part(harness, upload, 7, Array("tail".utf8))
            _ = await part(harness, upload, 2, Array("replaced".utf8))
            let first = await part(harness, upload, 2, Self.big)
            let done = await complete(harness, upload, [(2, first), (7, second)])
            let md5s = Digest.hash(.md5, Self.big) + Digest.hash(.md5, "tail")
            #expect(done.status == 200 && done.text.contains("\(Hex.encode(Digest.hash(.md5, md5s)))-2"))
            let again = await complete(harness, upload, [(2, first), (7, second)])
            #expect(again.status == 200 && again.element("ETag") == done.element("ETag"))
            let tail = await harness.send(.get, "/photos/k?partNumber=2")
            #expect(tail.status == 206 && tail.text == "tail" && tail.fields["x-amz-mp-parts-count"] == "2")
            #expect(tail.fields["x-amz-meta-a"] == "b" && tail.fields["content-type"] == "text/plain")
            #expect(await harness.send(.get, "/photos/k?partNumber=3").code == "InvalidPart")
        }
    }

    @Test func `a Complete that names wrong parts changes nothing`() async throws {
        try await GatewayHarness.run { harness in
            let upload = await create(harness)
            let small = await part(harness, upload, 1, Array("small".utf8))
            let last = await part(harness, upload, 2, Array("last".utf8))
            #expect(await complete(harness, upload, [(1, small), (2, last)]).code == "EntityTooSmall")
            #expect(await complete(harness, upload, [(1, "wrong")]).code == "InvalidPart")
            #expect(await complete(harness, upload, [(3, small)]).code == "InvalidPart")
            #expect(await complete(harness, upload, [(2, last), (1, small)]).code == "InvalidPartOrder")
            #expect(await complete(harness, upload, []).code == "MalformedXML")
            #expect(await complete(harness, upload, [(1, small)], [("If-Match", "*")]).code == "NoSuchKey")
            #expect(
                await complete(harness, upload, [(1, small)], [("x-amz-mp-object-size", "9")]).code == "InvalidRequest")
            #expect(await harness.send(.head, "/photos/k").status == 404)
            #expect(await complete(harness, upload, [(1, small)]).status == 200)
        }
    }

    @Test func `parts are listed in pages and an abort ends the upload`() async throws {
        try await GatewayHarness.run { harness in
            let upload = await create(harness)
            for number in 1...3 { _ = await part(harness, upload, number, [UInt8(number)]) }
            let page = await harness.send(.get, "/photos/k?uploadId=\(upload)&max-parts=2")
            #expect(page.elements("PartNumber") == ["1", "2"] && page.element("NextPartNumberMarker") == "2")
            #expect(page.element("IsTruncated") == "true")
            let rest = await harness.send(.get, "/photos/k?uploadId=\(upload)&part-number-marker=2")
            #expect(rest.elements("PartNumber") == ["3"] && rest.element("IsTruncated") == "false")
            #expect(await harness.send(.get, "/photos?uploads").elements("UploadId") == [upload])
            #expect(await harness.send(.delete, "/photos/k?uploadId=\(upload)").status == 204)
            let gone = [
                await harness.send(.delete, "/photos/k?uploadId=\(upload)"),
                await harness.send(.put, "/photos/k?partNumber=1&uploadId=\(upload)", body: "x"),
                await harness.send(.get, "/photos/k?uploadId=\(upload)"), await complete(harness, upload, [(1, "x")]),
                await harness.send(.get, "/photos/k?uploadId=nonsense"),
            ]
            for answer in gone { #expect(answer.status == 404 && answer.code == "NoSuchUpload") }
        }
    }

    @Test func `an upload belongs to its key`() async throws {
        try await GatewayHarness.run { harness in
            let upload = await create(harness)
            #expect(
                await harness.send(.put, "/photos/other?partNumber=1&uploadId=\(upload)", body: "x").code
                    == "NoSuchUpload")
        }
    }

    @Test func `checksums of the parts make the checksum of the object`() async throws {
        try await GatewayHarness.run { harness in
            for algorithm in [ChecksumAlgorithm.crc32, .crc32c, .crc64nvme] {
                let upload = await create(
                    harness,
                    [
                        ("x-amz-checksum-algorithm", algorithm.rawValue.uppercased()),
                        ("x-amz-checksum-type", "FULL_OBJECT"),
                    ])
                let parts = [
                    (1, await part(harness, upload, 1, Self.big)),
                    (2, await part(harness, upload, 2, Array("tail".utf8))),
                ]
                var whole = Checksum(algorithm)
                (Self.big + Array("tail".utf8)).withUnsafeBytes { whole.update($0) }
                let expected = whole.finalize()
                #expect(
                    await complete(harness, upload, parts, [(algorithm.headerName, "AAAA")]).code == "BadDigest")
                let done = await complete(harness, upload, parts, [(algorithm.headerName, expected)])
                #expect(
                    done.element(algorithm.elementName) == expected && done.element("ChecksumType") == "FULL_OBJECT")
            }
            let upload = await create(harness, [("x-amz-checksum-algorithm", "SHA256")])
            let one = await part(harness, upload, 1, Array("x".utf8))
            let inner = Digest.hash(.sha256, "x")
            let done = await complete(harness, upload, [(1, one)])
            #expect(done.element("ChecksumSHA256") == Base64.encode(Digest.hash(.sha256, inner)) + "-1")
        }
    }

    @Test func `the bitwise checksum of parts' checksums is the table-driven one`() throws {
        for algorithm in [ChecksumAlgorithm.crc32, .crc32c, .crc64nvme] {
            let combiner = try #require(CRCCombiner(algorithm))
            let bytes = Array("123456789".utf8)
            var checksum = Checksum(algorithm)
            bytes.withUnsafeBytes { checksum.update($0) }
            #expect(Base64.encode(combiner.checksum(of: bytes)) == checksum.finalize())
        }
    }

    @Test func `a long Complete answers early, with white space and then the result`() async throws {
        let gate = Gate()
        try await GatewayHarness.run(sleepsNotAtAll: true) { harness in
            for store in harness.backends { store.inject(.held(gate), into: .completeUpload) }
            let upload = await create(harness)
            let etag = await part(harness, upload, 1, Array("x".utf8))
            let body =
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\(etag)</ETag></Part></CompleteMultipartUpload>"
            let request = SignedRequest.make(.post, "/photos/k?uploadId=\(upload)", [], Array(body.utf8))
            let response = await harness.server.respond(to: request)
            guard case .stream(nil, let reader) = response.body else {
                Issue.record("expected an early answer")
                return
            }
            #expect(response.head.status == .ok)
            var text = try await reader.next()?.text ?? ""
            #expect(text.hasPrefix("<?xml"))
            text += try await reader.next()?.text ?? ""
            #expect(text.hasSuffix(" "))
            gate.open()
            while let run = try await reader.next() { text += run.text }
            #expect(text.contains("<CompleteMultipartUploadResult") && text.components("<?xml") == 1)
            #expect(await harness.send(.get, "/photos/k").text == "x")
        }
    }

    @Test func `an error of a long Complete comes in the body of the 200`() async throws {
        let gate = Gate()
        try await GatewayHarness.run(sleepsNotAtAll: true) { harness in
            for store in harness.backends { store.inject(.held(gate), into: .completeUpload) }
            let upload = await create(harness)
            let etag = await part(harness, upload, 1, Array("x".utf8))
            let body =
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\(etag)</ETag></Part></CompleteMultipartUpload>"
            let request = SignedRequest.make(
                .post, "/photos/k?uploadId=\(upload)", [("If-None-Match", "*")], Array(body.utf8))
            let response = await harness.server.respond(to: request)
            await harness.put("k", "another was faster")
            gate.open()
            guard case .stream(nil, let reader) = response.body else {
                Issue.record("expected an early answer")
                return
            }
            let text = try await reader.collect(limit: 1 << 20).text
            #expect(text.contains("<Code>PreconditionFailed</Code>"))
            #expect(await harness.send(.get, "/photos/k").text == "another was faster")
        }
    }
}

extension String {
    /// How often `text` stands in it.
    fileprivate func components(_ text: String) -> Int {
        split(separator: text, omittingEmptySubsequences: false).count - 1
    }
}
