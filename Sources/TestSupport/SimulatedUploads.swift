import Catalog
import HTTP
import S3
import Transfer

/// A multipart upload as its client knows it.
struct SimulatedUpload: Sendable {
    let id: UploadID
    let object: ObjectName
    let version: VersionID
    /// Of its Complete.
    let precondition: WritePrecondition
    let minAck: Int
}

/// A request to create an upload: drives `UploadProtocol.Creation`.
struct SimulatedUploadCreator: SimulatedActor {
    let upload: SimulatedUpload
    let lease: LeaseToken
    let candidates: [CopyCandidate]
    private var machine: UploadProtocol.Creation
    private(set) var result: CreateUploadResult?

    init(_ upload: SimulatedUpload, lease: LeaseToken, candidates: [CopyCandidate]) {
        self.upload = upload
        self.lease = lease
        self.candidates = candidates
        machine = UploadProtocol.Creation(id: upload.id, minAck: upload.minAck)
    }

    mutating func start() -> [SimulatedCall] { run(machine.start()) }

    private mutating func run(_ effects: [UploadProtocol.Creation.Effect]) -> [SimulatedCall] {
        effects.flatMap { effect -> [SimulatedCall] in
            switch effect {
            case .intend:
                let write = WriteIntent(
                    object: upload.object, version: upload.version, size: 0, headers: ObjectHeaders(),
                    candidates: candidates, token: lease, lease: SimulatedLimits.writeLease)
                return [.catalog(.createUpload(UploadIntent(id: upload.id, write: write)))]
            case .open(let ids):
                return candidates.filter { ids.contains($0.id) }.map {
                    .backend($0.backend, .createUpload(name: $0.physicalKey))
                }
            case .record(let opened): return [.catalog(.openUpload(upload.id, opened))]
            case .abort: return [.catalog(.abortUpload(upload.id, upload.object))]
            case .finish(let result):
                self.result = result
                return []
            }
        }
    }

    mutating func handle(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> [SimulatedCall] {
        event(call, answer).map { run(machine.handle($0)) } ?? []
    }

    private func event(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> UploadProtocol.Creation.Event? {
        switch (call, answer) {
        case (_, .catalog(.failure(let error))): return .catalogFailed(error)
        case (_, .catalog(.success(.intent(let outcome)))): return .intended(outcome)
        case (.catalog(.openUpload), .catalog(.success(.held(let isOpen)))): return .recorded(isOpen)
        case (.catalog(.abortUpload), .catalog(.success)): return .aborted
        case (.backend(_, let call), .backend(let result)):
            guard let id = candidates.first(where: { $0.physicalKey == call.name })?.id else { return nil }
            switch result {
            case .success(.opened(let own)): return .opened(id, backendUploadID: own)
            case .success: return nil
            case .failure(let error): return .openFailed(id, error)
            }
        default: return nil
        }
    }
}

/// One attempt at a part: drives `UploadProtocol.Part`.
struct SimulatedPartSender: SimulatedActor {
    let upload: SimulatedUpload
    let number: Int
    let token: UInt64
    let attempt: LeaseToken
    /// Backends with a quota.
    let limited: Set<BackendID>
    private var copies: [UploadCopy] = []
    private var machine: UploadProtocol.Part?
    private(set) var result: PartResult?
    private(set) var hasBody = false

    init(_ upload: SimulatedUpload, number: Int, token: UInt64, attempt: LeaseToken, limited: Set<BackendID>) {
        self.upload = upload
        self.number = number
        self.token = token
        self.attempt = attempt
        self.limited = limited
    }

    mutating func start() -> [SimulatedCall] { [.catalog(.findUpload(upload.id, upload.object))] }

    private mutating func run(_ effects: [UploadProtocol.Part.Effect]) -> [SimulatedCall] {
        effects.flatMap { effect -> [SimulatedCall] in
            hasBody = false
            switch effect {
            case .reserve(let bytes, let keeping):
                return [.catalog(.reservePart(bytes, upload.id, keeping: keeping))]
            case .send(let ids):
                hasBody = true
                _ = machine?.handle(.bodyRead(ContentDigests(etag: String(token))))
                return copies.filter { ids.contains($0.copy) }.map { copy in
                    .backend(
                        copy.backend,
                        .putPart(
                            name: copy.physicalKey, upload: copy.backendUploadID ?? "", number: number, token: token))
                }
            case .record(let etags, let digests, let reserved):
                let part = UploadPart(
                    number: number, attempt: attempt, size: simulatedSize, etag: digests.etag, checksums: [:],
                    backendETags: etags)
                return [.catalog(.recordPart(part, upload.id, reserved: reserved))]
            case .giveBack(let bytes): return [.catalog(.reservePart(-bytes, upload.id, keeping: 0))]
            case .finish(let result):
                self.result = result
                return []
            }
        }
    }

    mutating func handle(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> [SimulatedCall] {
        switch (call, answer) {
        case (.catalog(.findUpload), .catalog(.success(.upload(let found)))):
            guard let found, found.state == .open else {
                result = .noSuchUpload
                return []
            }
            copies = found.copies
            var machine = UploadProtocol.Part(
                copies: copies.map(\.copy), size: simulatedSize, minAck: min(upload.minAck, copies.count),
                reserves: copies.contains { limited.contains($0.backend) })
            let effects = machine.start()
            self.machine = machine
            return run(effects)
        case (.catalog(.reservePart(let bytes, _, _)), .catalog(let result)):
            if bytes < 0 { return feed(.gaveBack) }
            switch result {
            case .success(.reservation(let reservation)): return feed(.reserved(reservation))
            case .success: return []
            case .failure(let error): return feed(.reserveFailed(error))
            }
        case (.catalog(.recordPart), .catalog(.success(.held(let isRecorded)))): return feed(.recorded(isRecorded))
        case (.catalog(.recordPart), .catalog(.failure(let error))): return feed(.recordFailed(error))
        case (.backend(_, let call), .backend(let result)):
            guard let id = copies.first(where: { $0.physicalKey == call.name })?.copy else { return [] }
            switch result {
            case .success(.part(let part)): return feed(.stored(id, etag: part.etag))
            case .success: return []
            case .failure(let error): return feed(.failed(id, error))
            }
        default: return []
        }
    }

    private mutating func feed(_ event: UploadProtocol.Part.Event) -> [SimulatedCall] {
        guard let effects = machine?.handle(event) else { return [] }
        return run(effects)
    }
}

/// A request to complete an upload: drives `UploadProtocol.Completion`.
struct SimulatedCompleter: SimulatedActor {
    let upload: SimulatedUpload
    let chosen: [ChosenPart]
    /// Takes away a protection: NoSuchUpload is taken for the success of an earlier Complete.
    let guesses: Bool
    /// Takes away a protection: backends take whatever part they have.
    let isCareless: Bool
    private var copies: [UploadCopy] = []
    private var machine: UploadProtocol.Completion
    private(set) var result: CompleteResult?

    init(_ upload: SimulatedUpload, chosen: [ChosenPart], guesses: Bool, isCareless: Bool) {
        self.upload = upload
        self.chosen = chosen
        self.guesses = guesses
        self.isCareless = isCareless
        machine = UploadProtocol.Completion(
            requirement: WriteRequirement(ack: 2, minAck: upload.minAck), precondition: upload.precondition,
            readGrace: SimulatedLimits.readGrace, resolveAttemptsMax: SimulatedLimits.attemptsMax)
    }

    /// What the client wants to have written.
    var token: UInt64 { simulatedWhole(chosen.map { ($0.number, $0.etag) }) }

    mutating func start() -> [SimulatedCall] { run(machine.start()) }

    private mutating func run(_ effects: [UploadProtocol.Completion.Effect]) -> [SimulatedCall] {
        effects.flatMap { effect -> [SimulatedCall] in
            switch effect {
            case .begin: return [.catalog(.beginComplete(upload.id, upload.object, chosen))]
            case .complete(let copy, var parts):
                if isCareless { for index in parts.indices { parts[index].etag = "" } }
                return [
                    .backend(
                        copy.backend,
                        .completeUpload(name: copy.physicalKey, upload: copy.backendUploadID ?? "", parts: parts))
                ]
            case .look(let copy): return [.backend(copy.backend, .head(name: copy.physicalKey))]
            case .commit(let commit): return [.catalog(.commit(commit))]
            case .resolve(let version): return [.catalog(.resolve(version))]
            case .finish(let result):
                self.result = result
                return []
            }
        }
    }

    mutating func handle(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> [SimulatedCall] {
        if case .catalog(.success(.begun(.proceed(let found, _)))) = answer { copies = found.copies }
        return event(call, answer).map { run(machine.handle($0)) } ?? []
    }

    private func event(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> UploadProtocol.Completion.Event? {
        switch (call, answer) {
        case (_, .catalog(.success(.begun(let outcome)))):
            guard case .proceed(_, let parts) = outcome else { return .begun(outcome, digests: nil) }
            let whole = simulatedWhole(parts.map { ($0.number, $0.etag) })
            return .begun(outcome, digests: ContentDigests(etag: String(whole)))
        case (.catalog(.beginComplete), .catalog(.failure(let error))): return .beginFailed(error)
        case (_, .catalog(.success(.commit(let outcome)))): return .write(.committed(outcome))
        case (.catalog(.commit), .catalog(.failure(let error))): return .write(.commitFailed(error))
        case (_, .catalog(.success(.resolution(let resolution)))): return .write(.resolved(resolution))
        case (.catalog(.resolve), .catalog(.failure(let error))): return .write(.resolveFailed(error))
        case (.backend(_, let call), .backend(let result)):
            return copies.first { $0.physicalKey == call.name }.flatMap { event($0, call, result) }
        default: return nil
        }
    }

    private func event(
        _ copy: UploadCopy, _ call: BackendCall, _ result: Result<BackendAnswer, StoreError>
    ) -> UploadProtocol.Completion.Event? {
        switch (call, result) {
        case (.head, .success(.object(let found))): return .looked(copy.copy, found)
        case (.head, .failure(let error)): return .lookFailed(copy.copy, error)
        case (_, .success(.object(let stored))): return .completed(copy.copy, stored)
        case (_, .failure(let error)):
            if guesses, error.code == .noSuchUpload { return .completed(copy.copy, StoredObject(size: 0, etag: "")) }
            return .completeFailed(copy.copy, error)
        default: return nil
        }
    }
}
