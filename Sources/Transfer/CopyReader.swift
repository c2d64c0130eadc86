package import Catalog
package import HTTP
package import S3
import Synchronization

/// Why no copy could be read.
package struct ReadFailure: Error, Sendable, Equatable {
    package var errors: [StoreError]
    /// Every copy is absent: the placement is to be read again before this is believed.
    package var allAbsent: Bool { !errors.isEmpty && errors.allSatisfy { $0.code == .noSuchKey } }
}

/// What a read found out about backends, for health, suspects and metrics. A client that goes away is no finding.
package enum ReadFinding: Sendable, Equatable {
    /// A live copy was absent or damaged. Never taken as proof; it is repaired from another.
    case suspect(Copy)
    /// The read went on from another copy.
    case failover(from: BackendID, StoreError)
    case served(BackendID)
}

/// Reads a version from its copies: on an error before or during the body it goes on from another copy at the same offset.
package final class CopyReader: BodyReader {
    private struct State {
        var copies: ArraySlice<Copy>
        var current: (copy: Copy, body: any BodyReader)?
        var offset: Int64
        var errors: [StoreError] = []
        /// Copies that gave bytes, in order.
        var contributors: [Copy] = []
        /// Why the read ended early; every further call answers the same.
        var failure: BodyError?
    }

    private let stores: [BackendID: any ObjectStore]
    private let size: Int64
    private let end: Int64
    private let report: @Sendable (ReadFinding) async -> Void
    private let state: Mutex<State>

    /// - Parameters:
    ///   - copies: in the order in which they are to be tried
    ///   - range: nil for the whole
    package init(
        _ version: Version, _ copies: [Copy], range: ByteRange?, context: TransferContext,
        report: @escaping @Sendable (ReadFinding) async -> Void
    ) {
        stores = context.stores
        size = version.size
        end = range?.upperBound ?? version.size
        self.report = report
        // Suspects come last: they may be all that is left.
        let ordered = copies.filter { !$0.isSuspect } + copies.filter(\.isSuspect)
        state = Mutex(State(copies: ordered.prefix(context.limits.readAttemptsMax), offset: range?.lowerBound ?? 0))
    }

    /// Whose bytes were handed out so far.
    package var contributors: [Copy] { state.withLock { $0.contributors } }

    /// Opens the first copy that answers, so that a failure is known before a response begins.
    package func open() async throws(ReadFailure) {
        if state.withLock({ $0.offset >= end }) { return }
        while true {
            guard let copy = state.withLock({ $0.copies.popFirst() }) else {
                throw ReadFailure(errors: state.withLock { $0.errors })
            }
            do throws(StoreError) {
                try await open(copy)
                return await report(.served(copy.backend))
            } catch {
                // The reader of this body went away, which says nothing about the backend.
                if error.code == .cancelled { throw ReadFailure(errors: [error]) }
                await failed(copy, error)
            }
        }
    }

    private func open(_ copy: Copy) async throws(StoreError) {
        guard let store = stores[copy.backend] else {
            throw StoreError(.unreachable, mayArriveLate: false, evidence: "no connection is configured")
        }
        let offset = state.withLock { $0.offset }
        let isWhole = offset == 0 && end == size
        let reading = try await store.get(copy.physicalKey, range: isWhole ? nil : ByteRange(offset, end))
        guard reading.length == end - offset, reading.object.size == size || !isWhole else {
            throw StoreError(
                .corrupt, mayArriveLate: false, evidence: "\(copy.physicalKey) has another size than \(size)")
        }
        state.withLock { $0.current = (copy, reading.body) }
    }

    private func failed(_ copy: Copy, _ error: StoreError) async {
        state.withLock { $0.errors.append(error) }
        if error.code == .noSuchKey || error.code == .corrupt { await report(.suspect(copy)) }
        await report(.failover(from: copy.backend, error))
    }

    package func next() async throws(BodyError) -> Bytes? {
        while true {
            let (failure, current, isAtEnd) = state.withLock { ($0.failure, $0.current, $0.offset >= end) }
            if let failure { throw failure }
            if isAtEnd { return nil }
            guard let current else {
                try await reopen()
                continue
            }
            let error: StoreError
            do throws(BodyError) {
                if let run = try await current.body.next() { return take(run, from: current.copy) }
                error = StoreError(.reset, mayArriveLate: false, evidence: "the body ended early")
            } catch let failure {
                if failure == .cancelled { throw end(failure) }
                error = StoreError(.reset, mayArriveLate: false, evidence: "\(failure)")
            }
            state.withLock { $0.current = nil }
            await failed(current.copy, error)
        }
    }

    private func take(_ run: Bytes, from copy: Copy) -> Bytes {
        state.withLock { state in
            // A backend that sends more than was asked for must not reach the client.
            let wanted = run.prefix(Int(min(Int64(run.count), end - state.offset)))
            state.offset += Int64(wanted.count)
            if state.contributors.last != copy { state.contributors.append(copy) }
            if state.offset >= end { state.current = nil }
            return wanted
        }
    }

    private func end(_ failure: BodyError) -> BodyError {
        state.withLock { state in
            state.failure = failure
            state.current = nil
        }
        return failure
    }

    private func reopen() async throws(BodyError) {
        do throws(ReadFailure) {
            try await open()
        } catch {
            let isCancelled = error.errors.last?.code == .cancelled
            throw end(isCancelled ? .cancelled : .source(error.errors.map(\.evidence).joined(separator: "; ")))
        }
    }
}
