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
        for part in parts where open.parts[part.number].map({ String($0) }) != part.etag {
            see(.completeWithInvalidPart)
            return .failure(StoreError(.rejected, mayArriveLate: false, evidence: "InvalidPart \(part.number)"))
        }
        let whole = simulatedWhole(parts.map { ($0.number, $0.etag) })
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

    /// Some providers end uploads that were open for long, whatever is asked of them.
    mutating func forgetUpload() {
        let open = uploads.flatMap { id, open in open.keys.map { (id, $0) } }.sorted { $0 < $1 }
        guard let (id, upload) = random.pick(open) else { return }
        note("\(id) forgets upload \(upload)")
        see(.uploadForgottenByBackend)
        uploads[id]?[upload] = nil
    }
}
