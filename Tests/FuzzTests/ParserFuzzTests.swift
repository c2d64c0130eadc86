import Crypto
import Foundation
import HTTP
import S3
import Spec
import Telemetry
import TestSupport
import Testing

@testable import Gateway

/// Every parser of what comes from a network, on mutated inputs. A trap ends the process, which is the finding; what a parser
/// accepts must hold its promise. The corpus is in `Corpus/`, a folder for each parser: an input that found something goes there.
///
/// `SLUICE_FUZZ_SECONDS` sets how long each parser runs (default 0.3), `SLUICE_FUZZ_SEED` repeats a run.
@Suite("Fuzzed parsers") struct ParserFuzzTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let time = Duration.milliseconds(
        Int64((Double(environment["SLUICE_FUZZ_SECONDS"] ?? "") ?? 0.3) * 1000))
    /// Enough for a run to be worth something on a slow machine.
    private static let roundsMin = 200

    private func fuzz(_ name: String, _ parse: ([UInt8]) async throws -> Void) async throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "Corpus/\(name)")
        let corpus = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .sorted { $0.path < $1.path }.map { Array(try Data(contentsOf: $0)) }
        try #require(!corpus.isEmpty)
        let seed =
            ParserFuzzTests.environment["SLUICE_FUZZ_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0 ... .max)
        // Before the first input: after a trap nothing can be printed any more.
        FileHandle.standardError.write(Data("fuzz \(name): SLUICE_FUZZ_SEED=\(seed)\n".utf8))
        for input in corpus { try await parse(input) }
        var mutator = Mutator(corpus, seed: seed)
        let clock = ContinuousClock()
        let end = clock.now + ParserFuzzTests.time
        var rounds = 0
        while rounds < ParserFuzzTests.roundsMin || clock.now < end {
            try await parse(mutator.next())
            rounds += 1
        }
        FileHandle.standardError.write(Data("fuzz \(name): \(rounds) inputs\n".utf8))
    }

    private func isRefused(_ body: () throws -> Void) -> Bool {
        do {
            try body()
            return false
        } catch {
            return true
        }
    }

    @Test func `documents of requests`() async throws {
        try await fuzz("delete") { input in
            guard let document = try? DeleteDocument(xml: input) else { return }
            #expect((1...1000).contains(document.entries.count))
        }
        try await fuzz("complete") { input in _ = try? CompleteDocument(xml: input) }
        try await fuzz("tagging") { input in
            guard let tags = try? TagSet(xml: input, limit: TagSet.objectTagsMax) else { return }
            #expect(TagSet(stored: tags.stored)?.stored == tags.stored, "what is stored comes back")
            #expect((try? TagSet(xml: Array(tags.document.utf8), limit: TagSet.objectTagsMax))?.stored == tags.stored)
        }
        try await fuzz("cors") { input in
            guard let rules = try? CORSDocument.rules(input) else { return }
            #expect(CORSDocument.rules(stored: CORSDocument.xml(rules)) == rules, "what is stored comes back")
            for rule in rules {
                _ = CORSMatch([rule], origin: "https://a.example.net", method: "GET", headers: ["x-a"])
            }
        }
        try await fuzz("acl") { input in _ = try? ACLDocument.canned(input) }
        try await fuzz("public-access-block") { input in
            guard let block = try? PublicAccessBlock(xml: input) else { return }
            #expect(PublicAccessBlock(stored: block.stored) == block)
        }
    }

    @Test func `XML`() async throws {
        try await fuzz("xml") { input in
            guard let root = try? XMLReader.parse(input) else { return }
            #expect(root.text.utf8.count <= input.count * 4, "nothing is expanded")
        }
    }

    @Test func `documents that backends send`() async throws {
        try await fuzz("listing") { input in
            _ = ResponseDocuments.error(input)
            _ = ResponseDocuments.uploadID(input)
            _ = ResponseDocuments.completedETag(input)
            _ = ResponseDocuments.page(input)
            _ = ResponseDocuments.uploads(input)
            _ = ResponseDocuments.versions(input)
        }
    }

    @Test func `JSON and the policies of forms`() async throws {
        try await fuzz("json") { input in
            if let value = try? JSONReader.parse(input) {
                #expect(
                    (try? JSONReader.parse(Array(value.description.utf8)))?.description == value.description,
                    "what is written is read")
            }
            _ = try? PostPolicy(base64: Base64.encode(input))
            _ = try? PostPolicy(base64: String(decoding: input, as: UTF8.self))
        }
    }

    @Test func `queries, dates, ranges, copy sources and tokens`() async throws {
        try await fuzz("query") { input in
            let text = String(decoding: input, as: UTF8.self)
            guard let query = Query(raw: text[...]) else { return }
            for form in [ListingForm.v1, .v2, .versions] { _ = try? ListingRequest(query, form: form) }
            let token = ContinuationToken(key: [1], bucket: "b", prefix: "", delimiter: nil)
            #expect(token.open(text) == nil, "nobody can make up a token")
            _ = try? TagSet(header: text)
        }
        try await fuzz("date") { input in
            for line in String(decoding: input, as: UTF8.self).split(separator: "\n") {
                if let time = WallTime(httpDate: String(line)) { #expect(WallTime(httpDate: time.httpDate) == time) }
                _ = WallTime(rfc3339: String(line))
                _ = try? WriteHeaders.time(String(line))
            }
        }
        try await fuzz("range") { input in
            for line in String(decoding: input, as: UTF8.self).split(separator: "\n") {
                for size in [Int64(0), 1, 10, .max] {
                    if case .part(let range) = RangeRequest(header: String(line), size: size) {
                        #expect(
                            0 <= range.lowerBound && range.lowerBound < range.upperBound && range.upperBound <= size,
                            "\(line) of \(size)")
                    }
                }
            }
        }
        try await fuzz("copy-source") { input in
            for line in String(decoding: input, as: UTF8.self).split(separator: "\n") {
                _ = try? CopySource(String(line))
            }
        }
    }

    @Test func `signatures`() async throws {
        try await fuzz("authorization") { input in
            let text = String(decoding: input, as: UTF8.self)
            let fields = Fields([("Host", "s3.example.net"), ("Authorization", text), ("x-amz-content-sha256", text)])
            for head in [
                RequestHead(method: .get, target: "/photos/k", fields: fields),
                RequestHead(method: .get, target: "/photos/k" + text, fields: Fields()),
            ] {
                guard let query = Query(raw: head.rawQuery), let claim = try? SignatureClaim.parse(head, query) else {
                    continue
                }
                let verifier = SignatureVerifier(region: "us-east-1")
                let isRefused = isRefused {
                    _ = try verifier.verify(claim, head, secret: "secret", now: WallTime(seconds: 1_700_000_400))
                }
                #expect(isRefused, "nobody can make up a signature")
            }
        }
    }

    @Test func `chunks of uploads`() async throws {
        try await fuzz("aws-chunked") { input in
            for isSigned in [true, false] {
                let signing = ChunkSigning(
                    signingKey: [UInt8](repeating: 7, count: 32),
                    scope: SigningScope(date: "20231114", region: "us-east-1", service: "s3"),
                    time: "20231114T222000Z", seed: String(repeating: "0", count: 64))
                let reader = AWSChunkedReader(
                    BytesReader(
                        runs: stride(from: 0, to: input.count, by: 13).map {
                            Bytes(Array(input[$0..<min($0 + 13, input.count)]))
                        }),
                    signing: isSigned ? signing : nil, hasTrailer: !isSigned,
                    declaredTrailers: ["x-amz-checksum-crc32"], declaredLength: 5)
                var received = 0
                do throws(BodyError) {
                    while let run = try await reader.next() { received += run.count }
                    #expect(received == 5 && !isSigned, "only whole bodies end well, and nobody can sign a chunk")
                } catch {
                    #expect(received <= 5)
                }
            }
        }
    }

    @Test func `forms`() async throws {
        try await fuzz("form") { input in
            let head = RequestHead(
                method: .post, target: "/photos",
                fields: Fields([("Content-Type", "multipart/form-data; boundary=----b")]))
            let body = BytesReader(
                runs: stride(from: 0, to: input.count, by: 11).map {
                    Bytes(Array(input[$0..<min($0 + 11, input.count)]))
                })
            guard let form = try? await PostForm(head, contentLength: Int64(input.count), body: body) else { return }
            var received: Int64 = 0
            do throws(BodyError) {
                while let run = try await form.file.next() { received += Int64(run.count) }
                #expect(received == form.length)
            } catch {
                #expect(received <= form.length)
            }
        }
    }

    @Test func `specs`() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-fuzz-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("a.yaml")
        try await fuzz("spec") { input in
            try Data(input).write(to: file)
            switch SpecLoader(path: folder.path, hash: { "\($0.utf8.count)" }).load() {
            case .accepted(let spec): #expect(spec.desired.backends.count <= 100)
            case .rejected(let findings, let sources):
                #expect(!findings.isEmpty)
                _ = DiagnosticRenderer.text(findings, sources: sources)
            }
        }
    }
}
