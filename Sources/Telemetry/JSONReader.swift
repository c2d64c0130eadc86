/// Why a text is no JSON that is taken here.
package enum JSONError: Error, Sendable, Equatable {
    case malformed(offset: Int)
    case tooDeep
}

/// Reads JSON (RFC 8259) strictly: one value, no duplicate names, bounded depth. Numbers are integers or doubles.
package struct JSONReader {
    package static let depthMax = 32
    private let input: [UInt8]
    private var position = 0

    private init(input: [UInt8]) { self.input = input }

    package static func parse(_ input: [UInt8]) throws(JSONError) -> JSONValue {
        guard String(validating: input, as: UTF8.self) != nil else { throw .malformed(offset: 0) }
        var reader = JSONReader(input: input)
        let value = try reader.value(depth: 1)
        reader.skipSpace()
        guard reader.position == input.count else { throw reader.malformed }
        return value
    }

    private var malformed: JSONError { .malformed(offset: position) }

    private mutating func skipSpace() {
        while position < input.count, [0x20, 0x09, 0x0A, 0x0D].contains(input[position]) { position += 1 }
    }

    private mutating func take(_ text: StaticString) -> Bool {
        let bytes = Array("\(text)".utf8)
        guard input[position...].starts(with: bytes) else { return false }
        position += bytes.count
        return true
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        guard depth <= JSONReader.depthMax else { throw .tooDeep }
        skipSpace()
        guard position < input.count else { throw malformed }
        switch input[position] {
        case 0x7B: return try object(depth: depth)
        case 0x5B: return try array(depth: depth)
        case 0x22: return .string(try string())
        case 0x74 where take("true"): return .bool(true)
        case 0x66 where take("false"): return .bool(false)
        case 0x6E where take("null"): return .null
        default: return try number()
        }
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        var members: [(String, JSONValue)] = []
        var names: Set<[UInt8]> = []
        position += 1
        skipSpace()
        if take("}") { return .object([]) }
        repeat {
            skipSpace()
            let name = try string()
            guard names.insert(Array(name.utf8)).inserted else { throw malformed }
            skipSpace()
            guard take(":") else { throw malformed }
            members.append((name, try value(depth: depth + 1)))
            skipSpace()
        } while take(",")
        guard take("}") else { throw malformed }
        return .object(members)
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        var items: [JSONValue] = []
        position += 1
        skipSpace()
        if take("]") { return .array([]) }
        repeat {
            items.append(try value(depth: depth + 1))
            skipSpace()
        } while take(",")
        guard take("]") else { throw malformed }
        return .array(items)
    }

    private mutating func string() throws(JSONError) -> String {
        guard take("\"") else { throw malformed }
        var bytes: [UInt8] = []
        while position < input.count {
            let byte = input[position]
            position += 1
            switch byte {
            case 0x22: return String(decoding: bytes, as: UTF8.self)
            case 0x5C: bytes += try escape()
            case 0..<0x20: throw malformed
            default: bytes.append(byte)
            }
        }
        throw malformed
    }

    private mutating func escape() throws(JSONError) -> [UInt8] {
        guard position < input.count else { throw malformed }
        let byte = input[position]
        position += 1
        switch byte {
        case 0x22, 0x5C, 0x2F: return [byte]
        case 0x62: return [0x08]
        case 0x66: return [0x0C]
        case 0x6E: return [0x0A]
        case 0x72: return [0x0D]
        case 0x74: return [0x09]
        case 0x75:
            let unit = try hexUnit()
            guard (0xD800...0xDBFF).contains(unit) else { return try utf8(UInt32(unit)) }
            guard take("\\u") else { throw malformed }
            let low = try hexUnit()
            guard (0xDC00...0xDFFF).contains(low) else { throw malformed }
            return try utf8(0x10000 + (UInt32(unit) - 0xD800) << 10 + UInt32(low) - 0xDC00)
        default: throw malformed
        }
    }

    private mutating func hexUnit() throws(JSONError) -> UInt16 {
        guard position + 4 <= input.count,
            let text = String(validating: input[position..<(position + 4)], as: UTF8.self),
            text.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0 | 0x20) }),
            let unit = UInt16(text, radix: 16)
        else { throw malformed }
        position += 4
        return unit
    }

    private func utf8(_ code: UInt32) throws(JSONError) -> [UInt8] {
        guard let scalar = Unicode.Scalar(code) else { throw malformed }
        return Array(String(Character(scalar)).utf8)
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = position
        while position < input.count, "+-.0123456789Ee".utf8.contains(input[position]) { position += 1 }
        let text = String(decoding: input[start..<position], as: UTF8.self)
        let digits = text.utf8.drop { $0 == 0x2D }
        guard let first = digits.first, (0x30...0x39).contains(first), text.utf8.last != 0x2E, !text.hasPrefix("--"),
            first != 0x30 || digits.count == 1
                || !(0x30...0x39).contains(digits[digits.index(after: digits.startIndex)])
        else { throw malformed }
        if let value = Int64(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else { throw malformed }
        return .double(value)
    }
}
