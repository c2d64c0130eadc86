package import Catalog
package import S3

package enum CreateUploadResult: Sendable, Equatable {
    case created(UploadID)
    case refused(WriteRefusal)
}

package enum PartResult: Sendable, Equatable {
    case stored(etag: String, checksums: [String: String])
    case noSuchUpload
    case refused(WriteRefusal)
}

package enum CompleteResult: Sendable, Equatable {
    /// `committedAt` in microseconds since 1970.
    case completed(ContentDigests, size: Int64, committedAt: Int64)
    case noSuchUpload
    case invalidPart(number: Int)
    case preconditionFailed
    case noSuchKey
    case noSuchBucket
    case refused(WriteRefusal)
    case unknown(evidence: String)
}

/// Multipart uploads as values (DESIGN §6, Multipart), one for each request of a client: events in, effects out, no I/O, no clock.
/// `UploadDriver` carries the effects out.
package enum UploadProtocol {
    /// Create: the rows first, then each backend's own upload, then the ids that the backends gave.
    package struct Creation: Sendable, Equatable {
        package enum Event: Sendable, Equatable {
            case intended(IntentOutcome)
            case opened(CopyID, backendUploadID: String)
            case openFailed(CopyID, StoreError)
            /// False: the upload was ended meanwhile.
            case recorded(Bool)
            case aborted
            case catalogFailed(CatalogError)
        }

        package enum Effect: Sendable, Equatable {
            case intend
            /// On all of these at once.
            case open([CopyID])
            case record([CopyID: String])
            case abort
            case finish(CreateUploadResult)
        }

        private enum Stage: Sendable, Equatable {
            case intending
            case opening(waiting: Set<CopyID>)
            case recording
            case aborting(WriteRefusal)
            case finished
        }

        private let id: UploadID
        private let minAck: Int
        private var stage = Stage.intending
        private var opened: [CopyID: String] = [:]
        private var errors: [StoreError] = []

        package init(id: UploadID, minAck: Int) {
            self.id = id
            self.minAck = minAck
        }

        package mutating func start() -> [Effect] { [.intend] }

        package mutating func handle(_ event: Event) -> [Effect] {
            switch (stage, event) {
            case (.finished, _): return []
            // What the rows were to say is not known: the sweep of stale uploads ends them.
            case (_, .catalogFailed(let error)): return finish(.refused(.catalog(error)))
            case (.intending, .intended(let outcome)):
                guard outcome.admitted.count >= minAck else {
                    return abort(
                        .insufficientBackends(
                            admitted: outcome.admitted.count, required: minAck,
                            refusals: outcome.refused.sorted { $0.key < $1.key }.map(\.value)))
                }
                stage = .opening(waiting: Set(outcome.admitted))
                return outcome.admitted.isEmpty ? settled([]) : [.open(outcome.admitted)]
            case (.opening(let waiting), .opened(let copy, let own)):
                guard waiting.contains(copy) else { return [] }
                opened[copy] = own
                return settled(waiting.subtracting([copy]))
            case (.opening(let waiting), .openFailed(let copy, let error)):
                guard waiting.contains(copy) else { return [] }
                errors.append(error)
                return settled(waiting.subtracting([copy]))
            case (.recording, .recorded(let isOpen)): return finish(isOpen ? .created(id) : .refused(.fenceLost))
            case (.aborting(let refusal), .aborted): return finish(.refused(refusal))
            // Repeated and late messages change nothing.
            case (.intending, _), (.opening, _), (.recording, _), (.aborting, _): return []
            }
        }

        private mutating func settled(_ waiting: Set<CopyID>) -> [Effect] {
            stage = .opening(waiting: waiting)
            guard waiting.isEmpty else { return [] }
            guard opened.count >= minAck else {
                return abort(.backendsFailed(succeeded: opened.count, required: minAck, errors: errors))
            }
            stage = .recording
            return [.record(opened)]
        }

        private mutating func abort(_ refusal: WriteRefusal) -> [Effect] {
            stage = .aborting(refusal)
            return [.abort]
        }

        private mutating func finish(_ result: CreateUploadResult) -> [Effect] {
            stage = .finished
            return [.finish(result)]
        }
    }
}
