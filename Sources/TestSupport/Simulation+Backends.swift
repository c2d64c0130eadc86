import Catalog
import S3

/// What a backend does when a call arrives: as S3 does.
extension Simulation {
    /// An upload that is open on a backend.
    struct OpenParts: Sendable {
        let name: String
        var parts: [Int: UInt64] = [:]
    }

    mutating func store(_ id: BackendID, _ call: BackendCall) -> Result<BackendAnswer, StoreError> {
        switch call {
        case .put(let name, let token): return put(id, name, token)
        case .get(let name): return content(id, name).map { .content($0) }
        case .head(let name):
            let found = content(id, name)
            if case .success = found { see(.completeSeenByLooking) }
            return found.map { .object(object($0)) }
        case .delete(let name): return delete(id, name)
        case .createUpload(let name):
            nextUpload += 1
            uploads[id]?["u\(nextUpload)"] = OpenParts(name: name)
            checkBytes()
            return .success(.opened("u\(nextUpload)"))
        case .putPart(let name, let upload, let number, let token):
            guard uploads[id]?[upload]?.name == name else { return noSuchUpload(upload) }
            uploads[id]?[upload]?.parts[number] = token
            return .success(.part(StoredPart(number: number, etag: String(token), size: simulatedSize)))
        case .completeUpload(let name, let upload, let parts): return complete(id, name, upload, parts)
        // Absence is success.
        case .abortUpload(_, let upload):
            if uploads[id]?.removeValue(forKey: upload) != nil { see(.uploadAbortedOnBackend) }
            return .success(.aborted)
        case .openUploads(let name):
            let found = (uploads[id] ?? [:]).filter { $0.value.name == name }.keys
            return .success(.uploads(found.sorted()))
        case .list:
            let names = (backends[id] ?? [:]).sorted { $0.key < $1.key }
            let open = (uploads[id] ?? [:]).sorted { $0.key < $1.key }
            return .success(
                .listing(
                    objects: names.map { ListedName(name: $0.key, bytes: object($0.value).size) },
                    uploads: open.map { OpenUpload(key: $0.value.name, uploadID: $0.key) }))
        }
    }

    private func object(_ token: UInt64) -> StoredObject {
        StoredObject(size: sizes[token] ?? simulatedSize, etag: String(token))
    }

    private func content(_ id: BackendID, _ name: String) -> Result<UInt64, StoreError> {
        guard let token = backends[id]?[name] else {
            return .failure(StoreError(.noSuchKey, mayArriveLate: false, evidence: name))
        }
        return .success(token)
    }

    private func noSuchUpload(_ upload: String) -> Result<BackendAnswer, StoreError> {
        .failure(StoreError(.noSuchUpload, mayArriveLate: false, evidence: upload))
    }

    private mutating func put(_ id: BackendID, _ name: String, _ token: UInt64) -> Result<BackendAnswer, StoreError> {
        if ablation != .reusedNames, backends[id]?[name] != nil, !random.chance(50) {
            return .failure(StoreError(.alreadyExists, mayArriveLate: false, evidence: name))
        }
        backends[id]?[name] = token
        checkBytes()
        return .success(.stored)
    }

    private mutating func complete(
        _ id: BackendID, _ name: String, _ upload: String, _ parts: [StoredPart]
    ) -> Result<BackendAnswer, StoreError> {
        guard let open = uploads[id]?[upload], open.name == name else {
            see(.completeOfUnknownUpload)
            return noSuchUpload(upload)
        }
        let found = parts.map { (number: $0.number, etag: open.parts[$0.number].map { String($0) } ?? "none") }
        for (part, found) in zip(parts, found)
        where found.etag != part.etag && (!part.etag.isEmpty || found.etag == "none") {
            see(.completeWithInvalidPart)
            return .failure(StoreError(.rejected, mayArriveLate: false, evidence: "InvalidPart \(part.number)"))
        }
        let whole = simulatedWhole(found)
        sizes[whole] = Int64(parts.count) * simulatedSize
        uploads[id]?[upload] = nil
        backends[id]?[name] = whole
        checkBytes()
        return .success(.object(object(whole)))
    }

    private mutating func delete(_ id: BackendID, _ name: String) -> Result<BackendAnswer, StoreError> {
        // No DELETE without a committed doomed row (DESIGN §2.5).
        let isOwned = tables.copies.values.contains { row in
            row.copy.backend == id && row.copy.physicalKey == name
                && (row.copy.state == .live || row.copy.state == .writing)
        }
        if isOwned { violated("DELETE of \(name) on \(id), which is not doomed") }
        backends[id]?[name] = nil
        checkBytes()
        return .success(.deleted)
    }

    /// A copy of a call that has arrived is on its way: nobody waits for its answer.
    mutating func repeatLater(_ message: SimulatedMessage) {
        guard case .backend(_, let call) = message.call, call.mayBeRepeated, !message.isRepeated else { return }
        guard random.chance(call.isPut ? 20 : 5) else { return }
        var again = message
        again.isAbandoned = true
        again.isRepeated = true
        again.heldUntil = step + random.below(200)
        messages.append(again)
    }

    mutating func seeRepeated(_ id: BackendID, _ call: BackendCall) {
        switch call {
        case .put(let name, _):
            see(.putTwice)
            strays.insert(BackendName(backend: id, name: name))
            let isNamed = tables.copies.values.contains { row in
                row.copy.backend == id && row.copy.physicalKey == name && row.copy.state != .gone
            }
            if !isNamed { see(.strayLeft) }
        case .delete: see(.deleteTwice)
        case .putPart: see(.partTwice)
        case .completeUpload: see(.completeTwice)
        case .get, .head, .createUpload, .abortUpload, .openUploads, .list: break
        }
    }

    /// Some providers end uploads that were open for long, whatever is asked of them.
    mutating func forgetUpload() {
        let open = uploads.flatMap { id, open in open.keys.map { (id, $0) } }.sorted { $0 < $1 }
        guard let (id, upload) = random.pick(open) else { return }
        note("\(id) forgets upload \(upload)")
        see(.uploadForgottenByBackend)
        uploads[id]?[upload] = nil
    }
}
