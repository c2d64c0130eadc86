import Catalog
import Crypto
import HTTP
import S3
import Telemetry
import TestSupport
import Testing

@testable import Gateway

@Suite struct PutObjectTests {
    static let content = "The quick brown fox jumps over the lazy dog"

    @Test(arguments: PayloadForm.allCases)
    func `each payload form stores the content and nothing of its framing`(form: PayloadForm) async throws {
        try await GatewayHarness.run { harness in
            let put = await harness.send(.put, "/photos/k", body: Self.content, payload: form)
            #expect(put.status == 200, "\(put.text)")
            let md5 = Hex.encode(Digest.hash(.md5, Self.content))
            #expect(put.fields["etag"] == "\"\(md5)\"")
            if form.hasTrailer { #expect(put.fields["x-amz-checksum-crc32"] == "QU+jOQ==") }
            let get = await harness.send(.get, "/photos/k")
            #expect(get.text == Self.content && get.fields["etag"] == put.fields["etag"])
            #expect(await harness.copies("k") == 2)
        }
    }

    @Test(arguments: PayloadForm.allCases)
    func `a body that was changed on its way stores nothing and leaves the old value`(form: PayloadForm) async throws {
        // Unsigned, the length is all there is to check.
        guard form != .unsigned else { return }
        try await GatewayHarness.run { harness in
            await harness.put("k", "old")
            let request = SignedRequest.make(.put, "/photos/k", [], Array(Self.content.utf8), payload: form) { wire in
                if let at = wire.firstIndex(of: UInt8(ascii: "q")) { wire[at] = UInt8(ascii: "Q") }
            }
            let answer = await harness.answer(request)
            let expected: [PayloadForm: String] = [
                .signed: "XAmzContentSHA256Mismatch", .streamingSigned: "SignatureDoesNotMatch",
                .streamingSignedTrailer: "SignatureDoesNotMatch", .streamingUnsigned: "BadDigest",
            ]
            #expect(answer.code == expected[form], "\(form) \(answer.text)")
            #expect(await harness.send(.get, "/photos/k").text == "old")
        }
    }

    @Test(arguments: PayloadForm.allCases)
    func `a body that ends early stores nothing and is never 5xx`(form: PayloadForm) async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "old")
            var request = SignedRequest.make(.put, "/photos/k", [], Array(Self.content.utf8), payload: form)
            let whole = try await request.body.collect(limit: 1 << 20)
            request.body = BrokenBody(whole.prefix(20), .truncated)
            let answer = await harness.answer(request)
            #expect(answer.code == "IncompleteBody" && answer.status == 400)
            #expect(await harness.send(.get, "/photos/k").text == "old")
            #expect(harness.metrics.render().contains("sluice_s3_client_hangups_total{op=\"PutObject\"} 1"))
        }
    }

    @Test(arguments: [
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"), ("content-md5", "not base64", "InvalidDigest"),
        ("content-md5", "AAAA", "InvalidDigest"), ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-crc32c", "AAAAAA==", "BadDigest"), ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=", "BadDigest"),
        ("x-amz-checksum-sha1", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "BadDigest"),
        ("x-amz-checksum-sha256", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "BadDigest"),
        ("x-amz-checksum-crc32", "AAAA", "InvalidRequest"), ("x-amz-sdk-checksum-algorithm", "CRC32", "InvalidRequest"),
        ("x-amz-acl", "public-read", "AccessControlListNotSupported"), ("x-amz-tagging", "aws:a=b", "InvalidTag"),
        ("x-amz-storage-class", "GLACIER", "InvalidStorageClass"),
        ("x-amz-object-lock-mode", "GOVERNANCE", "NotImplemented"),
        ("x-amz-server-side-encryption", "AES256", "NotImplemented"),
        ("x-amz-server-side-encryption-customer-key", "k", "NotImplemented"),
        ("x-amz-grant-read", "id=1", "NotImplemented"),
    ])
    func `what cannot be kept as promised is refused and stores nothing`(
        name: String, value: String, code: String
    ) async throws {
        try await GatewayHarness.run { harness in
            let answer = await harness.send(.put, "/photos/k", [(name, value)], body: Self.content)
            #expect(answer.code == code, "\(answer.text)")
            #expect(await !harness.exists("k"))
            #expect(harness.backends.allSatisfy { $0.names.isEmpty })
        }
    }

    @Test func `checksums come back when they are asked for, and not beside a range`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", Self.content, [("x-amz-checksum-crc32", "QU+jOQ==")])
            let mode = [("x-amz-checksum-mode", "ENABLED")]
            let head = await harness.send(.head, "/photos/k", mode)
            #expect(
                head.fields["x-amz-checksum-crc32"] == "QU+jOQ==" && head.fields["x-amz-checksum-type"] == "FULL_OBJECT"
            )
            #expect(await harness.send(.get, "/photos/k").fields["x-amz-checksum-crc32"] == nil)
            let part = await harness.send(.get, "/photos/k", mode + [("Range", "bytes=0-3")])
            #expect(part.fields["x-amz-checksum-crc32"] == nil && part.text == "The ")
        }
    }

    @Test func `headers and metadata come back as they went in, aws-chunked excepted`() async throws {
        try await GatewayHarness.run { harness in
            let sent = [
                ("Content-Type", "text/plain"), ("Cache-Control", "no-cache"), ("Content-Disposition", "inline"),
                ("Content-Encoding", "aws-chunked, gzip"), ("Content-Language", "de"),
                ("Expires", "Wed, 21 Oct 2026 07:28:00 GMT"), ("X-Amz-Meta-Color", "Red"), ("x-amz-meta-empty", ""),
            ]
            await harness.put("k", "x", sent)
            let head = await harness.send(.head, "/photos/k")
            #expect(head.fields["content-encoding"] == "gzip")
            for (name, value) in sent where name != "Content-Encoding" {
                #expect(head.fields[name] == value, "\(name)")
            }
            #expect(head.fields.all.contains { $0.name == "x-amz-meta-color" })
            await harness.put("only", "x", [("Content-Encoding", "aws-chunked")])
            #expect(await harness.send(.head, "/photos/only").fields["content-encoding"] == nil)
        }
    }

    @Test func `user metadata ends at 2 KiB`() async throws {
        try await GatewayHarness.run { harness in
            let longest = [("x-amz-meta-a", String(repeating: "v", count: 2047))]
            #expect(await harness.put("k", "x", longest).status == 200)
            #expect(await harness.put("k", "x", longest + [("x-amz-meta-b", "")]).code == "MetadataTooLarge")
        }
    }

    @Test func `a length must be given and must not pass 5 GiB, before the body is invited`() async throws {
        try await GatewayHarness.run { harness in
            var request = SignedRequest.make(.put, "/photos/k", [], [], payload: .unsigned)
            request.body = BrokenBody(.empty, .source("must not be read"))
            request.contentLength = 5 * 1024 * 1024 * 1024 + 1
            #expect(await harness.answer(request).code == "EntityTooLarge")
        }
    }

    @Test func `a small body may come without a length, a large one may not`() async throws {
        try await GatewayHarness.run { harness in
            for (size, status) in [(0, 200), (1, 200), (1_048_576, 200), (1_048_577, 411)] {
                let content = [UInt8](repeating: 0x61, count: size)
                var request = SignedRequest.make(.put, "/photos/\(size)", [], content, payload: .unsigned)
                request.contentLength = nil
                let answer = await harness.answer(request)
                #expect(answer.status == status, "\(size)")
                #expect(await harness.exists("\(size)") == (status == 200))
                if status == 200 { #expect(await harness.send(.get, "/photos/\(size)").body == content) }
            }
            var broken = SignedRequest.make(.put, "/photos/k", [], [], payload: .unsigned)
            broken.contentLength = nil
            broken.body = BrokenBody(Bytes(Array("half".utf8)), .truncated)
            #expect(await harness.answer(broken).code == "IncompleteBody")
            #expect(await !harness.exists("k"))
        }
    }

    @Test func `conditions on a write are kept`() async throws {
        try await GatewayHarness.run { harness in
            #expect(await harness.put("k", "1", [("If-Match", "*")]).code == "NoSuchKey")
            #expect(await harness.put("k", "1", [("If-None-Match", "*")]).status == 200)
            let etag = await harness.send(.head, "/photos/k").fields["etag"] ?? ""
            #expect(await harness.put("k", "2", [("If-None-Match", "*")]).status == 412)
            #expect(await harness.put("k", "2", [("If-Match", "\"other\"")]).code == "PreconditionFailed")
            #expect(await harness.send(.get, "/photos/k").text == "1")
            #expect(await harness.put("k", "2", [("If-Match", etag)]).status == 200)
            #expect(await harness.send(.delete, "/photos/k", [("If-Match", etag)]).status == 412)
        }
    }

    @Test func `of many racing creators exactly one wins`() async throws {
        try await GatewayHarness.run { harness in
            let statuses = await withTaskGroup(of: Int.self) { group in
                for index in 0..<24 {
                    group.addTask { await harness.put("k", "\(index)", [("If-None-Match", "*")]).status }
                }
                return await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(statuses.filter { $0 == 200 }.count == 1 && statuses.filter { $0 == 412 }.count == 23)
        }
    }

    @Test func `odd keys are stored apart, byte for byte`() async throws {
        try await GatewayHarness.run { harness in
            let keys = [
                "a", "a/", "a/b", "a//b", "/a", "./a", "../a", "a b", "a+b", "a%b", "a%2Fb", "\u{E9}", "e\u{301}",
                "\u{1F600}",
                "~", "\n", String(repeating: "x", count: 1024),
            ]
            for (index, key) in keys.enumerated() { #expect(await harness.put(key, "\(index)").status == 200) }
            for (index, key) in keys.enumerated() {
                let target = "/photos/" + PercentCoding.encode(key, keepingSlash: true)
                #expect(await harness.send(.get, target).text == "\(index)", "\(key)")
            }
        }
    }
}
