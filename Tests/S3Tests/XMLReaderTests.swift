import S3
import Testing

@Suite struct XMLReaderTests {
    static func parse(_ text: String) -> XMLElement? { try? XMLReader.parse(Array(text.utf8)) }

    @Test func `elements, text, references, CDATA, comments and attributes are read`() throws {
        let root = try #require(
            XMLReaderTests.parse(
                """
                \u{FEFF}<?xml version="1.0" encoding="UTF-8"?>
                <!-- before --><s3:Delete xmlns:s3="x" a='>'>
                  <Object ><Key>a&amp;&lt;&gt;&quot;&apos;&#65;&#x1F600;&#1;</Key><!-- - --><E/></Object>
                  <Object><Key><![CDATA[<&]]>]]</Key></Object>
                </s3:Delete> <!-- after -->
                """))
        #expect(root.name == "Delete" && root.all("Object").count == 2)
        #expect(root["Object"]?["Key"]?.text == "a&<>\"'A😀\u{1}")
        #expect(root.all("Object")[1]["Key"]?.text == "<&]]")
        #expect(root["Object"]?["E"]?.text == "")
    }

    @Test(
        arguments: [
            "", " ", "text", "<a>", "<a></b>", "<a/><b/>", "<a/>text", "<a b/>", "<a b=c/>", "<a b='<'/>", "<a b='c/>",
            "< a/>", "<a",
            "<a></a", "<1a/>", "<-a/>", "<a>&nbsp;</a>", "<a>&</a>", "<a>&#0;</a>", "<a>&#xD800;</a>",
            "<a>&#x110000;</a>", "<a>&#;</a>",
            "<a>&#+5;</a>", "<a>\u{1}</a>", "<a><!-- </a>", "<a><![CDATA[</a>", "<!DOCTYPE a><a/>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<?php ?><a/>", "<a><?pi ?></a>", "<?xmlfoo?><a/>",
            "<?xml version='1.0' encoding='UTF-16'?><a/>", "<?xml version='1.0' encoding='ISO-8859-1'?><a/>",
        ])
    func `what is not well-formed, or not wanted, is refused`(text: String) {
        #expect(XMLReaderTests.parse(text) == nil)
    }

    @Test func `only UTF-8 is read`() {
        #expect(throws: XMLError.malformed(offset: 0)) {
            try XMLReader.parse([0x3C, 0x61, 0x3E, 0xFF, 0x3C, 0x2F, 0x61, 0x3E])
        }
        #expect(throws: XMLError.malformed(offset: 0)) {
            try XMLReader.parse([0xFF, 0xFE, 0x3C, 0x00, 0x61, 0x00, 0x2F, 0x00, 0x3E, 0x00])
        }
    }

    @Test func `depth, size and the number of elements have limits`() {
        func nested(_ depth: Int) -> String {
            String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth)
        }
        #expect(XMLReaderTests.parse(nested(XMLReader.depthMax)) != nil)
        #expect(throws: XMLError.tooDeep) { try XMLReader.parse(Array(nested(XMLReader.depthMax + 1).utf8)) }
        #expect(throws: XMLError.tooDeep) { try XMLReader.parse(Array(String(repeating: "<a>", count: 500_000).utf8)) }
        let large = "<a>" + String(repeating: " ", count: XMLReader.bytesMax) + "</a>"
        #expect(throws: XMLError.tooLarge) { try XMLReader.parse(Array(large.utf8)) }
        let many = "<a>" + String(repeating: "<b/>", count: XMLReader.elementsMax) + "</a>"
        #expect(throws: XMLError.tooLarge) { try XMLReader.parse(Array(many.utf8)) }
    }

    @Test func `what is written is read back exactly`() throws {
        for seed in UInt64(1)...300 {
            var random = SeededRandom(seed: seed)
            var key = ""
            for _ in 0..<random.below(40) {
                let choices: [UInt32] = [
                    UInt32(random.below(0x80)), UInt32(random.below(0x800)), 0xFFFE, 0x1F600, 0x26, 0x3C, 0x0D, 0x0A,
                    0x20,
                ]
                if let scalar = Unicode.Scalar(max(1, choices[random.below(choices.count)])) {
                    key.unicodeScalars.append(scalar)
                }
            }
            var writer = XMLWriter()
            writer.element("Root", namespaced: true) { writer in
                writer.text("Key", key)
                writer.text("Size", Int64(seed))
                writer.text("IsTruncated", false)
            }
            let root = try XMLReader.parse(Array(writer.document.utf8))
            #expect(root["Key"].map { Array($0.text.utf8) } == Array(key.utf8), "seed \(seed)")
            #expect(root["Size"]?.text == "\(seed)" && root["IsTruncated"]?.text == "false")
        }
    }

    @Test func `mutated documents are read or refused, never worse`() {
        let document = Array(
            """
            <?xml version="1.0" encoding="UTF-8"?><Delete xmlns="x"><Object><Key>a&#x41;&amp;</Key></Object><!-- c --><![CDATA[x]]></Delete>
            """.utf8)
        var refused = 0
        for seed in UInt64(1)...5000 {
            var random = SeededRandom(seed: seed)
            let spoilt = random.mutate(document)
            if (try? XMLReader.parse(spoilt)) == nil { refused += 1 }
            _ = try? DeleteDocument(xml: spoilt)
            _ = try? CompleteDocument(xml: spoilt)
            _ = ResponseDocuments.listing(spoilt)
        }
        #expect(refused > 1000 && refused < 5000)
    }
}
