import HTTP
import S3
import Testing

@Suite struct RequestDocumentTests {
    static func code<Document>(_ make: (([UInt8]) throws(S3Error) -> Document), _ xml: String) -> S3ErrorCode? {
        do throws(S3Error) { _ = try make(Array(xml.utf8)) } catch { return error.code }
        return nil
    }
    static func delete(_ objects: Int) -> String {
        "<Delete>" + (0..<objects).map { "<Object><Key>k\($0)</Key></Object>" }.joined() + "</Delete>"
    }

    @Test func `DeleteObjects takes 1 to 1,000 keys, exactly as written`() throws {
        let document = try DeleteDocument(
            xml: Array(
                """
                <Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>
                <Object><Key> a&amp;b\u{20}</Key><VersionId>v</VersionId><ETag>"e"</ETag></Object><Object><Key>\t&#13;</Key></Object></Delete>
                """.utf8))
        #expect(document.isQuiet && document.entries.map(\.key) == [" a&b ", "\t\r"])
        #expect(document.entries[0].versionID == "v" && document.entries[0].etag == "e")
        #expect(try DeleteDocument(xml: Array(RequestDocumentTests.delete(1000).utf8)).isQuiet == false)
        for xml in [
            RequestDocumentTests.delete(0), RequestDocumentTests.delete(1001), "<Delete><Object/></Delete>",
            "<Delete><Object><Key></Key></Object></Delete>", "<Remove><Object><Key>a</Key></Object></Remove>", "",
            "<Delete>",
        ] {
            #expect(RequestDocumentTests.code(DeleteDocument.init(xml:), xml) == .malformedXML, "\(xml.prefix(60))")
        }
    }

    @Test func `CompleteMultipartUpload takes parts in rising order`() throws {
        func document(_ parts: [(String, String)]) -> String {
            "<CompleteMultipartUpload>"
                + parts.map { "<Part><PartNumber>\($0.0)</PartNumber><ETag>\($0.1)</ETag></Part>" }.joined()
                + "</CompleteMultipartUpload>"
        }
        let right = try CompleteDocument(xml: Array(document([("2", "&quot;a&quot;"), ("10000", "b")]).utf8))
        #expect(right.parts.map(\.number) == [2, 10_000] && right.parts.map(\.etag) == ["a", "b"])
        func code(_ parts: [(String, String)]) -> S3ErrorCode? {
            RequestDocumentTests.code(CompleteDocument.init(xml:), document(parts))
        }
        #expect(code([]) == .malformedXML)
        #expect(
            code([("2", "a"), ("1", "b")]) == .invalidPartOrder && code([("2", "a"), ("2", "b")]) == .invalidPartOrder)
        for number in ["0", "10001", "-1", "x", "", "1.5"] {
            #expect(code([(number, "a")]) == .malformedXML, "\(number)")
        }
        let full = (1...10_000).map { ("\($0)", "d41d8cd98f00b204e9800998ecf8427e") }
        #expect(try CompleteDocument(xml: Array(document(full).utf8)).parts.count == 10_000)
    }

    @Test func `a part's checksums come along`() throws {
        let xml = """
            <CompleteMultipartUpload><Part><ChecksumCRC64NVME>rosUhgoHmYg=</ChecksumCRC64NVME><PartNumber>1</PartNumber>
            <ETag>a</ETag></Part></CompleteMultipartUpload>
            """
        #expect(try CompleteDocument(xml: Array(xml.utf8)).parts.first?.checksums == ["crc64nvme": "rosUhgoHmYg="])
    }
}

@Suite struct ResponseDocumentTests {
    static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test func `an error document is read, and anything else is none`() {
        let error = S3Error(.authorizationHeaderMalformed, "the <region> is wrong", details: ["Region": "eu-test-1"])
        let document = error.document(resource: "/photos/a&b", requestID: "R1")
        let read = ResponseDocuments.error(ResponseDocumentTests.bytes(document))
        #expect(read?.code == "AuthorizationHeaderMalformed" && read?.message == "the <region> is wrong")
        #expect(
            document.contains("<Region>eu-test-1</Region>") && document.contains("<Resource>/photos/a&amp;b</Resource>")
        )
        #expect(document.contains("<RequestId>R1</RequestId>"))
        for text in ["", "<html><body>502</body></html>", "<Error/>", "{}", "<ListBucketResult/>"] {
            #expect(ResponseDocuments.error(ResponseDocumentTests.bytes(text)) == nil)
        }
    }

    @Test func `Complete may begin with white space, and may be an error with status 200`() {
        let success =
            "   \n\n <?xml version=\"1.0\"?>\n<CompleteMultipartUploadResult><ETag>&quot;abc-2&quot;</ETag></CompleteMultipartUploadResult>"
        #expect(ResponseDocuments.completedETag(ResponseDocumentTests.bytes(success)) == "abc-2")
        let failure = "  <?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>m</Message></Error>"
        #expect(ResponseDocuments.completedETag(ResponseDocumentTests.bytes(failure)) == nil)
        #expect(ResponseDocuments.error(ResponseDocumentTests.bytes(failure))?.code == "InternalError")
        #expect(ResponseDocuments.completedETag(ResponseDocumentTests.bytes("   ")) == nil)
    }

    @Test func `a listing is decoded as its EncodingType says`() throws {
        func listing(_ key: String, encoded: Bool) -> StoreListing? {
            ResponseDocuments.listing(
                ResponseDocumentTests.bytes(
                    """
                    <ListBucketResult xmlns="x">\(encoded ? "<EncodingType>url</EncodingType>" : "")<IsTruncated>true</IsTruncated>
                    <Contents><Key>\(key)</Key><LastModified>2024-02-29T12:00:00.500Z</LastModified><ETag>&quot;e&quot;</ETag><Size>7</Size>
                    </Contents></ListBucketResult>
                    """))
        }
        let entry = try #require(listing("a%2Bb+c%20d%C3%A9", encoded: true)?.entries.first)
        #expect(entry.key == "a+b c dé" && entry.size == 7 && entry.etag == "e")
        #expect(entry.modified == WallTime(seconds: 1_709_208_000, nanoseconds: 500_000_000))
        #expect(listing("a%2Bb+c", encoded: false)?.entries.first?.key == "a%2Bb+c")
        #expect(listing("a%2", encoded: true) == nil && listing("a%FF", encoded: true) == nil)
        #expect(listing("a", encoded: true)?.isTruncated == true)
        #expect(ResponseDocuments.listing(ResponseDocumentTests.bytes("<Error/>")) == nil)
    }

    @Test func `uploads and upload ids are read`() {
        let uploads = """
            <ListMultipartUploadsResult><EncodingType>url</EncodingType><Upload><Key>a%2Fb</Key><UploadId>u1</UploadId></Upload>
            <Upload><Key>c</Key><UploadId>u2</UploadId></Upload></ListMultipartUploadsResult>
            """
        #expect(
            ResponseDocuments.uploads(ResponseDocumentTests.bytes(uploads))
                == [OpenUpload(key: "a/b", uploadID: "u1"), OpenUpload(key: "c", uploadID: "u2")])
        #expect(
            ResponseDocuments.uploadID(
                ResponseDocumentTests.bytes(
                    "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>")) == "id")
        #expect(ResponseDocuments.uploads(ResponseDocumentTests.bytes("<Error/>")) == nil)
    }
}
