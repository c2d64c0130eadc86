import Catalog
import HTTP
import S3
import TestSupport
import Testing

@testable import Gateway

@Suite struct DeleteObjectsTests {
    @Test func `a delete is 204 whether or not there was something`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "x")
            #expect(await harness.send(.delete, "/photos/k").status == 204)
            #expect(await harness.send(.delete, "/photos/k").status == 204)
            #expect(await harness.send(.get, "/photos/k").status == 404)
        }
    }

    @Test func `many keys go in one transaction and come back exactly`() async throws {
        try await GatewayHarness.run { harness in
            let keys = ["a&b", "<c>", "\u{E9}", "e\u{301}", "a", "a"]
            for key in keys { await harness.put(key, "x") }
            let objects = keys.map { key in
                let escaped = key == "a&b" ? "a&amp;b" : key == "<c>" ? "&lt;c&gt;" : key
                return "<Object><Key>\(escaped)</Key></Object>"
            }
            let answer = await harness.send(.post, "/photos?delete", body: "<Delete>\(objects.joined())</Delete>")
            #expect(
                answer.elements("Deleted").count == 6 && answer.text.contains("a&amp;b")
                    && answer.text.contains("&lt;c&gt;"))
            #expect(harness.catalog.calls(.delete) == 1)
            #expect(harness.catalog.tables.objects.values.allSatisfy { $0.current == nil })
        }
    }

    @Test func `quiet answers hold errors only`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "x")
            let long = String(repeating: "x", count: 1025)
            let body =
                "<Delete><Quiet>true</Quiet><Object><Key>k</Key></Object><Object><Key>\(long)</Key></Object>"
                + "<Object><Key>v</Key><VersionId>1</VersionId></Object><Object><Key>k2</Key><ETag>x</ETag></Object></Delete>"
            let answer = await harness.send(.post, "/photos?delete", body: body)
            #expect(answer.elements("Deleted").isEmpty)
            #expect(answer.elements("Code") == ["KeyTooLongError", "InvalidArgument", "NoSuchKey"])
        }
    }

    @Test(arguments: [
        "", "<Delete></Delete>", "<Delete><Object></Object></Delete>", "not xml",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><Delete><Object><Key>&b;</Key></Object></Delete>",
        "<Delete>" + String(repeating: "<Object><Key>k</Key></Object>", count: 1001) + "</Delete>",
    ])
    func `a document that is not as it should be deletes nothing`(body: String) async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "x")
            #expect(await harness.send(.post, "/photos?delete", body: body).code == "MalformedXML")
            #expect(await harness.exists("k"))
        }
    }

    @Test func `a document whose digest is wrong deletes nothing`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "x")
            let answer = await harness.send(
                .post, "/photos?delete", [("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")],
                body: "<Delete><Object><Key>k</Key></Object></Delete>")
            #expect(answer.code == "BadDigest")
            #expect(await harness.exists("k"))
        }
    }
}
