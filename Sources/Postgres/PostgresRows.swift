import CPostgres

/// The rows of a result, in binary. A column that has another type than is asked for is a programmer's mistake and traps.
///
/// `@unchecked Sendable`: a PGresult is never changed after libpq has handed it out.
package final class PostgresRows: @unchecked Sendable {
    private let result: OpaquePointer

    init(_ result: OpaquePointer) { self.result = result }

    deinit { PQclear(result) }

    package var count: Int { Int(PQntuples(result)) }

    /// Rows that a command changed (PQcmdTuples).
    package var affected: Int { Int(String(cString: PQcmdTuples(result))) ?? 0 }

    package func isNull(_ row: Int, _ column: Int) -> Bool { PQgetisnull(result, CInt(row), CInt(column)) == 1 }

    private func bytes(_ row: Int, _ column: Int) -> UnsafeRawBufferPointer {
        precondition(row < count && column < Int(PQnfields(result)), "no column \(column) in row \(row)")
        return UnsafeRawBufferPointer(
            start: PQgetvalue(result, CInt(row), CInt(column)), count: Int(PQgetlength(result, CInt(row), CInt(column)))
        )
    }

    private func optional<Value>(_ row: Int, _ column: Int, _ read: (UnsafeRawBufferPointer) -> Value) -> Value? {
        isNull(row, column) ? nil : read(bytes(row, column))
    }

    private func expect<Value>(_ value: Value?, _ row: Int, _ column: Int) -> Value {
        guard let value else { preconditionFailure("null in column \(column) of row \(row)") }
        return value
    }

    package func bool(_ row: Int, _ column: Int) -> Bool { expect(optional(row, column) { $0[0] != 0 }, row, column) }
    package func int4(_ row: Int, _ column: Int) -> Int32 { expect(optionalInt4(row, column), row, column) }
    package func int8(_ row: Int, _ column: Int) -> Int64 { expect(optionalInt8(row, column), row, column) }
    package func text(_ row: Int, _ column: Int) -> String { expect(optionalText(row, column), row, column) }
    package func uuid(_ row: Int, _ column: Int) -> PostgresUUID { expect(optionalUUID(row, column), row, column) }

    package func optionalInt4(_ row: Int, _ column: Int) -> Int32? {
        optional(row, column) { BigEndian.integer($0, as: Int32.self) }
    }

    package func optionalInt8(_ row: Int, _ column: Int) -> Int64? {
        optional(row, column) { BigEndian.integer($0, as: Int64.self) }
    }

    package func optionalText(_ row: Int, _ column: Int) -> String? {
        optional(row, column) { String(decoding: $0, as: UTF8.self) }
    }

    package func optionalUUID(_ row: Int, _ column: Int) -> PostgresUUID? { optional(row, column, PostgresRows.uuid) }

    /// Empty for null; null elements become empty.
    package func texts(_ row: Int, _ column: Int) -> [String] {
        elements(row, column).map { $0.map { String(decoding: $0, as: UTF8.self) } ?? "" }
    }

    package func int4s(_ row: Int, _ column: Int) -> [Int32] {
        elements(row, column).compactMap { $0.map { BigEndian.integer($0, as: Int32.self) } }
    }

    package func int8s(_ row: Int, _ column: Int) -> [Int64] {
        elements(row, column).compactMap { $0.map { BigEndian.integer($0, as: Int64.self) } }
    }

    package func uuids(_ row: Int, _ column: Int) -> [PostgresUUID] {
        elements(row, column).compactMap { $0.map(PostgresRows.uuid) }
    }

    private static func uuid(_ bytes: UnsafeRawBufferPointer) -> PostgresUUID {
        PostgresUUID(high: BigEndian.integer(bytes, as: UInt64.self), low: BigEndian.integer(bytes, 8, as: UInt64.self))
    }

    /// array_send of one dimension.
    private func elements(_ row: Int, _ column: Int) -> [UnsafeRawBufferPointer?] {
        guard !isNull(row, column) else { return [] }
        let input = bytes(row, column)
        let dimensions = BigEndian.integer(input, as: Int32.self)
        guard dimensions > 0 else { return [] }
        precondition(dimensions == 1, "an array of \(dimensions) dimensions")
        let count = Int(BigEndian.integer(input, 12, as: Int32.self))
        var offset = 20
        var found: [UnsafeRawBufferPointer?] = []
        found.reserveCapacity(count)
        for _ in 0..<count {
            let length = Int(BigEndian.integer(input, offset, as: Int32.self))
            offset += 4
            if length < 0 {
                found.append(nil)
            } else {
                found.append(UnsafeRawBufferPointer(rebasing: input[offset..<(offset + length)]))
                offset += length
            }
        }
        return found
    }
}
