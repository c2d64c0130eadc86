package import HTTP
package import S3
import Synchronization

package enum StoreCall: Hashable, Sendable, CaseIterable {
    case put, get, head, list, delete, copy, createUpload, putPart, completeUpload, abortUpload, openUploads,
        listUploads
}

/// What befalls a call to a `MemoryStore`.
package enum StoreFault: Sendable {
    /// Refused before anything happened.
    case fail(StoreError.Code, mayArriveLate: Bool = false)
    /// It happens, and its reply is lost.
    case lostReply
    /// Reported as timed out; it happens when `deliverLate` is called.
    case late
    /// Reported as done, and nothing was done.
    case lying
    /// One bit turns on the way.
    case corrupting
    /// The connection breaks after so many bytes of the body.
    case cutAfter(Int64)
    /// Waits until the gate is opened.
    case held(Gate)

    var cut: Int64? {
        if case .cutAfter(let bytes) = self { return bytes }
        return nil
    }
}

struct StoreFaultRule: Sendable {
    var fault: StoreFault
    var call: StoreCall
    var key: String?
    var times: Int
}

/// A door that tests open; whoever comes before waits. Cancellation opens it for the one who is cancelled.
package final class Gate: Sendable {
    private struct State: Sendable {
        var isOpen = false
        var serial = 0
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
    }
    private let state = Mutex(State())

    package init() {}

    /// How many wait now.
    package var waiting: Int { state.withLock { $0.waiting.count } }

    package func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [:] }
            return state.waiting
        }
        for one in waiting.values { one.resume() }
    }

    package func wait() async {
        let ticket = state.withLock { state in
            state.serial += 1
            return state.serial
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock { state in
                    if state.isOpen || Task.isCancelled { return true }
                    state.waiting[ticket] = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: ticket) }?.resume()
        }
    }
}

/// Bytes in runs, as they come from a connection.
package final class MemoryBody: BodyReader {
    private let bytes: Bytes
    private let runBytes: Int
    private let cutAfter: Int64?
    private let position = Mutex(0)

    package init(_ bytes: Bytes, runBytes: Int, cutAfter: Int64? = nil) {
        self.bytes = bytes
        self.runBytes = runBytes
        self.cutAfter = cutAfter
    }

    package func next() async throws(BodyError) -> Bytes? {
        let end = cutAfter.map { min(Int($0), bytes.count) } ?? bytes.count
        let run = position.withLock { position -> Bytes? in
            guard position < end else { return nil }
            let run = bytes[position..<min(position + runBytes, end)]
            position += run.count
            return run
        }
        if run == nil, cutAfter != nil { throw .source("injected: cut after \(end) bytes") }
        return run
    }
}
