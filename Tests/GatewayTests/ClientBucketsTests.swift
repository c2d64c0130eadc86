import Catalog
import HTTP
import S3
import Spec
import TestSupport
import Testing

@testable import Gateway

@Suite("Buckets that clients make") struct ClientBucketsTests {
    static func run(_ test: (GatewayHarness) async throws -> Void) async throws {
        try await GatewayHarness.run(creation: .allowed, test)
    }

    @Test func `a client makes a bucket, uses it, and removes it when it is empty`() async throws {
        try await ClientBucketsTests.run { harness in
            let made = await harness.send(.put, "/mine")
            #expect(made.status == 200 && made.fields["location"] == "/mine")
            #expect(await harness.send(.put, "/mine").status == 200, "again")
            #expect(await harness.send(.get, "/").elements("Name") == ["mine", "photos"])
            #expect(await harness.send(.put, "/mine/k", body: "content").status == 200)
            #expect(await harness.send(.get, "/mine/k").text == "content")
            #expect(await harness.send(.delete, "/mine").code == "BucketNotEmpty")
            #expect(await harness.send(.delete, "/mine/k").status == 204)
            #expect(await harness.send(.delete, "/mine").status == 204)
            #expect(await harness.send(.head, "/mine").status == 404)
            #expect(await harness.send(.delete, "/mine").code == "NoSuchBucket")
            #expect(await harness.send(.put, "/mine").status == 200, "the name is free again")
        }
    }

    @Test func `a bucket is its maker's alone`() async throws {
        try await ClientBucketsTests.run { harness in
            #expect(await harness.send(.put, "/mine").status == 200)
            _ = await harness.send(.put, "/mine/k", body: "content")
            for (method, target) in [
                (HTTP.Method.get, "/mine"), (.get, "/mine/k"), (.put, "/mine/k"), (.delete, "/mine/k"),
                (.delete, "/mine"),
                (.get, "/mine?acl"), (.put, "/mine?acl"), (.get, "/mine/k?tagging"), (.get, "/mine?uploads"),
                (.post, "/mine?delete"), (.put, "/mine?cors"),
            ] {
                #expect(
                    await harness.send(method, target, key: "lokikey").code == "AccessDenied", "\(method) \(target)")
                #expect(
                    await harness.send(method, target, proof: .none).code == "AccessDenied",
                    "\(method) \(target) anonymous")
            }
            #expect(await harness.send(.put, "/mine", key: "lokikey").code == "BucketAlreadyExists")
            #expect(await harness.send(.get, "/", key: "lokikey").elements("Name") == ["logs", "photos"])
        }
    }

    @Test func `who may only read makes no buckets, and names are checked`() async throws {
        try await ClientBucketsTests.run { harness in
            #expect(await harness.send(.put, "/mine", key: "readerkey").code == "AccessDenied")
            #expect(await harness.send(.put, "/mine", proof: .none).code == "AccessDenied")
            for name in [
                "ab", "Upper", "a..b", "-a-b", "192.168.0.1", String(repeating: "a", count: 64), "a_b", "xn--abc",
            ] {
                #expect(await harness.send(.put, "/\(name)").code == "InvalidBucketName", "\(name)")
            }
        }
    }

    @Test func `another instance's bucket is found before the snapshot knows it`() async throws {
        try await ClientBucketsTests.run { harness in
            _ = try await harness.catalog.createBucket("elsewhere", owner: "photoskey", settings: [:], limit: 10)
            #expect(await harness.send(.put, "/elsewhere/k", body: "content").status == 200)
            #expect(await harness.send(.get, "/elsewhere/k", key: "lokikey").code == "AccessDenied")
            await harness.put("source", "content")
            #expect(await harness.send(.put, "/photos/copy", [("x-amz-copy-source", "/elsewhere/k")]).status == 200)
        }
    }

    @Test func `a bucket that went elsewhere takes no more writes`() async throws {
        try await ClientBucketsTests.run { harness in
            #expect(await harness.send(.put, "/mine").status == 200)
            let record = try #require(try await harness.catalog.bucket("mine"))
            #expect(try await harness.catalog.deleteBucket(record.id) == .deleted)
            #expect(await harness.send(.put, "/mine/k", body: "content").code == "NoSuchBucket")
            #expect(await harness.send(.post, "/mine/k?uploads").code == "NoSuchBucket")
        }
    }

    @Test func `a bucket that another instance deleted is made anew, not confirmed`() async throws {
        try await ClientBucketsTests.run { harness in
            #expect(await harness.send(.put, "/mine").status == 200)
            let record = try #require(try await harness.catalog.bucket("mine"))
            #expect(try await harness.catalog.deleteBucket(record.id) == .deleted)
            #expect(await harness.send(.put, "/mine").status == 200)
            #expect(await harness.send(.put, "/mine/k", body: "content").status == 200)
        }
    }

    @Test func `making a declared bucket with an ACL is refused, since it gets none`() async throws {
        try await ClientBucketsTests.run { harness in
            #expect(await harness.send(.put, "/photos").status == 200)
            let answer = await harness.send(.put, "/photos", [("x-amz-acl", "public-read")])
            #expect(answer.code == "AccessControlListNotSupported", "\(answer.text)")
        }
    }

    // MARK: ACLs

    @Test(arguments: [
        ("private", false, false, false), ("public-read", true, true, false), ("public-read-write", true, true, true),
        ("authenticated-read", false, true, false),
    ])
    func `a canned ACL opens a bucket as far as it says`(acl: String, anyone: Bool, others: Bool, writes: Bool)
        async throws
    {
        try await ClientBucketsTests.run { harness in
            #expect(await harness.send(.put, "/mine", [("x-amz-acl", acl)]).status == 200)
            #expect(await harness.send(.get, "/mine", proof: .none).status == (anyone ? 200 : 403))
            #expect(await harness.send(.get, "/mine", key: "lokikey").status == (others ? 200 : 403))
            #expect(
                await harness.send(.put, "/mine/k", body: "x", proof: .none, payload: .unsigned).status
                    == (writes ? 200 : 403))
            // The bucket's ACL is about its list, not about its objects.
            _ = await harness.send(.put, "/mine/k", body: "x")
            #expect(await harness.send(.get, "/mine/k", proof: .none).status == 403)
            let shown = await harness.send(.get, "/mine?acl")
            let uri = "http://acs.amazonaws.com/groups/global/"
            #expect(shown.elements("URI").contains(uri + "AllUsers") == anyone)
            #expect(shown.elements("URI").contains(uri + "AuthenticatedUsers") == (others && !anyone))
            #expect(
                await harness.send(.put, "/mine", [("x-amz-acl", acl == "private" ? "public-read" : "private")]).status
                    == 409)
        }
    }

    @Test func `an object's ACL opens it alone, and goes with the next write`() async throws {
        try await ClientBucketsTests.run { harness in
            #expect(await harness.send(.put, "/mine").status == 200)
            #expect(await harness.send(.put, "/mine/open", [("x-amz-acl", "public-read")], body: "open").status == 200)
            _ = await harness.send(.put, "/mine/closed", body: "closed")
            #expect(await harness.send(.get, "/mine/open", proof: .none).text == "open")
            #expect(await harness.send(.head, "/mine/open", proof: .none).status == 200)
            #expect(await harness.send(.get, "/mine/closed", proof: .none).code == "AccessDenied")
            #expect(
                await harness.send(.get, "/mine/missing", proof: .none).code == "AccessDenied",
                "no listing, no learning")
            #expect(await harness.send(.put, "/mine/closed?acl", [("x-amz-acl", "authenticated-read")]).status == 200)
            #expect(await harness.send(.get, "/mine/closed", key: "lokikey").text == "closed")
            #expect(await harness.send(.get, "/mine/closed?acl", key: "lokikey").code == "AccessDenied")
            _ = await harness.send(.put, "/mine/open", body: "new")
            #expect(await harness.send(.get, "/mine/open", proof: .none).code == "AccessDenied")
        }
    }

    @Test func `an ACL document says what a canned ACL says, or is refused`() async throws {
        try await ClientBucketsTests.run { harness in
            #expect(await harness.send(.put, "/mine").status == 200)
            func document(_ grantee: String, _ permission: String) -> String {
                "<AccessControlPolicy><Owner><ID>sluice</ID></Owner><AccessControlList><Grant><Grantee>\(grantee)</Grantee>"
                    + "<Permission>\(permission)</Permission></Grant></AccessControlList></AccessControlPolicy>"
            }
            let everybody = "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>"
            #expect(await harness.send(.put, "/mine?acl", body: document(everybody, "READ")).status == 200)
            #expect(await harness.send(.get, "/mine", proof: .none).status == 200)
            #expect(
                await harness.send(.put, "/mine?acl", body: document(everybody, "WRITE_ACP")).code == "NotImplemented")
            #expect(
                await harness.send(.put, "/mine?acl", body: document("<ID>nobody</ID>", "READ")).code
                    == "InvalidArgument")
            #expect(
                await harness.send(.put, "/mine?acl", body: document("<EmailAddress>a@b.c</EmailAddress>", "READ")).code
                    == "UnresolvableGrantByEmailAddress")
            #expect(await harness.send(.put, "/mine?acl", body: "<AccessControlPolicy/>").code == "MalformedXML")
            #expect(await harness.send(.put, "/mine?acl").code == "MissingSecurityHeader")
            #expect(await harness.send(.get, "/mine", proof: .none).status == 200, "what was refused changed nothing")
        }
    }

    @Test func `a public access block outweighs ACLs`() async throws {
        try await ClientBucketsTests.run { harness in
            #expect(await harness.send(.put, "/mine", [("x-amz-acl", "public-read")]).status == 200)
            _ = await harness.send(.put, "/mine/k", [("x-amz-acl", "public-read")], body: "content")
            #expect(await harness.send(.get, "/mine?publicAccessBlock").code == "NoSuchPublicAccessBlockConfiguration")
            func block(_ name: String) async -> Int {
                let document =
                    "<PublicAccessBlockConfiguration><\(name)>true</\(name)></PublicAccessBlockConfiguration>"
                return await harness.send(.put, "/mine?publicAccessBlock", body: document).status
            }
            #expect(await block("IgnorePublicAcls") == 200)
            #expect(await harness.send(.get, "/mine?publicAccessBlock").element("IgnorePublicAcls") == "true")
            #expect(await harness.send(.get, "/mine", proof: .none).status == 403)
            #expect(await harness.send(.get, "/mine/k", proof: .none).status == 403)
            #expect(await block("BlockPublicAcls") == 200)
            #expect(await harness.send(.get, "/mine/k", proof: .none).text == "content", "what is public stays")
            #expect(await harness.send(.put, "/mine?acl", [("x-amz-acl", "public-read")]).code == "AccessDenied")
            #expect(
                await harness.send(.put, "/mine/n", [("x-amz-acl", "public-read")], body: "x").code == "AccessDenied")
            #expect(await harness.send(.delete, "/mine?publicAccessBlock").status == 204)
            #expect(await harness.send(.put, "/mine?acl", [("x-amz-acl", "public-read")]).status == 200)
        }
    }

    @Test func `tags and CORS of a bucket are kept, and a declared bucket's are the spec's`() async throws {
        try await ClientBucketsTests.run { harness in
            #expect(await harness.send(.put, "/mine").status == 200)
            #expect(await harness.send(.get, "/mine?tagging").code == "NoSuchTagSet")
            let tags = "<Tagging><TagSet><Tag><Key>a b</Key><Value>c&amp;d</Value></Tag></TagSet></Tagging>"
            #expect(await harness.send(.put, "/mine?tagging", body: tags).status == 204)
            #expect(await harness.send(.get, "/mine?tagging").elements("Value") == ["c&amp;d"])
            #expect(await harness.send(.delete, "/mine?tagging").status == 204)
            #expect(await harness.send(.get, "/mine?tagging").code == "NoSuchTagSet")
            let cors =
                "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>https://*.example.net</AllowedOrigin>"
                + "</CORSRule></CORSConfiguration>"
            #expect(await harness.send(.get, "/mine?cors").code == "NoSuchCORSConfiguration")
            #expect(await harness.send(.put, "/mine?cors", body: cors).status == 200)
            #expect(await harness.send(.get, "/mine?cors").element("AllowedOrigin") == "https://*.example.net")
            for target in ["/photos?cors", "/photos?tagging", "/photos?publicAccessBlock"] {
                #expect(await harness.send(.delete, target).code == "AccessDenied", "\(target)")
            }
            #expect(
                await harness.send(.put, "/photos?acl", [("x-amz-acl", "public-read")]).code
                    == "AccessControlListNotSupported")
            #expect(await harness.send(.put, "/photos?acl", [("x-amz-acl", "private")]).status == 200)
        }
    }

    @Test func `a stranger's expected owner is refused before anything is done`() async throws {
        try await ClientBucketsTests.run { harness in
            let stranger = [("x-amz-expected-bucket-owner", "111122223333")]
            #expect(await harness.send(.put, "/photos/k", stranger, body: "x").code == "AccessDenied")
            #expect(await !harness.exists("k"))
            let owner = [("x-amz-expected-bucket-owner", "sluice")]
            #expect(await harness.send(.put, "/photos/k", owner, body: "x").status == 200)
        }
    }
}

@Suite("Anonymous reading of declared buckets") struct AnonymousReadTests {
    @Test func `only reads, only where the spec opens the bucket`() async throws {
        let open = { (bucket: inout ServedBucket) in bucket.anonymousRead = AnonymousReadSpec(prefixes: ["public/"]) }
        try await GatewayHarness.run(photos: open) { harness in
            await harness.put("public/k", "open")
            await harness.put("secret/k", "closed")
            #expect(await harness.send(.get, "/photos/public/k", proof: .none).text == "open")
            #expect(await harness.send(.head, "/photos/public/k", proof: .none).status == 200)
            #expect(await harness.send(.get, "/photos/public/missing", proof: .none).code == "NoSuchKey")
            let asPage = await harness.send(.get, "/photos/public/k?response-content-type=text/html", proof: .none)
            #expect(asPage.code == "InvalidRequest", "a stranger's link does not choose the type")
            #expect(await harness.send(.get, "/photos/secret/k", proof: .none).code == "AccessDenied")
            #expect(await harness.send(.get, "/photos?prefix=public/", proof: .none).code == "AccessDenied")
            for (method, target) in [
                (HTTP.Method.put, "/photos/public/k"), (.delete, "/photos/public/k"),
                (.get, "/photos/public/k?tagging"),
                (.get, "/photos/public/k?acl"), (.post, "/photos/public/k?uploads"), (.post, "/photos?delete"),
                (.get, "/photos?versions&prefix=public/"), (.get, "/photos?uploads&prefix=public/"), (.get, "/logs/k"),
            ] {
                #expect(await harness.send(method, target, proof: .none).code == "AccessDenied", "\(method) \(target)")
            }
            // A key without a grant here reads what anybody may read.
            #expect(await harness.send(.get, "/photos/public/k", key: "lokikey").text == "open")
        }
    }

    @Test func `listing is opened by its own word`() async throws {
        let open = { (bucket: inout ServedBucket) in
            bucket.anonymousRead = AnonymousReadSpec(prefixes: ["public/"], allowsListing: true)
        }
        try await GatewayHarness.run(photos: open) { harness in
            await harness.put("public/k", "open")
            await harness.put("secret/k", "closed")
            #expect(await harness.send(.get, "/photos?prefix=public/", proof: .none).elements("Key") == ["public/k"])
            #expect(
                await harness.send(.get, "/photos?list-type=2&prefix=public/", proof: .none).elements("Key") == [
                    "public/k"
                ])
            #expect(await harness.send(.get, "/photos?prefix=", proof: .none).code == "AccessDenied")
            #expect(await harness.send(.get, "/photos?prefix=pub", proof: .none).code == "AccessDenied")
        }
    }
}

@Suite("CORS") struct CORSTests {
    private static let rules = [
        CORSRule(
            allowedOrigins: ["https://*.example.net"], allowedMethods: ["GET", "PUT"], allowedHeaders: ["x-amz-*"],
            exposeHeaders: ["ETag"], maxAge: .seconds(600)),
        CORSRule(allowedOrigins: ["*"], allowedMethods: ["HEAD"]),
    ]
    private static func open(_ bucket: inout ServedBucket) { bucket.cors = rules }

    @Test func `a preflight is answered by the first rule that matches`() async throws {
        try await GatewayHarness.run(photos: CORSTests.open) { harness in
            func preflight(_ target: String, _ origin: String, _ method: String, _ headers: String? = nil) async
                -> GatewayHarness.Answer
            {
                var fields = [("Origin", origin), ("Access-Control-Request-Method", method)]
                if let headers { fields.append(("Access-Control-Request-Headers", headers)) }
                return await harness.send(.options, target, fields, proof: .none)
            }
            let allowed = await preflight("/photos/k", "https://www.example.net", "PUT", "x-amz-meta-a, X-Amz-Date")
            #expect(allowed.status == 200)
            #expect(allowed.fields["access-control-allow-origin"] == "https://www.example.net")
            #expect(allowed.fields["access-control-allow-methods"] == "GET, PUT")
            #expect(allowed.fields["access-control-allow-headers"] == "x-amz-meta-a, x-amz-date")
            #expect(allowed.fields["access-control-expose-headers"] == "ETag")
            #expect(allowed.fields["access-control-max-age"] == "600")
            #expect(allowed.fields["vary"]?.contains("Origin") == true)
            #expect(
                await preflight("/photos", "https://evil.test", "HEAD").fields["access-control-allow-origin"] == "*")
            #expect(
                await preflight("/photos/k", "https://www.example.net", "PUT", "content-type").code == "AccessForbidden"
            )
            #expect(await preflight("/photos/k", "https://www.example.net", "DELETE").code == "AccessForbidden")
            #expect(await preflight("/photos/k", "https://evil.test", "GET").code == "AccessForbidden")
            #expect(await preflight("/logs/k", "https://www.example.net", "GET").code == "AccessForbidden", "no rules")
            #expect(
                await preflight("/nowhere/k", "https://www.example.net", "GET").code == "AccessForbidden", "no bucket")
            #expect(await harness.send(.options, "/photos", proof: .none).code == "BadRequest")
            #expect(
                await harness.send(.options, "/photos", [("Origin", "https://a.test")], proof: .none).code
                    == "BadRequest")
        }
    }

    @Test func `answers, errors too, tell the browser which origins may read them`() async throws {
        try await GatewayHarness.run(photos: CORSTests.open) { harness in
            let origin = [("Origin", "https://www.example.net")]
            await harness.put("k", "content")
            #expect(
                await harness.send(.get, "/photos/k", origin).fields["access-control-allow-origin"]
                    == "https://www.example.net")
            let missing = await harness.send(.get, "/photos/missing", origin)
            #expect(missing.status == 404 && missing.fields["access-control-allow-origin"] == "https://www.example.net")
            let denied = await harness.send(.get, "/photos/k", origin, proof: .none)
            #expect(denied.status == 403 && denied.fields["access-control-allow-origin"] == "https://www.example.net")
            let stranger = await harness.send(.get, "/photos/k", [("Origin", "https://evil.test")])
            #expect(stranger.fields["access-control-allow-origin"] == nil && stranger.fields["vary"] != nil)
            #expect(await harness.send(.get, "/photos/k").fields["access-control-allow-origin"] == nil)
        }
    }

    @Test(arguments: [
        ("*", "anything", true), ("https://a.test", "https://a.test", true),
        ("https://a.test", "https://a.test.evil", false),
        ("https://*.a.test", "https://x.a.test", true), ("https://*.a.test", "https://a.test", false),
        ("ab*ba", "aba", false),
        ("a*", "a", true), ("*a", "ba", true), ("", "", true),
    ])
    func `a pattern has one star`(pattern: String, text: String, matches: Bool) {
        #expect(CORSMatch.matches(pattern, text) == matches)
    }
}
