package import Catalog
import HTTP
package import S3

/// What reading a copy in full has shown.
package enum ScrubVerdict: Sendable, Equatable {
    case intact
    /// Absent, or other bytes than they should be.
    case damaged(evidence: String)
    /// The backend did not give them.
    case unreadable(StoreError)
}

/// Reads one copy in full and verifies it as a move would; writes nothing.
package struct CopyScrubber: Sendable {
    private let context: TransferContext

    package init(context: TransferContext) { self.context = context }

    package func verify(_ copy: Copy, of version: Version) async -> ScrubVerdict {
        guard let store = context.stores[copy.backend] else {
            return .unreadable(StoreError(.unreachable, mayArriveLate: false, evidence: "no connection is configured"))
        }
        let reading: StoreReading
        do throws(StoreError) {
            reading = try await store.get(copy.physicalKey, range: nil)
        } catch {
            return error.code == .noSuchKey || error.code == .corrupt
                ? .damaged(evidence: "\(error.code.rawValue): \(error.evidence)") : .unreadable(error)
        }
        guard reading.length == version.size else {
            return .damaged(evidence: "\(reading.length) bytes instead of \(version.size)")
        }
        let verifier = ContentVerifier(reading.body, version)
        do throws(BodyError) {
            while try await verifier.next() != nil {}
            return .intact
        } catch {
            if case .contentMismatch(_, let message) = error { return .damaged(evidence: message) }
            return .unreadable(StoreError(.reset, mayArriveLate: false, evidence: "\(error)"))
        }
    }
}
