import Foundation
import Spec
import Testing

/// What is stored in Postgres and shown to people has no literal secret in it, however the secret is written.
@Suite("Spec redaction") struct SpecRedactionTests {
    private static let head = """
        ---
        apiVersion: sluice/v1
        kind: Bucket
        metadata: { name: photos }
        spec:

        """

    private func accepted(_ text: String) throws -> LoadedSpec {
        switch try SpecLoaderTests().load(["a.yaml": text]) {
        case .accepted(let spec): return spec
        case .rejected(let findings, _):
            Issue.record("\(text)\n\(findings)")
            throw CancellationError()
        }
    }

    private func literals(_ spec: LoadedSpec) -> [String] {
        let buckets = spec.desired.buckets.flatMap(\.credentials).map(\.secretAccessKey)
        let backends = spec.desired.backends.compactMap(\.credentials).flatMap { [$0.accessKeyID, $0.secretAccessKey] }
        return (buckets + backends).compactMap {
            if case .literal(let secret) = $0 { return secret.revealed }
            return nil
        }
    }

    /// The text of the one file, as stored.
    private func stored(_ spec: LoadedSpec) throws -> String {
        let text = spec.redactedText
        return String(text[try #require(text.firstIndex(of: "\n"))...].dropFirst())
    }

    @Test(arguments: [
        ("secretAccessKey: hunter2", "secretAccessKey: <redacted>"),
        (
            "secretAccessKey: hunter2   # for trying out; elsewhere { fromFile: /run/s }",
            "secretAccessKey: <redacted>   # <redacted>"
        ),
        (
            "secretAccessKey:\n        hunter2\n      access: readOnly",
            "secretAccessKey:\n        <redacted>\n      access: readOnly"
        ),
        ("\"secretAccessKey\": hunter2", "\"secretAccessKey\": <redacted>"),
        ("'secretAccessKey' : 'hunter2'", "'secretAccessKey' : <redacted>"),
        ("? secretAccessKey\n      : \"hunter2\"", "? secretAccessKey\n      : <redacted>"),
        ("\"secretAccess\\x4bey\": \"hunter\\x32\" # kept", "\"secretAccess\\x4bey\": <redacted> # kept"),
        (
            "secretAccessKey: |-\n        hunter2\n      access: readOnly",
            "secretAccessKey: <redacted>\n\n      access: readOnly"
        ),
        (
            "secretAccessKey: >- # from\n        hunter2\n\n      # kept\n      access: readOnly",
            "secretAccessKey: <redacted>\n\n\n      # kept\n      access: readOnly"
        ),
        (
            "secretAccessKey: \"hun\\\n        ter2\"\n      access: readOnly",
            "secretAccessKey: <redacted>\n\n      access: readOnly"
        ),
        ("secretAccessKey: !!str hunter2", "secretAccessKey: <redacted>"),
        ("prefixes: [ &s hunter2 ]\n      secretAccessKey: *s", "prefixes: [ <redacted> ]\n      secretAccessKey: *s"),
        ("secretAccessKey: &s hunter2\n      prefixes: [ *s ]", "secretAccessKey: <redacted>\n      prefixes: [ *s ]"),
        (
            "# secretAccessKey: hunter1 from May\n      secretAccessKey: hunter2",
            "# secretAccessKey: <redacted>\n      secretAccessKey: <redacted>"
        ),
        (
            "prefixes: [ \"# secretAccessKey: x\" ]\n      secretAccessKey: hunter2",
            "prefixes: [ \"# secretAccessKey: x\" ]\n      secretAccessKey: <redacted>"
        ),
        ("secretAccessKey: { fromEnv: hunter2 } #", "secretAccessKey: { fromEnv: hunter2 } #"),
        ("secretAccessKey: { fromEnv: S } # hunter2", "secretAccessKey: { fromEnv: S } # <redacted>"),
    ])
    func `exactly the secret of a credential is cut`(written: String, kept: String) throws {
        for (start, lineBreak) in [("", "\n"), ("\u{FEFF}# é 😀 👨‍👩‍👧\n", "\n"), ("", "\r\n")] {
            func text(_ credential: String) -> String {
                let base = SpecLoaderTests.fleet + SpecLoaderTests.backend + Self.head
                return (start + base + "  credentials:\n    - accessKeyId: k\n      " + credential + "\n# end é\n")
                    .replacing("\n", with: lineBreak)
            }
            let spec = try accepted(text(written))
            #expect(written.contains("fromEnv") || literals(spec) == ["hunter2"])
            #expect(try stored(spec) == text(kept))
            #expect(spec.sources.values.allSatisfy { $0 == text(kept) })
        }
    }

    @Test func `in flow style the fields beside a secret are kept`() throws {
        let credentials = """
              credentials: [ { accessKeyId: a, secretAccessKey: hunter2, access: readOnly },
                { secretAccessKey: "hunter2", accessKeyId: b }, {accessKeyId: c, "secretAccessKey":"hunter2"} ]
            """
        let spec = try accepted(SpecLoaderTests.fleet + SpecLoaderTests.backend + Self.head + credentials)
        #expect(literals(spec) == ["hunter2", "hunter2", "hunter2"])
        let kept = credentials.replacing("\"hunter2\"", with: "<redacted>").replacing("hunter2", with: "<redacted>")
        #expect(spec.redactedText.hasSuffix(Self.head + kept))
    }

    @Test func `every secret field of a backend is cut, whatever its name`() throws {
        let text =
            SpecLoaderTests.fleet + """
                ---
                apiVersion: sluice/v1
                kind: Backend
                metadata: { name: far, labels: { note: kept } }
                spec:
                  endpoint: https://s3.example.com
                  bucket: data
                  credentials: { accessKeyId: hunter1, secretAccessKey: hunter2 }

                """
        let spec = try accepted(text)
        #expect(literals(spec) == ["hunter1", "hunter2"])
        #expect(
            try stored(spec) == text.replacing("hunter1", with: "<redacted>").replacing("hunter2", with: "<redacted>"))
    }

    @Test func `findings never show a secret, also where the file cannot be read to its end`() throws {
        let lines = [
            "{ accessKeyId: k, secretAccessKey: hunter2 }  # from",
            "{ accessKeyId: k, secretAccessKey: hunter2, acess: readOnly }",
            "{ accessKeyId: k, secretAccessKey: { fromEnv: S, hunter2: from } # secretAccessKey: hunter2",
            "{ accessKeyId: k, \"secretAccessKey\" : hunter2, access: [ } # from",
            "{ accessKeyId: k, secretAccessKey: [ hunter2 ] }  # from",
        ]
        for line in lines {
            let text = SpecLoaderTests.fleet + SpecLoaderTests.backend + Self.head + "  credentials:\n    - \(line)\n"
            let shown: String
            switch try SpecLoaderTests().load(["a.yaml": text]) {
            case .accepted(let spec): shown = DiagnosticRenderer.text(spec.warnings, sources: spec.sources)
            case .rejected(let findings, let sources): shown = DiagnosticRenderer.text(findings, sources: sources)
            }
            #expect(!shown.isEmpty)
            #expect(!shown.replacing("hunter2: from", with: "").contains("hunter2"), "\(shown)")
        }
        let mistaken = SpecLoaderTests.fleet + SpecLoaderTests.bucket.replacing("fromEnv: S", with: "fromEnvv: S")
        guard case .rejected(let findings, let sources) = try SpecLoaderTests().load(["a.yaml": mistaken]) else {
            Issue.record("accepted")
            return
        }
        #expect(DiagnosticRenderer.text(findings, sources: sources).contains("secretAccessKey: { fromEnvv: S }"))
    }

    // MARK: Property

    private static let letters = Array("abcXYZ0189+/=_-.é😀 #:'\"{}[]&*!|>%@\\,")

    /// A credential's secret in one of the ways that YAML has for it.
    private func field(_ secret: String, _ random: inout SplitMix) -> String {
        let key = ["secretAccessKey", "\"secretAccessKey\"", "'secretAccessKey' "].randomElement(using: &random) ?? ""
        let quoted = "\"" + secret.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        let single = "'" + secret.replacing("'", with: "''") + "'"
        let anchor = ["", "", "&anchor ", "!!str "].randomElement(using: &random) ?? ""
        let flow = anchor + ([quoted, single].randomElement(using: &random) ?? quoted)
        let comment = ["", "  # from", " # { fromFile: /run/secret }"].randomElement(using: &random) ?? ""
        switch random.next() % 7 {
        case 0: return "    - accessKeyId: KEY\n      \(key): \(flow)\(comment)\n"
        case 1: return "    - accessKeyId: KEY\n      \(key):\(comment)\n        \(flow)\(comment)\n"
        case 2: return "    - { accessKeyId: KEY, \(key): \(flow) }\(comment)\n"
        case 3: return "    - {\(key): \(flow),\n       accessKeyId: KEY, access: readOnly\(comment)\n      }\n"
        case 4:
            return
                "    - accessKeyId: KEY\n      \(key): \(anchor)|-\(comment)\n        \(secret)\n      access: readOnly\n"
        case 5:
            return
                "    - ? \(key)\n      : \(anchor)>2-\(comment)\n        \(secret)\n\n      # from\n      accessKeyId: KEY\n"
        default:
            return
                "    - accessKeyId: KEY\n      prefixes: [ &former \(single) ]\(comment)\n      \(key): *former\(comment)\n"
        }
    }

    @Test func `no accepted spec's text contains a secret of it`() throws {
        let seed = ProcessInfo.processInfo.environment["SLUICE_SEED"].flatMap { UInt64($0) } ?? 5077
        print("spec redaction seed \(seed)")
        var random = SplitMix(state: seed)
        for round in 0..<150 {
            var text = (random.next() % 3 == 0 ? "\u{FEFF}# é\n" : "") + SpecLoaderTests.fleet + SpecLoaderTests.backend
            var secrets: [String] = []
            for bucket in 0..<Int(random.next() % 3 + 1) {
                text += Self.head.replacing("photos", with: "photos\(bucket)") + "  credentials:\n"
                for _ in 0..<Int(random.next() % 3 + 1) {
                    let noise = (0..<Int(random.next() % 12 + 1)).map { _ in
                        Self.letters.randomElement(using: &random) ?? "a"
                    }
                    // A letter at both ends: what blanks do there is no question of this test.
                    let secret = "S\(secrets.count)S" + String(noise) + "S"
                    text += field(secret, &random).replacing("KEY", with: "k\(secrets.count)")
                    secrets.append(secret)
                }
            }
            if random.next() % 3 == 0 { text = text.replacing("\n", with: "\r\n") }
            let spec = try accepted(text)
            #expect(literals(spec) == secrets, "seed \(seed), round \(round):\n\(text)")
            let shown = spec.redactedText + DiagnosticRenderer.text(spec.warnings, sources: spec.sources)
            for index in secrets.indices {
                #expect(!shown.contains("S\(index)S"), "seed \(seed), round \(round):\n\(text)\n\(shown)")
                #expect(shown.contains("k\(index)"))
            }
        }
    }
}
