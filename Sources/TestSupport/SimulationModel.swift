import Catalog
import S3
import Transfer

/// What clients did and were told, and what each key was over time: the oracle of the simulation.
struct SimulationModel: Sendable {
    enum Fate: Sendable, Equatable {
        case running
        /// The client was told that it happened.
        case acknowledged
        /// The client was told that it did not.
        case refused
        /// Nobody was told anything.
        case unknown
    }

    struct Write: Sendable {
        let key: String
        /// What it may come to hold: one for a PUT, one for each list of parts that was handed in.
        var tokens: Set<UInt64>
        /// What it holds, from when it was first seen.
        var token: UInt64?
        let precondition: WritePrecondition
        var fate = Fate.running
        /// Whether it was ever the current version.
        var wasCurrent = false
        /// It was ended for good: nobody can bring it about any more.
        var isEnded = false
    }

    var writes: [VersionID: Write] = [:]
    /// Deletes that may still happen, by key.
    private var deletesOpen: [String: Int] = [:]
    private var current: [String: VersionID] = [:]
    /// The last step after which the key was absent.
    private var lastAbsent: [String: Int] = [:]
    /// Versions of which a copy was harmed behind our back.
    var harmed: Set<VersionID> = []
    var harmedCopies: Set<CopyID> = []

    /// Clients' uploads that were created.
    var uploads: [UploadID: ClientUpload] = [:]
    var now: Int64 = 0

    /// Versions that another write or a delete ended.
    private(set) var replaced: Set<VersionID> = []
    func wasReplaced(_ version: VersionID) -> Bool { replaced.contains(version) }

    func token(_ version: VersionID) -> UInt64? { writes[version]?.token }

    // MARK: What clients do

    mutating func started(_ actor: any SimulatedActor, _ step: Int) {
        if let writer = actor as? SimulatedWriter {
            writes[writer.version] = Write(
                key: writer.object.key, tokens: [writer.token], precondition: writer.precondition)
        }
        startedUpload(actor)
        if let key = SimulationModel.deletedKey(actor) { deletesOpen[key, default: 0] += 1 }
    }

    private static func deletedKey(_ actor: any SimulatedActor) -> String? {
        guard let transaction = actor as? SimulatedTransaction, case .delete(let object) = transaction.call else {
            return nil
        }
        return object.key
    }

    mutating func crashed(_ actor: any SimulatedActor) {
        if let writer = actor as? SimulatedWriter { writes[writer.version]?.fate = .unknown }
    }

    static func outcome(_ actor: any SimulatedActor) -> String {
        switch actor {
        case let writer as SimulatedWriter:
            "PUT \(writer.object.key) \(writer.token): \(writer.result.map { "\($0)" } ?? "nothing")"
        case let one as SimulatedUploadCreator: "upload \(one.upload.id): \(one.result.map { "\($0)" } ?? "nothing")"
        case let one as SimulatedPartSender:
            "part \(one.number) \(one.token): \(one.result.map { "\($0)" } ?? "nothing")"
        case let one as SimulatedCompleter: "Complete \(one.upload.id): \(one.result.map { "\($0)" } ?? "nothing")"
        case let reader as SimulatedReader: "GET \(reader.object.key): \(reader.finding.map { "\($0)" } ?? "nothing")"
        case let one as SimulatedTransaction: "\(one.call): \(one.answer.map { "\($0)" } ?? "nothing")"
        default: "\(type(of: actor))"
        }
    }

    /// What the client was told, and whether that is true; a violation, or nil.
    mutating func ended(_ actor: any SimulatedActor, _ startedAt: Int, _ step: Int) -> String? {
        switch actor {
        case let writer as SimulatedWriter: ended(writer)
        case let creator as SimulatedUploadCreator: ended(creator)
        case let sender as SimulatedPartSender: ended(sender)
        case let completer as SimulatedCompleter: ended(completer)
        case let reader as SimulatedReader: ended(reader)
        case let transaction as SimulatedTransaction: ended(transaction, startedAt)
        default: nil
        }
    }

    private mutating func ended(_ writer: SimulatedWriter) -> String? {
        let wasCurrent = writes[writer.version]?.wasCurrent ?? false
        switch writer.result {
        case .committed:
            writes[writer.version]?.fate = .acknowledged
            return wasCurrent ? nil : "acknowledged, but never visible: \(writer.object.key) \(writer.token)"
        case .preconditionFailed, .noSuchKey, .noSuchBucket, .refused:
            writes[writer.version]?.fate = .refused
            return wasCurrent
                ? "the client was told that it failed, but it is visible: \(writer.object.key) \(writer.token)" : nil
        case .unknown, nil:
            writes[writer.version]?.fate = .unknown
            return nil
        }
    }

    private func ended(_ reader: SimulatedReader) -> String? {
        switch reader.finding {
        case .read(let version, let token):
            // Damage behind our back is told by the checksum, which tokens stand for: it is an error, not a success.
            token == writes[version]?.token || harmed.contains(version) && token == 0
                ? nil : "a reader of \(reader.object.key) got bytes of another version: \(token)"
        case .unreadable(let version):
            harmed.contains(version) ? nil : "\(reader.object.key) has a version, and none of its copies is there"
        case .nothing, nil: nil
        }
    }

    private mutating func ended(_ transaction: SimulatedTransaction, _ startedAt: Int) -> String? {
        if case .abortUpload(let id, _) = transaction.call { return ended(abortOf: id, transaction.answer) }
        guard case .delete(let object) = transaction.call else { return nil }
        switch transaction.answer {
        case .success:
            deletesOpen[object.key, default: 1] -= 1
            let absent = current[object.key] == nil || (lastAbsent[object.key] ?? -1) >= startedAt
            return absent ? nil : "acknowledged, but never deleted: \(object.key)"
        case .failure(.unavailable):
            deletesOpen[object.key, default: 1] -= 1
            return nil
        // It may still happen.
        case .failure, nil: return nil
        }
    }

    // MARK: What the catalog does

    /// Compares what a key is now with what it was; a violation, or nil.
    mutating func observe(
        _ key: String, is version: VersionID?, _ etag: String?, etagBefore: String?, isGivenUp: Bool, _ step: Int
    )
        -> String?
    {
        let before = current[key]
        if version == nil { lastAbsent[key] = step }
        guard version != before else { return nil }
        if let before, !isGivenUp || version != nil || deletesOpen[key, default: 0] > 0 { replaced.insert(before) }
        current[key] = version
        guard let version else {
            return deletesOpen[key, default: 0] > 0 || isGivenUp ? nil : "\(key) was deleted, and nobody asked for it"
        }
        guard var write = writes[version] else { return "\(key) has a version that nobody wrote" }
        if write.wasCurrent { return "\(key) went back to a version that was replaced" }
        write.wasCurrent = true
        write.token = etag.flatMap { UInt64($0) }
        writes[version] = write
        if let token = write.token, !write.tokens.contains(token) { return "\(key) holds what nobody wrote: \(token)" }
        if write.key != key { return "\(key) has the version of another key" }
        if write.precondition.verdict(current: etagBefore) != .passes {
            return "\(key): the condition of \(etag ?? "nothing") did not hold"
        }
        if write.fate == .refused { return "\(key): a write that was refused became visible: \(etag ?? "")" }
        return nil
    }
}
