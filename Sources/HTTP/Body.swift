import Synchronization

/// Why a body could not be read to its end.
package enum BodyError: Error, Sendable, Equatable {
    /// The peer closed or reset the connection before the declared end.
    case truncated
    /// The peer sent fewer bytes per second than the limit allows, or nothing at all for too long.
    case tooSlow
    /// More bytes than the declared or permitted number.
    case tooLong
    /// The framing (chunked coding, aws-chunked) was malformed.
    case malformed(String)
    /// A digest, checksum or signature over the content did not match; `code` is the S3 error code to answer with.
    case contentMismatch(code: String, message: String)
    /// The source of the bytes failed: a backend during a read, a disk.
    case source(String)
    /// The task that reads was cancelled.
    case cancelled
}

/// A body that is pulled run by run. Back-pressure is natural: nothing is read until the next run is asked for.
///
/// One task reads at a time. After `nil` or an error every further call answers the same.
package protocol BodyReader: AnyObject, Sendable {
    /// The next run of bytes (never empty), or nil at the end of the body.
    func next() async throws(BodyError) -> Bytes?
}

/// A body that is in memory already.
package final class BytesReader: BodyReader {
    private let runs: [Bytes]
    private let position: Mutex<Int>

    package init(_ bytes: Bytes) {
        runs = bytes.isEmpty ? [] : [bytes]
        position = Mutex(0)
    }

    package init(runs: [Bytes]) {
        self.runs = runs.filter { !$0.isEmpty }
        position = Mutex(0)
    }

    package func next() async throws(BodyError) -> Bytes? {
        position.withLock { index in
            guard index < runs.count else { return nil }
            defer { index += 1 }
            return runs[index]
        }
    }
}

extension BodyReader {
    /// Reads the whole body into one run; throws `tooLong` beyond `limit` bytes.
    package func collect(limit: Int) async throws(BodyError) -> Bytes {
        var runs: [Bytes] = []
        var total = 0
        while let run = try await next() {
            total += run.count
            guard total <= limit else { throw .tooLong }
            runs.append(run)
        }
        if runs.count == 1 { return runs[0] }
        return Bytes(capacity: total) { target in
            var offset = 0
            for run in runs {
                run.withUnsafeBytes { source in
                    UnsafeMutableRawBufferPointer(rebasing: target[offset...]).copyMemory(from: source)
                }
                offset += run.count
            }
            return total
        }
    }
}
