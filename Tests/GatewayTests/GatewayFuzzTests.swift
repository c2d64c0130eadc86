import Crypto
import HTTP
import S3
import Spec
import TestSupport
import Testing

@testable import Gateway

/// Whole requests, changed and then signed rightly, so that they get as deep as a client with a key can.
@Suite("Fuzzed requests") struct GatewayFuzzTests {
    private struct Template {
        var method: HTTP.Method
        var target: String
        var headers: [(String, String)] = []
        var body = ""
    }

    private static let templates: [Template] = [
        Template(method: .get, target: "/"),
        Template(method: .get, target: "/photos?list-type=2&prefix=a&delimiter=/&max-keys=2"),
        Template(method: .get, target: "/photos?versions&key-marker=a"),
        Template(method: .get, target: "/photos?uploads&max-uploads=1"),
        Template(method: .put, target: "/made"), Template(method: .delete, target: "/made"),
        Template(method: .get, target: "/photos?acl"),
        Template(method: .put, target: "/made?acl", headers: [("x-amz-acl", "public-read")]),
        Template(
            method: .put, target: "/made?cors",
            body:
                "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>"
        ),
        Template(
            method: .put, target: "/photos/k",
            headers: [("x-amz-meta-a", "b"), ("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")]),
        Template(
            method: .put, target: "/photos/k",
            headers: [("x-amz-tagging", "a=b"), ("x-amz-checksum-crc32", "AAAAAA==")]),
        Template(
            method: .put, target: "/photos/c",
            headers: [("x-amz-copy-source", "/photos/canary"), ("x-amz-metadata-directive", "REPLACE")]),
        Template(method: .get, target: "/photos/canary", headers: [("Range", "bytes=0-3"), ("If-Match", "\"x\"")]),
        Template(method: .get, target: "/photos/canary?partNumber=1&response-content-type=a"),
        Template(method: .head, target: "/photos/canary"),
        Template(
            method: .get, target: "/photos/canary?attributes",
            headers: [("x-amz-object-attributes", "ETag,ObjectParts")]),
        Template(
            method: .put, target: "/photos/k?tagging",
            body: "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"),
        Template(method: .post, target: "/photos?delete", body: "<Delete><Object><Key>k</Key></Object></Delete>"),
        Template(method: .post, target: "/photos/m?uploads", headers: [("x-amz-checksum-algorithm", "CRC32")]),
        Template(method: .put, target: "/photos/m?partNumber=1&uploadId=0000000000000000000000000z", body: "part"),
        Template(
            method: .post, target: "/photos/m?uploadId=0000000000000000000000000z",
            body:
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
        ),
        Template(method: .delete, target: "/photos/k", headers: [("If-Match", "*"), ("x-amz-if-match-size", "1")]),
        Template(
            method: .options, target: "/photos/k",
            headers: [("Origin", "https://a.test"), ("Access-Control-Request-Method", "GET")]),
    ]
    private static let words = [
        "%00", "%2F", "%zz", "..", "/../", "//", "?", "&acl", "&uploadId=", "&versionId=null", "é", "%F0%9F%98%80",
        "\u{202E}", "+", "%",
        "-1", "99999999999999999999", "bytes=", "\"", "*", ",", "=", "<", "photos", "logs", "secret",
    ]

    private static func changed(_ text: String, _ random: inout SimulatedRandom) -> String {
        var bytes = Array(text.utf8)
        let place = random.below(bytes.count + 1)
        switch random.below(4) {
        case 0: bytes.insert(contentsOf: Array((random.pick(words) ?? "").utf8), at: place)
        case 1 where place < bytes.count: bytes[place] = UInt8(0x21 + random.below(0x5E))
        case 2: bytes.removeSubrange(place..<min(bytes.count, place + random.below(6)))
        default: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + random.below(12))], at: place)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func request(_ random: inout SimulatedRandom, key: String, proof: GatewayHarness.Proof) -> Request {
        var template = templates[random.below(templates.count)]
        for _ in 0..<random.below(3) { template.target = changed(template.target, &random) }
        // What no HTTP parser would let through is not what is tested here.
        template.target = template.target.filter { $0.isASCII && $0 > " " && $0 != "\u{7F}" }
        if !template.target.hasPrefix("/") { template.target = "/" + template.target }
        for index in template.headers.indices where random.chance(40) {
            template.headers[index].1 = changed(template.headers[index].1, &random)
            template.headers[index].1.removeAll { !HeaderText.isValue(String($0)) }
        }
        if random.chance(30), !template.headers.isEmpty {
            template.headers.append(templates[random.below(templates.count)].headers.first ?? ("x-a", "b"))
        }
        if random.chance(50) { template.body = changed(template.body, &random) }
        return SignedRequest.make(
            template.method, template.target, template.headers, Array(template.body.utf8), key: key, proof: proof,
            payload: PayloadForm.allCases[random.below(PayloadForm.allCases.count)])
    }

    @Test func `no signed request makes the gateway fail, and none reads or changes what its key may not`() async throws
    {
        let seed = UInt64.random(in: 0 ... .max)
        try await GatewayHarness.run(creation: .allowed) { harness in
            await harness.put("canary", "canary")
            _ = await harness.send(.put, "/logs/secret", body: "the secret", key: "lokikey")
            var random = SimulatedRandom(seed: seed)
            for round in 0..<6_000 {
                let key = ["photoskey", "readerkey", "photoskey"][round % 3]
                let proof: GatewayHarness.Proof = random.chance(10) ? .none : random.chance(20) ? .presigned : .header
                let request = GatewayFuzzTests.request(&random, key: key, proof: proof)
                let place =
                    "seed \(seed), round \(round): \(request.head.method) \(request.head.target) as \(key), \(proof)"
                let writes = harness.catalog.calls(.commit) + harness.catalog.calls(.delete)
                let answer = await harness.answer(request)
                #expect(answer.status < 500 || answer.status == 501, "\(place): \(answer.status) \(answer.text)")
                #expect(!answer.text.contains("the secret"), "\(place)")
                #expect(answer.fields.all.allSatisfy { HeaderText.isValue($0.value) }, "\(place)")
                if key == "readerkey" || proof == .none {
                    #expect(harness.catalog.calls(.commit) + harness.catalog.calls(.delete) == writes, "\(place)")
                }
            }
            #expect(await harness.send(.get, "/logs/secret", key: "lokikey").text == "the secret")
        }
    }
}
