/// A parameter, sent in binary with its type.
package enum PostgresValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case int4(Int32)
    case int8(Int64)
    case text(String)
    case bytes([UInt8])
    case uuid(PostgresUUID)
    case int4s([Int32])
    case int8s([Int64])
    case bools([Bool])
    case texts([String])
    /// With nulls.
    case optionalTexts([String?])
    case uuids([PostgresUUID])

    /// Type ids of pg_type.dat.
    var typeID: UInt32 {
        switch self {
        case .null: 0
        case .bool: 16
        case .bytes: 17
        case .int8: 20
        case .int4: 23
        case .text: 25
        case .uuid: 2950
        case .bools: 1000
        case .int4s: 1007
        case .texts, .optionalTexts: 1009
        case .int8s: 1016
        case .uuids: 2951
        }
    }

    /// Nil for null.
    var encoded: [UInt8]? {
        switch self {
        case .null: nil
        case .bool(let value): [value ? 1 : 0]
        case .int4(let value): BigEndian.bytes(value)
        case .int8(let value): BigEndian.bytes(value)
        case .text(let value): Array(value.utf8)
        case .bytes(let value): value
        case .uuid(let value): BigEndian.bytes(value.high) + BigEndian.bytes(value.low)
        case .bools(let values): PostgresValue.array(16, values.map { [$0 ? 1 : 0] })
        case .int4s(let values): PostgresValue.array(23, values.map { BigEndian.bytes($0) })
        case .int8s(let values): PostgresValue.array(20, values.map { BigEndian.bytes($0) })
        case .texts(let values): PostgresValue.array(25, values.map { Array($0.utf8) })
        case .optionalTexts(let values): PostgresValue.array(25, values.map { $0.map { Array($0.utf8) } })
        case .uuids(let values):
            PostgresValue.array(2950, values.map { BigEndian.bytes($0.high) + BigEndian.bytes($0.low) })
        }
    }

    /// array_send: dimensions, null flag, element type, length, lower bound, elements with their lengths.
    private static func array(_ type: UInt32, _ elements: [[UInt8]?]) -> [UInt8] {
        var output = BigEndian.bytes(Int32(elements.isEmpty ? 0 : 1))
        output +=
            BigEndian.bytes(Int32(elements.contains { $0 == nil } ? 1 : 0)) + BigEndian.bytes(Int32(bitPattern: type))
        if elements.isEmpty { return output }
        output += BigEndian.bytes(Int32(elements.count)) + BigEndian.bytes(Int32(1))
        for element in elements {
            output += BigEndian.bytes(element.map { Int32($0.count) } ?? -1)
            output += element ?? []
        }
        return output
    }
}

/// 128 bits of a uuid column.
package struct PostgresUUID: Hashable, Sendable {
    package let high: UInt64
    package let low: UInt64
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

enum BigEndian {
    static func bytes<Integer: FixedWidthInteger>(_ value: Integer) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    static func integer<Integer: FixedWidthInteger>(
        _ bytes: UnsafeRawBufferPointer, _ offset: Int = 0, as _: Integer.Type
    ) -> Integer {
        precondition(offset + MemoryLayout<Integer>.size <= bytes.count, "short binary value")
        return Integer(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Integer.self))
    }
}
