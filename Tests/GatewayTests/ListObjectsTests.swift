import Catalog
import HTTP
import S3
import TestSupport
import Testing

@testable import Gateway

@Suite struct ListObjectsTests {
    static let keys = ["a", "a/1", "a/2", "b", "c/d/1", "c/e", "d e", "e\u{301}", "z+z", "\u{E9}"]

    private func fill(_ harness: GatewayHarness) async {
        for key in Self.keys { await harness.put(key, key) }
    }

    @Test func `V2 goes through all keys in byte order whatever the page size, each prefix once`() async throws {
        try await GatewayHarness.run { harness in
            await fill(harness)
            for size in 1...11 {
                var seen: [String] = []
                var token = ""
                repeat {
                    let target = "/photos?list-type=2&delimiter=%2F&max-keys=\(size)" + token
                    let page = await harness.send(.get, target)
                    #expect(page.status == 200)
                    let items = page.elements("Key").count + page.elements("Prefix").dropFirst().count
                    #expect(page.element("KeyCount") == "\(items)" && items <= size)
                    seen += page.elements("Key") + page.elements("Prefix").dropFirst()
                    let next = page.element("NextContinuationToken")
                    #expect((page.element("IsTruncated") == "true") == (next != nil))
                    token = next.map { "&continuation-token=" + $0 } ?? ""
                } while !token.isEmpty
                let expected = ["a", "a/", "b", "c/", "d e", "e\u{301}", "z+z", "\u{E9}"]
                #expect(
                    seen.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
                        == expected.map { Array($0.utf8) })
            }
        }
    }

    @Test func `V1 pages by marker, also past a common prefix`() async throws {
        try await GatewayHarness.run { harness in
            await fill(harness)
            var seen: [String] = []
            var marker = ""
            repeat {
                let page = await harness.send(.get, "/photos?delimiter=%2F&max-keys=1&marker=" + marker)
                seen += page.elements("Key") + page.elements("Prefix").dropFirst()
                marker = PercentCoding.encode(page.element("NextMarker") ?? "")
            } while !marker.isEmpty
            #expect(seen.count == 8 && Set(seen.map { Array($0.utf8) }).count == 8)
            let plain = await harness.send(.get, "/photos?max-keys=2")
            #expect(plain.element("IsTruncated") == "true" && plain.element("NextMarker") == nil)
            #expect(plain.elements("Owner").count == 2)
        }
    }

    @Test func `a token is bound to its listing and cannot be made up`() async throws {
        try await GatewayHarness.run { harness in
            await fill(harness)
            let token =
                await harness.send(.get, "/photos?list-type=2&max-keys=1").element("NextContinuationToken") ?? ""
            #expect(await harness.send(.get, "/photos?list-type=2&continuation-token=\(token)").status == 200)
            var wrong = [
                "/photos?list-type=2&prefix=a&continuation-token=\(token)",
                "/photos?list-type=2&delimiter=/&continuation-token=\(token)",
                "/photos?list-type=2&continuation-token=a",
                "/photos?list-type=2&continuation-token=\(token)00",
            ]
            for index in [0, 20, token.count - 1] {
                var changed = Array(token.utf8)
                changed[index] = changed[index] == 0x30 ? 0x31 : 0x30
                wrong.append("/photos?list-type=2&continuation-token=" + String(decoding: changed, as: UTF8.self))
            }
            for target in wrong {
                let answer = await harness.send(.get, target)
                #expect(answer.status == 400 && answer.code == "InvalidArgument", "\(target)")
            }
        }
    }

    @Test func `max-keys 0 is an empty, whole answer without a look at the catalog`() async throws {
        try await GatewayHarness.run { harness in
            await fill(harness)
            let before = harness.catalog.calls(.list)
            let answer = await harness.send(.get, "/photos?list-type=2&max-keys=0")
            #expect(answer.element("KeyCount") == "0" && answer.element("IsTruncated") == "false")
            #expect(harness.catalog.calls(.list) == before)
            for bad in ["-1", "x", "99999999999999999999"] {
                #expect(await harness.send(.get, "/photos?list-type=2&max-keys=\(bad)").code == "InvalidArgument")
            }
            let many = await harness.send(.get, "/photos?list-type=2&max-keys=5000")
            #expect(many.element("MaxKeys") == "1000")
        }
    }

    @Test func `encoding-type=url encodes every name and says so`() async throws {
        try await GatewayHarness.run { harness in
            await fill(harness)
            let answer = await harness.send(
                .get, "/photos?list-type=2&encoding-type=url&prefix=d%20&start-after=a%2Bb&delimiter=%2B")
            #expect(answer.element("EncodingType") == "url" && answer.elements("Key") == ["d%20e"])
            #expect(answer.element("Prefix") == "d%20" && answer.element("StartAfter") == "a%2Bb")
            #expect(answer.element("Delimiter") == "%2B")
            #expect(await harness.send(.get, "/photos?list-type=2&encoding-type=base64").code == "InvalidArgument")
        }
    }

    @Test func `start-after, fetch-owner and LastModified are as HEAD has them`() async throws {
        try await GatewayHarness.run { harness in
            await fill(harness)
            let answer = await harness.send(.get, "/photos?list-type=2&start-after=d%20e&fetch-owner=true")
            #expect(
                answer.elements("Key").map { Array($0.utf8) } == ["e\u{301}", "z+z", "\u{E9}"].map { Array($0.utf8) })
            #expect(answer.elements("Owner").count == 3)
            #expect(answer.element("LastModified") == "2023-11-14T22:13:20.000Z")
            #expect(await harness.send(.head, "/photos/a").fields["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT")
        }
    }

    @Test func `buckets are listed, headed and located for those who may`() async throws {
        try await GatewayHarness.run { harness in
            #expect(await harness.send(.get, "/").elements("Name") == ["photos"])
            #expect(await harness.send(.get, "/", key: "lokikey").elements("Name") == ["logs", "photos"])
            #expect(await harness.send(.head, "/photos").status == 200)
            #expect(await harness.send(.head, "/logs").status == 403)
            #expect(await harness.send(.head, "/nowhere").status == 404)
            let location = await harness.send(.get, "/photos?location")
            #expect(
                location.text.contains("<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></Loc"))
            #expect(await harness.send(.get, "/photos?versioning").text.contains("<VersioningConfiguration"))
            let created = await harness.send(.put, "/photos")
            #expect(created.status == 200 && created.fields["location"] == "/photos")
            #expect(await harness.send(.put, "/logs").code == "AccessDenied")
            #expect(await harness.send(.put, "/new").code == "AccessDenied")
            #expect(await harness.send(.delete, "/photos").status == 204)
            #expect(await harness.send(.head, "/photos").status == 200)
            #expect(await harness.send(.delete, "/logs").code == "AccessDenied")
        }
    }
}
