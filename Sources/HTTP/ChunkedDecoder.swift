/// Chunked transfer coding (RFC 9112 §7.1), incremental, without I/O.
package struct ChunkedDecoder: Sendable {
    package enum Step: Sendable, Equatable {
        /// `count` bytes at `offset` of the input are content.
        case content(offset: Int, count: Int)
        /// The input is used up to its end.
        case needsMore
        /// The body ended; `offset` is where the next message begins.
        case end(offset: Int)
    }

    private enum State: Sendable {
        case size
        case content(Int64)
        case afterContent
        case trailers
        case done
    }

    /// Bytes of a chunk's size line, extensions included.
    package static let sizeLineMax = 256
    package static let trailersMax = 8 * 1024
    /// Bytes of extensions in a whole body, so that a sender can't make us read far more than it says it sends.
    package static let extensionsMax = 16 * 1024

    private var state = State.size
    private var line: [UInt8] = []
    private var extensionBytes = 0
    package private(set) var trailers = Fields()

    package init() {}

    /// Looks at `input` from `position` on, which is moved behind what was taken.
    package mutating func step(_ input: UnsafeRawBufferPointer, _ position: inout Int) throws(HeadError) -> Step {
        while true {
            switch state {
            case .size:
                guard try readLine(input, &position, limit: ChunkedDecoder.sizeLineMax) else { return .needsMore }
                let size = try chunkSize()
                line.removeAll(keepingCapacity: true)
                state = size == 0 ? .trailers : .content(size)
            case .content(let left):
                let count = Int(min(left, Int64(input.count - position)))
                guard count > 0 else { return .needsMore }
                state = left == Int64(count) ? .afterContent : .content(left - Int64(count))
                defer { position += count }
                return .content(offset: position, count: count)
            case .afterContent:
                guard try readLine(input, &position, limit: 2) else { return .needsMore }
                guard line.count == 2 else { throw HeadError(400, "chunk longer than its size") }
                line.removeAll(keepingCapacity: true)
                state = .size
            case .trailers:
                guard try readTrailers(input, &position) else { return .needsMore }
                state = .done
            case .done: return .end(offset: position)
            }
        }
    }

    /// Appends to `line` up to and with LF; false if the input ended before.
    private mutating func readLine(
        _ input: UnsafeRawBufferPointer, _ position: inout Int, limit: Int
    ) throws(HeadError) -> Bool {
        while position < input.count {
            let byte = input[position]
            position += 1
            line.append(byte)
            if byte == 0x0A {
                guard line.count >= 2, line[line.count - 2] == 0x0D else {
                    throw HeadError(400, "bare LF in chunked coding")
                }
                return true
            }
            guard line.count < limit else { throw HeadError(400, "malformed chunked coding") }
        }
        return false
    }

    private mutating func chunkSize() throws(HeadError) -> Int64 {
        var size: Int64 = 0
        var digits = 0
        for byte in line.dropLast(2) {
            let digit: Int64
            switch byte {
            case 0x30...0x39: digit = Int64(byte - 0x30)
            case 0x41...0x46: digit = Int64(byte - 0x41 + 10)
            case 0x61...0x66: digit = Int64(byte - 0x61 + 10)
            case 0x3B where digits > 0:
                // Extensions carry nothing that we use (RFC 9112 §7.1.1); they are bounded with the line.
                guard line.dropLast(2).allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
                    throw HeadError(400, "control character in a chunk extension")
                }
                extensionBytes += line.count
                guard extensionBytes <= ChunkedDecoder.extensionsMax else {
                    throw HeadError(400, "too many chunk extensions")
                }
                return size
            default: throw HeadError(400, "malformed chunk size")
            }
            digits += 1
            guard digits <= 15 else { throw HeadError(400, "chunk size too large") }
            size = size << 4 | digit
        }
        guard digits > 0 else { throw HeadError(400, "empty chunk size") }
        return size
    }

    private mutating func readTrailers(
        _ input: UnsafeRawBufferPointer, _ position: inout Int
    ) throws(HeadError) -> Bool {
        while position < input.count {
            let byte = input[position]
            position += 1
            line.append(byte)
            guard line.count <= ChunkedDecoder.trailersMax else { throw HeadError(431, "trailers too large") }
            guard byte == 0x0A else { continue }
            guard line.count >= 2, line[line.count - 2] == 0x0D else { throw HeadError(400, "bare LF in trailers") }
            if line.count == 2 || line.suffix(4).elementsEqual([0x0D, 0x0A, 0x0D, 0x0A]) {
                let section = line.dropLast(2)
                // ArraySlice's own accessor does not carry typed errors out.
                let parsed: Result<Fields, HeadError> = section.withUnsafeBytes { bytes in
                    Result { () throws(HeadError) in try HeadParser.trailers(bytes) }
                }
                trailers = try parsed.get()
                return true
            }
        }
        return false
    }
}
