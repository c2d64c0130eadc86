import Crypto
import HTTP
import S3
import Testing

@Suite struct SignatureVectorTests {
    /// The request of a vector, as a server would see it.
    static func head(_ vector: SignatureVector) -> RequestHead {
        var head = RequestHead(
            method: Method(vector.method), target: vector.target,
            fields: Fields([("Host", SignatureVector.host), ("X-Amz-Date", SignatureVector.time)]))
        for header in vector.headers {
            let halves = header.split(separator: ":", maxSplits: 1).map(String.init)
            head.fields.append(halves[0], halves[1].hasPrefix(" ") ? String(halves[1].dropFirst()) : halves[1])
        }
        return head
    }

    @Test(arguments: SignatureVector.all)
    func `AWS's signature test suite passes`(_ vector: SignatureVector) {
        let head = SignatureVectorTests.head(vector)
        let canonical = CanonicalRequest.text(
            head, signedHeaders: vector.signed.split(separator: ";").map(String.init),
            payloadHash: Hex.encode(Digest.hash(.sha256, vector.body)), omittingSignature: false, pathForm: .normalized)
        #expect(Hex.encode(Digest.hash(.sha256, canonical)) == vector.canonicalHash, "\(canonical)")
        let scope = SigningScope(date: "20150830", region: "us-east-1", service: "service")
        let signature = SignatureV4.signature(
            SignatureV4.stringToSign(canonicalRequest: canonical, time: SignatureVector.time, scope),
            key: SignatureV4.signingKey(secret: SignatureVector.secret, scope))
        #expect(Hex.encode(signature) == vector.signature)
    }

    @Test func `all 34 cases are there`() {
        #expect(SignatureVector.all.count == 34)
        #expect(Set(SignatureVector.all.map(\.name)).count == 34)
    }
}

/// The worked examples of the S3 API Reference: "Signature Calculations for the Authorization Header: Transferring Payload in a
/// Single Chunk" and "Authenticating Requests: Using Query Parameters".
@Suite struct SignatureExampleTests {
    static let accessKeyID = "AKIAIOSFODNN7EXAMPLE"
    static let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    /// 20130524T000000Z
    static let time = WallTime(seconds: 1_369_353_600)
    static let welcomeHash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
    static let host = "examplebucket.s3.amazonaws.com"
    static let signer = RequestSigner(accessKeyID: accessKeyID, secret: secret, region: "us-east-1")

    struct Example: Sendable, CustomTestStringConvertible {
        let method: String
        let target: String
        var headers: [(String, String)] = []
        var payload = PayloadMode.emptyHash
        let signed: String
        let signature: String
        var testDescription: String { "\(method) \(target)" }
    }

    static let examples = [
        Example(
            method: "GET", target: "/test.txt", headers: [("Range", "bytes=0-9")],
            signed: "host;range;x-amz-content-sha256;x-amz-date",
            signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        Example(
            method: "PUT", target: "/test%24file.text",
            headers: [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            payload: welcomeHash, signed: "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
        // The page shows the key with a bare dollar sign in its request line.
        Example(
            method: "PUT", target: "/test$file.text",
            headers: [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            payload: welcomeHash, signed: "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
        Example(
            method: "GET", target: "/?lifecycle", signed: "host;x-amz-content-sha256;x-amz-date",
            signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        Example(
            method: "GET", target: "/?prefix=J&max-keys=2", signed: "host;x-amz-content-sha256;x-amz-date",
            signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ]

    @Test(arguments: examples)
    func `the examples of the S3 reference verify, and one changed byte does not`(_ example: Example) throws {
        var head = RequestHead(method: Method(example.method), target: example.target, fields: Fields(example.headers))
        head.fields.append("Host", SignatureExampleTests.host)
        head.fields.append("x-amz-date", "20130524T000000Z")
        head.fields.append("x-amz-content-sha256", example.payload)
        let credential = "\(SignatureExampleTests.accessKeyID)/20130524/us-east-1/s3/aws4_request"
        head.fields.append(
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=\(credential),SignedHeaders=\(example.signed),Signature=\(example.signature)")

        let verifier = SignatureVerifier(region: "us-east-1")
        let claim = try #require(try SignatureClaim.parse(head, .empty))
        #expect(claim.accessKeyID == SignatureExampleTests.accessKeyID)
        let verified = try verifier.verify(
            claim, head, secret: SignatureExampleTests.secret, now: SignatureExampleTests.time)
        #expect(verified.seed == example.signature)

        head.target += "x"
        #expect(throws: S3Error.self) {
            try verifier.verify(claim, head, secret: SignatureExampleTests.secret, now: SignatureExampleTests.time)
        }
    }

    @Test func `the presigned example is made and verified`() throws {
        var head = RequestHead(
            method: .get, target: "/test.txt", fields: Fields([("Host", SignatureExampleTests.host)]))
        SignatureExampleTests.signer.presign(&head, expires: 86_400, now: SignatureExampleTests.time)
        #expect(
            head.target
                == "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
                + "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
                + "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
                + "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
        let query = try #require(Query(raw: head.rawQuery))
        let claim = try #require(try SignatureClaim.parse(head, query))
        _ = try SignatureVerifier(region: "us-east-1").verify(
            claim, head, secret: SignatureExampleTests.secret, now: SignatureExampleTests.time)
    }

    @Test func `the signing side makes the same signature as the examples`() {
        var head = RequestHead(
            method: .get, target: "/?lifecycle", fields: Fields([("Host", SignatureExampleTests.host)]))
        SignatureExampleTests.signer.sign(
            &head, payload: .signed(PayloadMode.emptyHash), now: SignatureExampleTests.time)
        #expect(
            head.fields["authorization"]
                == "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
                + "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
                + "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
    }
}
