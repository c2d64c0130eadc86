package import Catalog
package import S3

extension UploadProtocol {
    /// One attempt at a part. It counts when the required number of backends took it; those that did not leave the upload.
    package struct Part: Sendable, Equatable {
        package enum Event: Sendable, Equatable {
            case reserved(PartReservation)
            case reserveFailed(CatalogError)
            /// The body was read to its end. Comes before the backends' answers; without it no answer makes a part.
            case bodyRead(ContentDigests)
            case stored(CopyID, etag: String)
            case failed(CopyID, StoreError)
            /// False: the upload takes no part any more.
            case recorded(Bool)
            case recordFailed(CatalogError)
            /// Or it was tried: the upload's end gives back what is left.
            case gaveBack
        }

        package enum Effect: Sendable, Equatable {
            /// Before the bytes leave, so that no backend is filled above its quota.
            case reserve(Int64, keeping: Int)
            /// To all of these at once, each byte read once.
            case send([CopyID])
            case record([CopyID: String], ContentDigests, reserved: Int64)
            case giveBack(Int64)
            case finish(PartResult)
        }

        private enum Stage: Sendable, Equatable {
            case reserving
            case sending(waiting: Set<CopyID>)
            case recording(ContentDigests)
            case givingBack(PartResult)
            case finished
        }

        private var copies: [CopyID]
        private let size: Int64
        private let minAck: Int
        private let reserved: Int64
        private var stage = Stage.reserving
        private var digests: ContentDigests?
        private var etags: [CopyID: String] = [:]
        private var errors: [StoreError] = []

        /// - Parameters:
        ///   - copies: those that still take part in the upload
        ///   - reserves: whether some backend has a quota, so that the bytes are reserved before they leave
        package init(copies: [CopyID], size: Int64, minAck: Int, reserves: Bool) {
            self.copies = copies
            self.size = size
            self.minAck = minAck
            reserved = reserves ? max(0, size) : 0
        }

        package mutating func start() -> [Effect] { reserved > 0 ? [.reserve(reserved, keeping: minAck)] : send() }

        package mutating func handle(_ event: Event) -> [Effect] {
            switch (stage, event) {
            case (.reserving, .reserved(.reserved(let dropped))):
                copies.removeAll { dropped.contains($0) }
                return send()
            case (.reserving, .reserved(.noSuchUpload)): return finish(.noSuchUpload)
            case (.reserving, .reserved(.overQuota)):
                return finish(
                    .refused(.insufficientBackends(admitted: 0, required: minAck, refusals: [.overQuota])))
            case (.reserving, .reserveFailed(let error)): return finish(.refused(.catalog(error)))
            case (.sending, .bodyRead(let found)):
                digests = found
                return []
            case (.sending(let waiting), .stored(let copy, let etag)):
                guard waiting.contains(copy) else { return [] }
                etags[copy] = etag
                return settled(waiting.subtracting([copy]))
            case (.sending(let waiting), .failed(let copy, let error)):
                guard waiting.contains(copy) else { return [] }
                errors.append(error)
                return settled(waiting.subtracting([copy]))
            case (.recording(let digests), .recorded(let isRecorded)):
                return isRecorded
                    ? finish(.stored(etag: digests.etag, checksums: digests.checksums)) : giveBack(.noSuchUpload)
            // The part may be recorded, and the bytes be its own by now: given back, they would count for nothing.
            case (.recording, .recordFailed(let error)): return finish(.refused(.catalog(error)))
            case (.givingBack(let result), .gaveBack): return finish(result)
            // Repeated and late messages change nothing.
            case (.reserving, _), (.sending, _), (.recording, _), (.givingBack, _), (.finished, _): return []
            }
        }

        private mutating func send() -> [Effect] {
            guard !copies.isEmpty else { return giveBack(.noSuchUpload) }
            stage = .sending(waiting: Set(copies))
            return [.send(copies)]
        }

        private mutating func settled(_ waiting: Set<CopyID>) -> [Effect] {
            stage = .sending(waiting: waiting)
            guard waiting.isEmpty else { return [] }
            if let error = errors.compactMap(\.bodyError).first { return giveBack(.refused(.bodyFailed(error))) }
            guard let digests, etags.count >= min(minAck, copies.count), !etags.isEmpty else {
                let isGone = etags.isEmpty && errors.allSatisfy { $0.code == .noSuchUpload }
                return giveBack(
                    isGone
                        ? .noSuchUpload
                        : .refused(.backendsFailed(succeeded: etags.count, required: minAck, errors: errors)))
            }
            stage = .recording(digests)
            return [.record(etags, digests, reserved: reserved)]
        }

        /// Only where the part is certainly not recorded.
        private mutating func giveBack(_ result: PartResult) -> [Effect] {
            guard reserved > 0 else { return finish(result) }
            stage = .givingBack(result)
            return [.giveBack(reserved)]
        }

        private mutating func finish(_ result: PartResult) -> [Effect] {
            stage = .finished
            return [.finish(result)]
        }
    }
}
