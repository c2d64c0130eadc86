import Crypto
import HTTP
import S3
import TestSupport
import Testing

@testable import Gateway

@Suite("Upload forms of browsers") struct PostObjectTests {
    private static let boundary = "----boundary42"

    private static func policy(_ conditions: String, expires: String = "2033-11-14T22:00:00Z") -> String {
        Base64.encode(Array("{\"expiration\": \"\(expires)\", \"conditions\": [\(conditions)]}".utf8))
    }

    private static let conditions =
        #"{"bucket": "photos"}, ["starts-with", "$key", "in/"], ["starts-with", "$Content-Type", "text/"], "#
        + #"["content-length-range", 1, 100], {"x-amz-algorithm": "AWS4-HMAC-SHA256"}, ["starts-with", "$x-amz-credential", ""], "#
        + #"["starts-with", "$x-amz-date", ""], ["starts-with", "$success_action_status", ""]"#

    /// The fields that a signer of version 4 adds to a form.
    private static func signed(
        _ fields: [(String, String)], policy: String, key: String = "photoskey", secret: String = "photossecret"
    ) -> [(String, String)] {
        let time = GatewayHarness.now.basicISO8601
        let scope = SigningScope(date: String(time.prefix(8)), region: "us-east-1", service: "s3")
        let signature = Hex.encode(SignatureV4.signature(policy, key: SignatureV4.signingKey(secret: secret, scope)))
        return fields + [
            ("policy", policy), ("x-amz-algorithm", "AWS4-HMAC-SHA256"), ("x-amz-credential", "\(key)/\(scope.text)"),
            ("x-amz-date", time), ("x-amz-signature", signature),
        ]
    }

    private static func request(
        _ fields: [(String, String)], _ content: [UInt8], name: String = "a b.txt", to target: String = "/photos"
    )
        -> Request
    {
        var body: [UInt8] = []
        for (field, value) in fields {
            body += Array("--\(boundary)\r\nContent-Disposition: form-data; name=\"\(field)\"\r\n\r\n\(value)\r\n".utf8)
        }
        body += Array(
            "--\(boundary)\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\(name)\"\r\nContent-Type: text/plain\r\n\r\n"
                .utf8)
        body += content + Array("\r\n--\(boundary)--\r\n".utf8)
        let head = RequestHead(
            method: .post, target: target,
            fields: Fields([("Host", "s3.example.net"), ("Content-Type", "multipart/form-data; boundary=\(boundary)")]))
        return Request(
            head: head, contentLength: Int64(body.count), body: BytesReader(Bytes(body)), peer: "192.0.2.1:5000",
            isTLS: false)
    }

    private static func form(
        key: String = "in/${filename}", type: String = "text/plain", extra: [(String, String)] = []
    )
        -> [(String, String)]
    {
        signed([("key", key), ("Content-Type", type)] + extra, policy: policy(conditions))
    }

    @Test func `what the policy allows is stored under the file's name`() async throws {
        try await GatewayHarness.run { harness in
            let answer = await harness.answer(PostObjectTests.request(PostObjectTests.form(), Array("content".utf8)))
            #expect(answer.status == 204 && answer.fields["location"] == "/photos/in/a%20b.txt", "\(answer.text)")
            let get = await harness.send(.get, "/photos/in/a%20b.txt")
            #expect(get.text == "content" && get.fields["content-type"] == "text/plain")
            let created = await harness.answer(
                PostObjectTests.request(
                    PostObjectTests.form(extra: [("success_action_status", "201")]), Array("x".utf8)))
            #expect(
                created.status == 201 && created.element("Key") == "in/a b.txt" && created.element("Bucket") == "photos"
            )
        }
    }

    @Test func `what the policy does not allow is refused and stores nothing`() async throws {
        try await GatewayHarness.run { harness in
            let content = Array("content".utf8)
            let cases: [(String, [(String, String)], [UInt8], String)] = [
                ("key", PostObjectTests.form(key: "out/k"), content, "AccessDenied"),
                ("type", PostObjectTests.form(type: "image/png"), content, "AccessDenied"),
                ("extra", PostObjectTests.form(extra: [("x-amz-meta-a", "b")]), content, "AccessDenied"),
                ("large", PostObjectTests.form(), [UInt8](repeating: 0x61, count: 101), "EntityTooLarge"),
                ("small", PostObjectTests.form(), [], "EntityTooSmall"),
                (
                    "expired",
                    PostObjectTests.signed(
                        [("key", "in/k")],
                        policy: PostObjectTests.policy(PostObjectTests.conditions, expires: "2020-01-01T00:00:00Z")),
                    content, "AccessDenied"
                ),
                (
                    "secret",
                    PostObjectTests.signed(
                        [("key", "in/k")], policy: PostObjectTests.policy(PostObjectTests.conditions), secret: "wrong"),
                    content,
                    "SignatureDoesNotMatch"
                ),
                (
                    "stranger",
                    PostObjectTests.signed(
                        [("key", "in/k")], policy: PostObjectTests.policy(PostObjectTests.conditions), key: "nobody"),
                    content, "InvalidAccessKeyId"
                ),
                (
                    "reader",
                    PostObjectTests.signed(
                        [("key", "in/k"), ("Content-Type", "text/plain")],
                        policy: PostObjectTests.policy(PostObjectTests.conditions),
                        key: "readerkey", secret: "readersecret"), content, "AccessDenied"
                ),
                ("no policy", [("key", "in/k")], content, "AccessDenied"),
                (
                    "no JSON", PostObjectTests.signed([("key", "in/k")], policy: "AAAA"), content,
                    "InvalidPolicyDocument"
                ),
                ("no key", PostObjectTests.form(key: ""), content, "InvalidArgument"),
                // The first of them meets the policy.
                ("twice", PostObjectTests.form(extra: [("Content-Type", "text/x")]), content, "InvalidArgument"),
                (
                    "any bucket",
                    PostObjectTests.signed(
                        [("key", "in/k"), ("Content-Type", "text/plain")],
                        policy: PostObjectTests.policy(
                            PostObjectTests.conditions.replacing(#"{"bucket": "photos"}, "#, with: ""))), content,
                    "AccessDenied"
                ),
            ]
            for (name, fields, content, code) in cases {
                let answer = await harness.answer(PostObjectTests.request(fields, content))
                #expect(answer.code == code, "\(name): \(answer.text)")
            }
            let elsewhere = PostObjectTests.request(PostObjectTests.form(), content, to: "/logs")
            #expect(await harness.answer(elsewhere).status == 403)
            #expect(harness.backends.allSatisfy { $0.names.isEmpty })
        }
    }

    @Test func `a checksum field is verified`() async throws {
        try await GatewayHarness.run { harness in
            var checksum = Checksum(.sha256)
            let content = Array("content".utf8)
            content.withUnsafeBytes { checksum.update($0) }
            let good = PostObjectTests.form(extra: [("x-amz-checksum-sha256", checksum.finalize())])
            #expect(await harness.answer(PostObjectTests.request(good, content)).status == 204)
            let bad = await harness.answer(PostObjectTests.request(good, Array("CONTENT".utf8), name: "other"))
            #expect(bad.code == "BadDigest")
            #expect(await !harness.exists("in/other"))
        }
    }

    @Test func `a broken form is refused whatever is broken`() async throws {
        try await GatewayHarness.run { harness in
            let whole = PostObjectTests.request(PostObjectTests.form(), Array("content".utf8))
            var bytes: [UInt8] = []
            while let run = try await whole.body.next() { bytes += run.array }
            // Every truncation, and every byte of the framing changed.
            for end in stride(from: 0, to: bytes.count - 4, by: 7) {
                var request = whole
                request.contentLength = Int64(end)
                request.body = BytesReader(Bytes(Array(bytes[..<end])))
                let answer = await harness.answer(request)
                #expect((400..<500).contains(answer.status), "cut at \(end): \(answer.status)")
            }
            #expect(await !harness.exists("in/a b.txt"))
            for position in stride(from: 0, to: bytes.count, by: 5) {
                var changed = bytes
                changed[position] ^= 0x55
                var request = whole
                request.body = BytesReader(Bytes(changed))
                let status = await harness.answer(request).status
                #expect(status == 204 || (400..<500).contains(status), "byte \(position): \(status)")
            }
        }
    }
}
