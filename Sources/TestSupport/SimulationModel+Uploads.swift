import Catalog
import S3
import Transfer

/// What clients know of their uploads, and what may become of these.
extension SimulationModel {
    struct ClientUpload: Sendable {
        let upload: SimulatedUpload
        /// Parts that were acknowledged, and what was sent.
        var parts: [Int: UInt64] = [:]
        /// Attempts at each part, whatever became of them.
        var attempts: [Int: Int] = [:]
        /// The list of the first Complete.
        var chosen: [ChosenPart]?
        var completes = 0
        /// Completes that may still succeed.
        var completesOpen = 0
        var answer: CompleteResult?
        var answeredAt: Int64 = 0

        /// What a Complete asks for: one who asks again sends the same list.
        var list: [ChosenPart] {
            chosen
                ?? parts.sorted { $0.key < $1.key }.map { ChosenPart(number: $0.key, etag: String($0.value)) }
        }
    }

    /// Completed ones, too: their clients may ask again.
    var uploadsInUse: [UploadID] {
        let recent = uploads.values.sorted { $0.upload.version < $1.upload.version }.suffix(4)
        return recent.map(\.upload.id)
    }

    func object(_ id: UploadID) -> ObjectName { uploads[id]?.upload.object ?? ObjectName(bucket: BucketID(0), key: "") }

    mutating func startedUpload(_ actor: any SimulatedActor) {
        switch actor {
        case let creator as SimulatedUploadCreator:
            writes[creator.upload.version] = Write(
                key: creator.upload.object.key, tokens: [], precondition: creator.upload.precondition)
        case let sender as SimulatedPartSender: uploads[sender.upload.id]?.attempts[sender.number, default: 0] += 1
        case let completer as SimulatedCompleter:
            uploads[completer.upload.id]?.chosen = completer.chosen
            uploads[completer.upload.id]?.completes += 1
            uploads[completer.upload.id]?.completesOpen += 1
            writes[completer.upload.version]?.tokens.insert(completer.token)
            if writes[completer.upload.version]?.isEnded != true { writes[completer.upload.version]?.fate = .running }
        default: break
        }
    }

    mutating func ended(_ creator: SimulatedUploadCreator) -> String? {
        if case .created = creator.result { uploads[creator.upload.id] = ClientUpload(upload: creator.upload) }
        return nil
    }

    mutating func ended(_ sender: SimulatedPartSender) -> String? {
        if case .stored = sender.result { uploads[sender.upload.id]?.parts[sender.number] = sender.token }
        return nil
    }

    mutating func ended(_ completer: SimulatedCompleter) -> String? {
        let (id, version) = (completer.upload.id, completer.upload.version)
        guard let client = uploads[id], let wasCurrent = writes[version]?.wasCurrent else { return nil }
        let result = completer.result
        switch result {
        case .completed:
            uploads[id]?.answer = client.answer ?? result
            uploads[id]?.answeredAt = client.answer == nil ? now : client.answeredAt
            if let answer = client.answer, answer != result {
                return "two Completes of \(completer.token) answered differently"
            }
            return wasCurrent ? nil : "completed, but never visible: \(completer.token)"
        case .unknown, nil: return nil
        case .preconditionFailed, .noSuchKey, .noSuchBucket:
            return ended(version, "a Complete failed its condition")
        case .invalidPart(let number):
            uploads[id]?.completesOpen -= 1
            // Of several attempts at once nobody knows which was the last.
            if client.attempts[number] == 1 { return "part \(number) was acknowledged, and is not known" }
        case .noSuchUpload:
            uploads[id]?.completesOpen -= 1
            if client.answer != nil, now - client.answeredAt < Duration.seconds(86_000).microseconds {
                return "a repeated Complete of \(completer.token) was answered NoSuchUpload"
            }
        case .refused: uploads[id]?.completesOpen -= 1
        }
        guard client.completes > 1 else {
            writes[version]?.fate = .refused
            return wasCurrent ? "a Complete was refused, but is visible: \(completer.token)" : nil
        }
        if client.completesOpen == 1, !wasCurrent { writes[version]?.fate = .refused }
        return nil
    }

    /// Nothing can bring it about any more.
    private mutating func ended(_ version: VersionID, _ why: String) -> String? {
        writes[version]?.fate = .refused
        writes[version]?.isEnded = true
        return writes[version]?.wasCurrent == true ? "\(why), but it is visible" : nil
    }

    mutating func ended(abortOf id: UploadID, _ answer: Result<CatalogAnswer, CatalogError>?) -> String? {
        guard case .success(.held(true)) = answer, let version = uploads[id]?.upload.version else { return nil }
        return ended(version, "an upload was aborted")
    }
}
