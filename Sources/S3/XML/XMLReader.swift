/// An element of a document: its name without a prefix, its text, its children in order.
package struct XMLElement: Sendable, Equatable {
    package let name: String
    package var text: String
    package var children: [XMLElement]

    package subscript(name: String) -> XMLElement? { children.first { $0.name == name } }
    package func all(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }
}

package enum XMLError: Error, Sendable, Equatable {
    case malformed(offset: Int)
    case tooLarge
    case tooDeep
}

/// Reads the subset of XML that S3 uses: elements, text, the five predefined entities, character references, CDATA and
/// comments. No DTD, no other entities, no processing instructions but the declaration; attributes are skipped.
package struct XMLReader {
    package static let bytesMax = 2 * 1024 * 1024
    package static let depthMax = 16
    package static let elementsMax = 50_000

    private let input: [UInt8]
    private var position = 0
    private var elements = 0

    /// - Parameter bytesMax: for answers of backends, which may be larger than what clients may send
    package static func parse(_ input: [UInt8], bytesMax: Int = XMLReader.bytesMax) throws(XMLError) -> XMLElement {
        guard input.count <= bytesMax else { throw .tooLarge }
        guard String(validating: input, as: UTF8.self) != nil else { throw .malformed(offset: 0) }
        var reader = XMLReader(input: input)
        return try reader.document()
    }

    private init(input: [UInt8]) { self.input = input }

    private mutating func document() throws(XMLError) -> XMLElement {
        if starts("\u{FEFF}") { position += 3 }
        skipSpace()
        if starts("<?xml") { try declaration() }
        try skipMisc()
        let root = try element(depth: 1)
        try skipMisc()
        guard position == input.count else { throw malformed }
        return root
    }

    /// `<?xml version="1.0" encoding="UTF-8"?>`; another encoding would be read as what it is not.
    private mutating func declaration() throws(XMLError) {
        let start = position + 5
        try skip(past: "?>")
        let text = String(decoding: input[start..<(position - 2)], as: UTF8.self).lowercased()
        guard let first = text.utf8.first, [0x20, 0x09, 0x0A, 0x0D].contains(first) else { throw malformed }
        guard let encoding = text.firstRange(of: "encoding") else { return }
        let value = text[encoding.upperBound...].split(whereSeparator: { "= \t\r\n\"'".contains($0) }).first
        guard value == "utf-8" || value == "us-ascii" else { throw malformed }
    }

    private mutating func element(depth: Int) throws(XMLError) -> XMLElement {
        guard depth <= XMLReader.depthMax else { throw .tooDeep }
        elements += 1
        guard elements <= XMLReader.elementsMax else { throw .tooLarge }
        try expect("<")
        let qualified = try name()
        var element = XMLElement(name: XMLReader.local(qualified), text: "", children: [])
        if try attributes() { return element }
        var text: [UInt8] = []
        while true {
            guard position < input.count else { throw malformed }
            if starts("</") {
                position += 2
                guard try name() == qualified else { throw malformed }
                skipSpace()
                try expect(">")
                element.text = String(decoding: text, as: UTF8.self)
                return element
            }
            if starts("<!--") {
                try skip(past: "-->")
            } else if starts("<![CDATA[") {
                let start = position + 9
                try skip(past: "]]>")
                text += input[start..<(position - 3)]
            } else if input[position] == 0x3C {
                element.children.append(try self.element(depth: depth + 1))
            } else if input[position] == 0x26 {
                text += try reference()
            } else {
                guard XMLReader.isText(input[position]) else { throw malformed }
                text.append(input[position])
                position += 1
            }
        }
    }

    /// XML 1.0 has no other control characters; keys that hold some come as references.
    private static func isText(_ byte: UInt8) -> Bool { byte >= 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }

    /// Skips attributes; true if the tag closes itself.
    private mutating func attributes() throws(XMLError) -> Bool {
        while true {
            let before = position
            skipSpace()
            guard position < input.count else { throw malformed }
            if starts("/>") {
                position += 2
                return true
            }
            if input[position] == 0x3E {
                position += 1
                return false
            }
            guard position > before else { throw malformed }
            _ = try name()
            skipSpace()
            try expect("=")
            skipSpace()
            guard position < input.count, input[position] == 0x22 || input[position] == 0x27 else { throw malformed }
            let quote = input[position]
            position += 1
            while position < input.count, input[position] != quote {
                guard input[position] != 0x3C else { throw malformed }
                position += 1
            }
            guard position < input.count else { throw malformed }
            position += 1
        }
    }

    private mutating func reference() throws(XMLError) -> [UInt8] {
        let start = position + 1
        guard let end = input[start...].prefix(12).firstIndex(of: 0x3B) else { throw malformed }
        let name = String(decoding: input[start..<end], as: UTF8.self)
        defer { position = end + 1 }
        switch name {
        case "amp": return [0x26]
        case "lt": return [0x3C]
        case "gt": return [0x3E]
        case "quot": return [0x22]
        case "apos": return [0x27]
        default:
            let isHex = name.hasPrefix("#x")
            let digits = name.dropFirst(isHex ? 2 : 1)
            guard name.hasPrefix("#"), digits.utf8.first != 0x2B, let value = UInt32(digits, radix: isHex ? 16 : 10),
                value != 0,
                let scalar = Unicode.Scalar(value)
            else { throw malformed }
            return Array(String(Character(scalar)).utf8)
        }
    }

    private mutating func name() throws(XMLError) -> String {
        let start = position
        while position < input.count, XMLReader.isNameByte(input[position]) { position += 1 }
        guard position > start, position - start <= 256, !(0x2D...0x39).contains(input[start]) else { throw malformed }
        return String(decoding: input[start..<position], as: UTF8.self)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x3A, 0x5F: true
        default: byte >= 0x80
        }
    }

    private static func local(_ name: String) -> String {
        name.split(separator: ":", maxSplits: 1).last.map(String.init) ?? name
    }

    private mutating func skipMisc() throws(XMLError) {
        skipSpace()
        while starts("<!--") {
            try skip(past: "-->")
            skipSpace()
        }
    }

    private mutating func skipSpace() {
        while position < input.count, [0x20, 0x09, 0x0A, 0x0D].contains(input[position]) { position += 1 }
    }

    private func starts(_ text: String) -> Bool { input[position...].starts(with: text.utf8) }

    private mutating func expect(_ text: String) throws(XMLError) {
        guard starts(text) else { throw malformed }
        position += text.utf8.count
    }

    private mutating func skip(past text: String) throws(XMLError) {
        while position < input.count {
            if starts(text) {
                position += text.utf8.count
                return
            }
            position += 1
        }
        throw malformed
    }

    private var malformed: XMLError { .malformed(offset: position) }
}
