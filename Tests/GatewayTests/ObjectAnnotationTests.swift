import Catalog
import HTTP
import S3
import Testing

@testable import Gateway

@Suite("Tags of objects") struct ObjectTaggingTests {
    private static func document(_ tags: [(String, String)]) -> String {
        "<Tagging><TagSet>" + tags.map { "<Tag><Key>\($0.0)</Key><Value>\($0.1)</Value></Tag>" }.joined()
            + "</TagSet></Tagging>"
    }

    @Test func `tags come with a PUT, are replaced, counted and removed, and the object stays as it is`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "content", [("x-amz-tagging", "a=1&b=%20c")])
            let head = await harness.send(.head, "/photos/k")
            #expect(head.fields["x-amz-tagging-count"] == "2")
            let tags = await harness.send(.get, "/photos/k?tagging")
            #expect(tags.elements("Key") == ["a", "b"] && tags.elements("Value") == ["1", " c"])
            #expect(
                await harness.send(.put, "/photos/k?tagging", body: ObjectTaggingTests.document([("z", "9")])).status
                    == 200)
            #expect(await harness.send(.get, "/photos/k?tagging").elements("Key") == ["z"])
            let after = await harness.send(.head, "/photos/k")
            #expect(
                after.fields["etag"] == head.fields["etag"]
                    && after.fields["last-modified"] == head.fields["last-modified"])
            #expect(await harness.send(.delete, "/photos/k?tagging").status == 204)
            #expect(await harness.send(.get, "/photos/k?tagging").elements("Key") == [])
            #expect(await harness.send(.head, "/photos/k").fields["x-amz-tagging-count"] == nil)
            #expect(await harness.send(.get, "/photos/k").text == "content")
            for (method, body) in [(HTTP.Method.get, ""), (.put, ObjectTaggingTests.document([])), (.delete, "")] {
                #expect(await harness.send(method, "/photos/none?tagging", body: body).code == "NoSuchKey", "\(method)")
            }
        }
    }

    @Test func `too many, too long, repeated and reserved tags are refused and change nothing`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "content", [("x-amz-tagging", "kept=1")])
            let cases: [[(String, String)]] = [
                (0...10).map { ("\($0)", "") }, [(String(repeating: "k", count: 129), "")],
                [("k", String(repeating: "v", count: 257))], [("k", "1"), ("k", "2")], [("aws:k", "")], [("", "v")],
            ]
            for tags in cases {
                let answer = await harness.send(.put, "/photos/k?tagging", body: ObjectTaggingTests.document(tags))
                #expect(answer.status == 400 && ["InvalidTag", "BadRequest"].contains(answer.code), "\(tags)")
            }
            #expect(await harness.send(.put, "/photos/k?tagging", body: "<Tagging>").code == "MalformedXML")
            for header in ["a", "a=%zz", "a=1&a=2"] {
                let answer = await harness.put("other", "x", [("x-amz-tagging", header)])
                #expect(header == "a" || answer.status == 400, "\(header) \(answer.text)")
            }
            #expect(await harness.send(.get, "/photos/k?tagging").elements("Key") == ["kept"])
        }
    }

    @Test func `a copy takes the source's tags, or its own`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "content", [("x-amz-tagging", "a=1")])
            let source = ("x-amz-copy-source", "/photos/k")
            #expect(await harness.send(.put, "/photos/same", [source]).status == 200)
            #expect(await harness.send(.get, "/photos/same?tagging").elements("Key") == ["a"])
            let own = [source, ("x-amz-tagging-directive", "REPLACE"), ("x-amz-tagging", "b=2")]
            #expect(await harness.send(.put, "/photos/own", own).status == 200)
            #expect(await harness.send(.get, "/photos/own?tagging").elements("Key") == ["b"])
        }
    }
}

@Suite("GetObjectAttributes") struct ObjectAttributesTests {
    @Test func `only what was asked for is answered`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "content", [("x-amz-checksum-crc32", crc32("content"))])
            let name = "x-amz-object-attributes"
            let all = await harness.send(
                .get, "/photos/k?attributes", [(name, "ETag,Checksum,ObjectSize, StorageClass")])
            #expect(all.element("ETag") == ETag.unquoted(await harness.send(.head, "/photos/k").fields["etag"] ?? ""))
            #expect(all.element("ChecksumCRC32") == crc32("content") && all.element("ObjectSize") == "7")
            #expect(all.element("StorageClass") == "STANDARD" && all.fields["last-modified"] != nil)
            let size = await harness.send(.get, "/photos/k?attributes", [(name, "ObjectSize")])
            #expect(size.element("ObjectSize") == "7" && size.element("ETag") == nil)
            #expect(await harness.send(.get, "/photos/k?attributes").code == "InvalidRequest")
            #expect(await harness.send(.get, "/photos/k?attributes", [(name, "Colour")]).code == "InvalidArgument")
            #expect(await harness.send(.get, "/photos/none?attributes", [(name, "ETag")]).code == "NoSuchKey")
        }
    }

    @Test func `parts come with their own checksums, a page at a time, and so does a read of a part`() async throws {
        try await GatewayHarness.run { harness in
            let create = await harness.send(.post, "/photos/k?uploads", [("x-amz-checksum-algorithm", "CRC32")])
            let upload = create.element("UploadId") ?? ""
            let first = String(repeating: "a", count: 5 * 1024 * 1024)
            var complete = "<CompleteMultipartUpload>"
            for (number, text) in [(1, first), (2, "tail")] {
                let part = await harness.send(.put, "/photos/k?partNumber=\(number)&uploadId=\(upload)", body: text)
                #expect(part.fields["x-amz-checksum-crc32"] == crc32(text))
                complete +=
                    "<Part><PartNumber>\(number)</PartNumber><ETag>\(part.fields["etag"] ?? "")</ETag>"
                    + "<ChecksumCRC32>\(crc32(text))</ChecksumCRC32></Part>"
            }
            #expect(
                await harness.send(.post, "/photos/k?uploadId=\(upload)", body: complete + "</CompleteMultipartUpload>")
                    .status == 200)
            let wanted = [("x-amz-object-attributes", "ObjectParts")]
            let parts = await harness.send(.get, "/photos/k?attributes", wanted)
            #expect(parts.element("PartsCount") == "2" && parts.element("IsTruncated") == "false")
            #expect(parts.elements("ChecksumCRC32") == [crc32(first), crc32("tail")])
            let page = await harness.send(.get, "/photos/k?attributes", wanted + [("x-amz-max-parts", "1")])
            #expect(page.elements("PartNumber") == ["1"] && page.element("IsTruncated") == "true")
            let rest = await harness.send(
                .get, "/photos/k?attributes",
                wanted + [("x-amz-part-number-marker", page.element("NextPartNumberMarker") ?? "")])
            #expect(rest.elements("PartNumber") == ["2"] && rest.element("IsTruncated") == "false")
            let tail = await harness.send(.get, "/photos/k?partNumber=2", [("x-amz-checksum-mode", "ENABLED")])
            #expect(tail.text == "tail" && tail.fields["x-amz-checksum-crc32"] == crc32("tail"))
            #expect(tail.fields["x-amz-checksum-type"] == "COMPOSITE" && tail.fields["x-amz-mp-parts-count"] == "2")
        }
    }

    private func crc32(_ text: String) -> String {
        var checksum = Checksum(.crc32)
        Array(text.utf8).withUnsafeBytes { checksum.update($0) }
        return checksum.finalize()
    }
}

@Suite("ListObjectVersions") struct ListVersionsTests {
    @Test func `each object is its one version, called null, and is the latest`() async throws {
        try await GatewayHarness.run { harness in
            for key in ["a", "b/1", "b/2", "c"] { await harness.put(key, key) }
            let all = await harness.send(.get, "/photos?versions")
            #expect(all.elements("Key") == ["a", "b/1", "b/2", "c"])
            #expect(Set(all.elements("VersionId")) == ["null"] && Set(all.elements("IsLatest")) == ["true"])
            let grouped = await harness.send(.get, "/photos?versions&delimiter=/&max-keys=2")
            #expect(grouped.elements("Key") == ["a"] && grouped.elements("Prefix").contains("b/"))
            #expect(grouped.element("IsTruncated") == "true")
            let next = await harness.send(
                .get, "/photos?versions&delimiter=/&key-marker=\(grouped.element("NextKeyMarker") ?? "")")
            #expect(next.elements("Key") == ["c"] && next.element("IsTruncated") == "false")
            #expect(await harness.send(.get, "/photos/a?versionId=null").text == "a")
            #expect(await harness.send(.delete, "/photos/a?versionId=null").status == 204)
            #expect(await !harness.exists("a"))
        }
    }
}
