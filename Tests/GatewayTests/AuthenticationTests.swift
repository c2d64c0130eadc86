import Catalog
import HTTP
import S3
import Spec
import Testing

@testable import Gateway

@Suite struct AuthenticationTests {
    static let upload = "0000000000000000000000000z"
    static let routes: [(HTTP.Method, String)] = [
        (.get, "/"), (.put, "/photos"), (.delete, "/photos"), (.head, "/photos"), (.get, "/photos"),
        (.get, "/photos?list-type=2"), (.get, "/photos?location"), (.get, "/photos?versioning"),
        (.get, "/photos?uploads"),
        (.post, "/photos?delete"), (.get, "/photos/k"), (.head, "/photos/k"), (.put, "/photos/k"),
        (.delete, "/photos/k"),
        (.post, "/photos/k?uploads"), (.put, "/photos/k?partNumber=1&uploadId=\(upload)"),
        (.post, "/photos/k?uploadId=\(upload)"), (.delete, "/photos/k?uploadId=\(upload)"),
        (.get, "/photos/k?uploadId=\(upload)"), (.put, "/photos/k?acl"), (.get, "/nowhere"), (.get, "/nowhere/k"),
        (.options, "/photos/k"), (.get, "/photos/%ff"), (.get, "/photos/%zz"),
    ]

    @Test(arguments: [GatewayHarness.Proof.none, .both, .wrongSecret, .wrongSecretPresigned, .unknownKey])
    func `no route answers without one valid signature, whatever the payload form`(
        proof: GatewayHarness.Proof
    ) async throws {
        try await GatewayHarness.run { harness in
            for payload in PayloadForm.allCases {
                for (method, target) in Self.routes {
                    let answer = await harness.send(method, target, body: "x", proof: proof, payload: payload)
                    let place = "\(method) \(target) \(payload) \(proof)"
                    // As AWS does: that a bucket does not exist is no secret, everything about one that does is.
                    var isAnonymousNowhere = proof == .none && target.hasPrefix("/nowhere")
                    // Signed chunks without a signature are refused with the signature's check.
                    if case .streamingSigned = payload.mode([]) { isAnonymousNowhere = false }
                    #expect(
                        answer.status == (isAnonymousNowhere ? 404 : method == .options || proof == .both ? 400 : 403),
                        "\(place)")
                    if method == .options { continue }
                    if method != .head {
                        let expected =
                            switch proof {
                            case .both: "InvalidArgument"
                            case .none: isAnonymousNowhere ? "NoSuchBucket" : "AccessDenied"
                            case .unknownKey: "InvalidAccessKeyId"
                            // The framing's headers came unsigned, which is refused before the signature is looked at.
                            case .wrongSecretPresigned where payload.mode([]).isChunked: "AccessDenied"
                            default: "SignatureDoesNotMatch"
                            }
                        #expect(answer.code == expected, "\(place)")
                    } else {
                        #expect(answer.body.isEmpty)
                    }
                }
            }
            #expect(harness.effects == 0)
        }
    }

    @Test func `what was signed cannot be sent to another target or with another method`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("a", "secret")
            for proof in [GatewayHarness.Proof.header, .presigned] {
                var request = SignedRequest.make(.get, "/photos/b", [], [], proof: proof, payload: .unsigned)
                request.head.target = "/photos/a" + (request.head.rawQuery.map { "?" + $0 } ?? "")
                #expect(await harness.answer(request).code == "SignatureDoesNotMatch")
                var other = SignedRequest.make(.get, "/photos/a", [], [], proof: proof, payload: .unsigned)
                other.head.method = .delete
                #expect(await harness.answer(other).code == "SignatureDoesNotMatch")
            }
        }
    }

    @Test func `an unsigned copy source on a presigned upload is refused`() async throws {
        try await GatewayHarness.run { harness in
            var request = SignedRequest.make(.put, "/photos/mine", [], [], proof: .presigned, payload: .unsigned)
            request.head.fields.append("x-amz-copy-source", "/logs/theirs")
            let answer = await harness.answer(request)
            #expect(answer.status == 403 && answer.code == "AccessDenied")
        }
    }

    @Test func `a presigned link reads and writes, and its headers may stand in the query`() async throws {
        try await GatewayHarness.run { harness in
            let put = await harness.send(
                .put, "/photos/k?x-amz-meta-color=red", body: "content", proof: .presigned, payload: .unsigned)
            #expect(put.status == 200)
            let get = await harness.send(
                .get, "/photos/k?response-content-type=text%2Fcsv", proof: .presigned, payload: .unsigned)
            #expect(get.text == "content" && get.fields["content-type"] == "text/csv")
            #expect(get.fields["x-amz-meta-color"] == "red")
        }
    }

    @Test func `a response override cannot smuggle a header`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "content")
            let answer = await harness.send(.get, "/photos/k?response-content-type=a%0D%0Ax:y")
            #expect(answer.status == 400 && answer.code == "InvalidArgument")
        }
    }

    @Test func `a grant is for its bucket, its access and its prefixes only`() async throws {
        try await GatewayHarness.run { harness in
            await harness.put("k", "content")
            #expect(await harness.send(.get, "/photos/k", key: "readerkey").status == 200)
            for (method, target) in [
                (HTTP.Method.put, "/photos/k"), (.delete, "/photos/k"), (.post, "/photos/k?uploads"),
                (.post, "/photos?delete"),
            ] {
                #expect(
                    await harness.send(method, target, body: "", key: "readerkey").code == "AccessDenied",
                    "\(method) \(target)")
            }
            #expect(await harness.send(.get, "/logs/k").code == "AccessDenied")
            #expect(await harness.send(.get, "/nowhere/k").code == "NoSuchBucket")
            #expect(await harness.send(.put, "/photos/loki/k", body: "x", key: "lokikey").status == 200)
            #expect(await harness.send(.put, "/photos/other", body: "x", key: "lokikey").code == "AccessDenied")
            #expect(await harness.send(.get, "/photos?prefix=loki/", key: "lokikey").status == 200)
            #expect(await harness.send(.get, "/photos", key: "lokikey").code == "AccessDenied")
            let delete = "<Delete><Object><Key>loki/k</Key></Object><Object><Key>k</Key></Object></Delete>"
            let answer = await harness.send(.post, "/photos?delete", body: delete, key: "lokikey")
            #expect(answer.elements("Key") == ["loki/k", "k"] && answer.elements("Code") == ["AccessDenied"])
            #expect(await harness.exists("k"))
        }
    }

    @Test func `a signature for another region is told the right one, in the document and in a header`() async throws {
        try await GatewayHarness.run { harness in
            for method in [HTTP.Method.get, .head] {
                var head = RequestHead(
                    method: method, target: "/photos/k", fields: Fields([("Host", "s3.example.net")]))
                RequestSigner(accessKeyID: "photoskey", secret: "photossecret", region: "eu-central-1")
                    .sign(&head, payload: .unsigned, now: GatewayHarness.now)
                let answer = await harness.answer(
                    Request(head: head, contentLength: 0, body: BytesReader(.empty), peer: "", isTLS: false))
                #expect(answer.status == 400 && answer.fields["x-amz-bucket-region"] == "us-east-1")
                if method == .get {
                    #expect(answer.code == "AuthorizationHeaderMalformed" && answer.element("Region") == "us-east-1")
                }
            }
        }
    }

    @Test func `before a spec was accepted everything is 503 with Retry-After`() async throws {
        try await GatewayHarness.run(ready: false) { harness in
            let answer = await harness.send(.get, "/photos/k")
            #expect(answer.status == 503 && answer.fields["retry-after"] == "5" && answer.code == "ServiceUnavailable")
        }
    }

    @Test func `two buckets that name one key with different secrets do not share it`() {
        var desired = DesiredStates.two
        desired.buckets[1].credentials[0].accessKeyID = "shared"
        desired.buckets[0].credentials[0].accessKeyID = "shared"
        let snapshot = DesiredStates.snapshot(desired)
        #expect(snapshot.credentials["shared"]?.grants.keys.sorted() == ["a"])
    }
}
