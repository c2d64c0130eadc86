import HTTP
import S3
import Testing

@testable import Gateway

@Suite struct RouterTests {
    private func route(
        _ method: HTTP.Method, _ target: String, host: String = "s3.example.net", domain: String? = nil,
        _ headers: [(String, String)] = []
    ) throws(S3Error) -> Gateway.Operation {
        let head = RequestHead(method: method, target: target, fields: Fields([("Host", host)] + headers))
        return try Router(domain: domain).route(head, Query(raw: head.rawQuery) ?? .empty, head.fields)
    }

    private func code(_ method: HTTP.Method, _ target: String, _ headers: [(String, String)] = []) -> S3ErrorCode? {
        do throws(S3Error) {
            _ = try route(method, target, headers)
            return nil
        } catch {
            return error.code
        }
    }

    @Test(arguments: [
        ("/photos/a//b", "a//b"), ("/photos//a", "/a"), ("/photos/./a", "./a"), ("/photos/../a", "../a"),
        ("/photos/a+b", "a+b"), ("/photos/a%2Fb", "a/b"), ("/photos/a%2fb/", "a/b/"), ("/photos/%20", " "),
        ("/photos/%C3%A9", "é"), ("/photos/e%CC%81", "e\u{301}"), ("/photos/a%3Fb", "a?b"), ("/photos/a%25b", "a%b"),
        ("/photos/%2E%2E", ".."), ("/photos/a/", "a/"), ("/photos/100%25%2B", "100%+"), ("/photos/%0A", "\n"),
    ])
    func `a key is what the target says, byte for byte`(target: String, key: String) throws {
        let operation = try route(.get, target)
        guard case .object(let address, .get(nil)) = operation else {
            Issue.record("\(operation)")
            return
        }
        #expect(address.bucket == "photos" && address.key.utf8.elementsEqual(key.utf8))
    }

    @Test func `keys end at 1,024 bytes`() {
        let longest = String(repeating: "%C3%A9", count: 512)
        #expect(code(.put, "/photos/" + longest) == nil)
        #expect(code(.put, "/photos/" + longest + "x") == .keyTooLong)
    }

    @Test func `keys that are not text are refused`() {
        #expect(code(.get, "/photos/%ff") == .invalidURI)
        #expect(code(.get, "/photos/%C3") == .invalidURI)
        #expect(code(.get, "/photos/%zz") == .invalidURI)
        #expect(code(.get, "/photos/%") == .invalidURI)
        #expect(code(.get, "/photos/a%00b") == .invalidArgument)
        #expect(code(.get, "//a") == .invalidBucketName)
        #expect(code(.get, "*") == .invalidURI)
    }

    @Test func `both styles of addressing name the same object`() throws {
        let object = Gateway.Operation.object(ObjectAddress(bucket: "photos", key: "a/b"), .get(part: nil))
        #expect(try route(.get, "/photos/a/b", domain: "s3.example.net") == object)
        #expect(try route(.get, "/a/b", host: "photos.s3.example.net", domain: "s3.example.net") == object)
        #expect(try route(.get, "/a/b", host: "PHOTOS.S3.example.net:9000", domain: "s3.example.net") == object)
        #expect(
            try route(.get, "/", host: "photos.s3.example.net", domain: "s3.example.net") == .bucket("photos", .listV1))
        #expect(try route(.get, "/photos/a/b", host: "photos.other.net", domain: "s3.example.net") == object)
    }

    @Test func `every sub-resource that is not implemented is refused with every method`() {
        let served: [String: [(HTTP.Method, String)]] = [
            "location": [(.get, "/b")], "versioning": [(.get, "/b")], "versions": [(.get, "/b")],
            "accelerate": [(.get, "/b")], "encryption": [(.get, "/b")], "lifecycle": [(.get, "/b")],
            "logging": [(.get, "/b")],
            "notification": [(.get, "/b")], "object-lock": [(.get, "/b")], "ownershipControls": [(.get, "/b")],
            "policy": [(.get, "/b")], "policyStatus": [(.get, "/b")],
            "publicAccessBlock": [(.get, "/b"), (.put, "/b"), (.delete, "/b")],
            "replication": [(.get, "/b")], "requestPayment": [(.get, "/b")], "website": [(.get, "/b")],
            "acl": [(.get, "/b"), (.put, "/b"), (.get, "/b/k"), (.put, "/b/k")],
            "cors": [(.get, "/b"), (.put, "/b"), (.delete, "/b")],
            "tagging": [
                (.get, "/b"), (.put, "/b"), (.delete, "/b"), (.get, "/b/k"), (.put, "/b/k"), (.delete, "/b/k"),
            ],
            "attributes": [(.get, "/b/k")], "uploads": [(.get, "/b"), (.post, "/b/k")],
            "delete": [(.post, "/b")],
            "uploadId": [(.get, "/b/k"), (.post, "/b/k"), (.delete, "/b/k")],
            "versionId": [(.get, "/b/k"), (.head, "/b/k"), (.delete, "/b/k")],
            "partNumber": [(.get, "/b/k"), (.head, "/b/k")],
        ]
        for name in SubResource.names.sorted() {
            for method in [HTTP.Method.get, .head, .put, .post, .delete, HTTP.Method("PATCH")] {
                for path in ["/b", "/b/k"] {
                    let isServed = served[name]?.contains { $0.0 == method && $0.1 == path } ?? false
                    guard !isServed else { continue }
                    let code = code(method, "\(path)?\(name)")
                    let isHalfOfPart = method == .put && path == "/b/k" && ["uploadId", "partNumber"].contains(name)
                    #expect(code == (isHalfOfPart ? .invalidArgument : .notImplemented), "\(method) \(path)?\(name)")
                }
            }
        }
    }

    @Test func `an unknown parameter never changes anything`() {
        for method in [HTTP.Method.put, .delete, .post] {
            #expect(code(method, "/b/k?invented") == .notImplemented)
            #expect(code(method, "/b/k?invented=1") == .notImplemented)
            #expect(code(method, "/b?invented=1") == .notImplemented)
        }
        #expect(code(.get, "/b/k?invented") == .notImplemented)
        #expect(code(.get, "/b/k?cache-buster=1") == nil)
        #expect(code(.put, "/b/k?x-id=PutObject") == nil)
        #expect(code(HTTP.Method("PROPFIND"), "/b/k") == .notImplemented)
        #expect(code(.post, "/b/k") == .notImplemented)
        #expect(code(.post, "/b") == .notImplemented)
    }

    @Test func `part numbers are 1 to 10,000 and come with an upload`() {
        #expect(code(.put, "/b/k?partNumber=1&uploadId=u") == nil)
        #expect(code(.put, "/b/k?partNumber=10000&uploadId=u") == nil)
        for number in ["0", "10001", "-1", "x", "", "99999999999999999999"] {
            #expect(code(.put, "/b/k?partNumber=\(number)&uploadId=u") == .invalidArgument, "\(number)")
        }
        #expect(code(.put, "/b/k?partNumber=1") == .invalidArgument)
        #expect(code(.put, "/b/k?uploadId=u") == .invalidArgument)
        #expect(code(.put, "/b/k?partNumber=1&partNumber=2&uploadId=u") == .invalidArgument)
    }

    @Test func `only the null version exists`() {
        #expect(code(.get, "/b/k?versionId=null") == nil)
        #expect(code(.delete, "/b/k?versionId=3HL4kqtJvjVBH40Nrjfkd") == .invalidArgument)
    }
}
