import Crypto
package import HTTP
package import S3
import Synchronization

/// A backend in memory that can be told to fail in every way that a real one does.
///
/// It knows no more than a real backend: names, bytes, metadata, open uploads.
package final class MemoryStore: ObjectStore {
    package struct Stored: Sendable, Equatable {
        package var bytes: Bytes
        package var metadata: StoredMetadata
        package var etag: String
        package var providerVersion: String?
    }

    struct Pending: Sendable {
        var key: String
        var metadata: StoredMetadata
        var parts: [Int: (bytes: Bytes, etag: String)] = [:]
    }

    /// What a call that was reported as timed out will still do.
    private enum LateEffect: Sendable {
        case put(String, Stored)
        case delete(String)
    }

    /// Names by their bytes: Swift compares text by canonical equivalence, backends do not.
    private struct Name: Hashable, Sendable {
        let bytes: [UInt8]
        init(_ text: String) { bytes = Array(text.utf8) }
        var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    private struct State: Sendable {
        var objects: [Name: Stored] = [:]
        var uploads: [String: Pending] = [:]
        var rules: [StoreFaultRule] = []
        var late: [LateEffect] = []
        var calls: [StoreCall: Int] = [:]
        var serial = 0
    }

    package let capabilities: StoreCapabilities
    /// Bodies are handed out in runs of this size.
    private let runBytes: Int
    /// False: ETags are tokens, as of a directory or of some services.
    private let hasDigestETags: Bool
    private let state = Mutex(State())

    package init(
        capabilities: StoreCapabilities = StoreCapabilities(
            conditionalCreate: true, versioned: false, lateArrivalHorizon: .seconds(3600)),
        runBytes: Int = 64 * 1024, hasDigestETags: Bool = true
    ) {
        self.capabilities = capabilities
        self.runBytes = runBytes
        self.hasDigestETags = hasDigestETags
    }

    // MARK: What tests see and do

    /// In byte order.
    package var names: [String] { state.withLock { $0.objects.keys.map(\.text) }.sorted(by: MemoryStore.inByteOrder) }
    package var openUploadCount: Int { state.withLock { $0.uploads.count } }
    package func stored(_ key: String) -> Stored? { state.withLock { $0.objects[Name(key)] } }
    package func calls(_ call: StoreCall) -> Int { state.withLock { $0.calls[call] ?? 0 } }

    /// The next `times` calls of this kind (of this key, if one is named) meet the fault.
    package func inject(_ fault: StoreFault, into call: StoreCall, key: String? = nil, times: Int = 1) {
        state.withLock { $0.rules.append(StoreFaultRule(fault: fault, call: call, key: key, times: times)) }
    }

    package func heal() { state.withLock { $0.rules = [] } }

    /// Puts and deletes that were reported as timed out happen now.
    package func deliverLate() {
        state.withLock { state in
            for effect in state.late {
                switch effect {
                case .put(let key, let stored): state.objects[Name(key)] = stored
                case .delete(let key): state.objects[Name(key)] = nil
                }
            }
            state.late = []
        }
    }

    /// The object vanishes behind our back.
    package func lose(_ key: String) { state.withLock { $0.objects[Name(key)] = nil } }

    func keep(_ key: String, _ stored: Stored) { state.withLock { $0.objects[Name(key)] = stored } }

    /// One bit of the object turns.
    package func damage(_ key: String) {
        state.withLock { state in
            guard var bytes = state.objects[Name(key)]?.bytes.array, !bytes.isEmpty else { return }
            bytes[bytes.count / 2] ^= 1
            state.objects[Name(key)]?.bytes = Bytes(bytes)
        }
    }

    // MARK: Steps that all calls share

    func begin(_ call: StoreCall, _ key: String) async throws(StoreError) -> StoreFault? {
        let fault = state.withLock { state -> StoreFault? in
            state.calls[call, default: 0] += 1
            guard
                let index = state.rules.firstIndex(where: {
                    $0.call == call && ($0.key.map(Name.init) ?? Name(key)) == Name(key)
                })
            else { return nil }
            state.rules[index].times -= 1
            let fault = state.rules[index].fault
            if state.rules[index].times == 0 { state.rules.remove(at: index) }
            return fault
        }
        switch fault {
        case .fail(let code, let late):
            throw StoreError(code, mayArriveLate: late, evidence: "injected \(code.rawValue)")
        case .held(let gate):
            await gate.wait()
            return nil
        case nil, .lostReply, .late, .lying, .corrupting, .cutAfter: return fault
        }
    }

    static func lost(_ call: StoreCall) -> StoreError {
        StoreError(.timedOut, mayArriveLate: true, evidence: "injected: no reply to \(call)")
    }

    static func inByteOrder(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }

    private func etag(_ bytes: Bytes) -> String {
        if hasDigestETags { return Hex.encode(bytes.withUnsafeBytes { Digest.hash(.md5, $0) }) }
        let serial = state.withLock { state -> Int in
            state.serial += 1
            return state.serial
        }
        return "token-\(serial)"
    }

    /// Reads the body as a service does: exactly `length` bytes, or nothing is stored.
    private static func receive(_ body: any BodyReader, _ length: Int64, cutAfter: Int64?) async throws(StoreError)
        -> Bytes
    {
        var received: [UInt8] = []
        do throws(BodyError) {
            while let run = try await body.next() {
                received += run.array
                if let cutAfter, Int64(received.count) >= cutAfter {
                    throw BodyError.source("cut")
                }
            }
        } catch .source("cut") {
            throw StoreError(.reset, mayArriveLate: true, evidence: "injected: cut after \(received.count) bytes")
        } catch {
            throw StoreError(.bodyFailed, mayArriveLate: false, evidence: "\(error)", bodyError: error)
        }
        guard Int64(received.count) == length else {
            throw StoreError(
                .bodyFailed, mayArriveLate: false, evidence: "\(received.count) of \(length) bytes",
                bodyError: .truncated)
        }
        return Bytes(received)
    }

    private func write(_ key: String, _ stored: Stored, ifAbsent: Bool, _ fault: StoreFault?) throws(StoreError) {
        let taken = state.withLock { state in
            if ifAbsent, capabilities.conditionalCreate, state.objects[Name(key)] != nil { return true }
            switch fault {
            case .late: state.late.append(.put(key, stored))
            case .lying: break
            case nil, .lostReply, .corrupting, .cutAfter, .fail, .held: state.objects[Name(key)] = stored
            }
            return false
        }
        if taken { throw StoreError(.alreadyExists, mayArriveLate: false, evidence: key) }
        switch fault {
        case .late, .lostReply: throw MemoryStore.lost(.put)
        case .corrupting: damage(key)
        case nil, .lying, .cutAfter, .fail, .held: break
        }
    }

    // MARK: ObjectStore

    package func put(
        _ key: String, length: Int64, body: any BodyReader, metadata: StoredMetadata, ifAbsent: Bool
    ) async throws(StoreError) -> StoredObject {
        let fault = try await begin(.put, key)
        let bytes = try await MemoryStore.receive(body, length, cutAfter: fault?.cut)
        let stored = Stored(bytes: bytes, metadata: metadata, etag: etag(bytes), providerVersion: nil)
        try write(key, stored, ifAbsent: ifAbsent, fault)
        return StoredObject(size: length, etag: stored.etag, metadata: metadata)
    }

    package func get(_ key: String, range: ByteRange?) async throws(StoreError) -> StoreReading {
        let fault = try await begin(.get, key)
        guard let stored = state.withLock({ $0.objects[Name(key)] }) else {
            throw StoreError(.noSuchKey, mayArriveLate: false, evidence: key)
        }
        let size = Int64(stored.bytes.count)
        guard range.map({ $0.upperBound <= size }) ?? true else {
            throw StoreError(.invalidRange, mayArriveLate: false, evidence: "\(size) bytes")
        }
        var wanted = range.map { stored.bytes[Int($0.lowerBound)..<Int($0.upperBound)] } ?? stored.bytes
        let length = Int64(wanted.count)
        if case .corrupting = fault, !wanted.isEmpty {
            var bytes = wanted.array
            bytes[bytes.count / 2] ^= 1
            wanted = Bytes(bytes)
        }
        let object = StoredObject(
            size: size, etag: stored.etag, providerVersion: stored.providerVersion, metadata: stored.metadata)
        return StoreReading(
            object: object, length: length, body: MemoryBody(wanted, runBytes: runBytes, cutAfter: fault?.cut))
    }

    package func head(_ key: String) async throws(StoreError) -> StoredObject {
        _ = try await begin(.head, key)
        guard let stored = state.withLock({ $0.objects[Name(key)] }) else {
            throw StoreError(.noSuchKey, mayArriveLate: false, evidence: key)
        }
        return StoredObject(
            size: Int64(stored.bytes.count), etag: stored.etag, providerVersion: stored.providerVersion,
            metadata: stored.metadata)
    }

    package func list(prefix: String, after: String?, limit: Int) async throws(StoreError) -> StoreListing {
        _ = try await begin(.list, prefix)
        let found = state.withLock { state in
            state.objects.filter { key, _ in
                key.bytes.starts(with: prefix.utf8)
                    && (after.map { $0.utf8.lexicographicallyPrecedes(key.bytes) } ?? true)
            }
        }
        let page = found.sorted { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }.prefix(limit)
        return StoreListing(
            entries: page.map { .init(key: $0.key.text, size: Int64($0.value.bytes.count), etag: $0.value.etag) },
            isTruncated: found.count > limit)
    }

    package func delete(_ key: String, providerVersion: String?) async throws(StoreError) {
        let fault = try await begin(.delete, key)
        state.withLock { state in
            switch fault {
            case .late: state.late.append(.delete(key))
            case .lying: break
            case nil, .lostReply, .corrupting, .cutAfter, .fail, .held: state.objects[Name(key)] = nil
            }
        }
        switch fault {
        case .late, .lostReply: throw MemoryStore.lost(.delete)
        case nil, .lying, .corrupting, .cutAfter, .fail, .held: return
        }
    }

    package func copy(
        _ source: String, to key: String, metadata: StoredMetadata
    ) async throws(StoreError) -> StoredObject {
        let fault = try await begin(.copy, key)
        guard capabilities.copiesWithin else {
            throw StoreError(.notSupported, mayArriveLate: false, evidence: "no copies within")
        }
        guard var stored = state.withLock({ $0.objects[Name(source)] }) else {
            throw StoreError(.noSuchKey, mayArriveLate: false, evidence: source)
        }
        stored.metadata = metadata
        state.withLock { $0.objects[Name(key)] = stored }
        if case .lostReply = fault { throw MemoryStore.lost(.copy) }
        return StoredObject(size: Int64(stored.bytes.count), etag: stored.etag, metadata: metadata)
    }

    // MARK: MultipartStore

    package func createUpload(_ key: String, metadata: StoredMetadata) async throws(StoreError) -> String {
        let fault = try await begin(.createUpload, key)
        let id = state.withLock { state in
            state.serial += 1
            let id = "upload-\(state.serial)"
            state.uploads[id] = Pending(key: key, metadata: metadata)
            return id
        }
        if case .lostReply = fault { throw MemoryStore.lost(.createUpload) }
        return id
    }

    package func putPart(
        _ key: String, uploadID: String, number: Int, length: Int64, body: any BodyReader
    ) async throws(StoreError) -> StoredPart {
        let fault = try await begin(.putPart, key)
        let bytes = try await MemoryStore.receive(body, length, cutAfter: fault?.cut)
        let etag = etag(bytes)
        let isOpen = state.withLock { state in
            guard state.uploads[uploadID].map({ Name($0.key) }) == Name(key) else { return false }
            state.uploads[uploadID]?.parts[number] = (bytes, etag)
            return true
        }
        guard isOpen else { throw StoreError(.noSuchUpload, mayArriveLate: false, evidence: uploadID) }
        if case .lostReply = fault { throw MemoryStore.lost(.putPart) }
        return StoredPart(number: number, etag: etag, size: length)
    }

    package func completeUpload(_ key: String, uploadID: String, parts: [StoredPart]) async throws(StoreError)
        -> StoredObject
    {
        let fault = try await begin(.completeUpload, key)
        guard let upload = state.withLock({ $0.uploads[uploadID] }), Name(upload.key) == Name(key) else {
            throw StoreError(.noSuchUpload, mayArriveLate: false, evidence: uploadID)
        }
        var joined: [UInt8] = []
        var digests: [UInt8] = []
        for part in parts {
            guard let found = upload.parts[part.number], found.etag == part.etag else {
                throw StoreError(.rejected, mayArriveLate: false, evidence: "InvalidPart \(part.number)")
            }
            joined += found.bytes.array
            digests += found.bytes.withUnsafeBytes { Digest.hash(.md5, $0) }
        }
        let bytes = Bytes(joined)
        let whole = hasDigestETags ? Hex.encode(Digest.hash(.md5, digests)) + "-\(parts.count)" : etag(bytes)
        state.withLock { state in
            state.uploads[uploadID] = nil
            state.objects[Name(key)] = Stored(
                bytes: bytes, metadata: upload.metadata, etag: whole, providerVersion: nil)
        }
        if case .lostReply = fault { throw MemoryStore.lost(.completeUpload) }
        return StoredObject(size: Int64(bytes.count), etag: whole, metadata: upload.metadata)
    }

    package func abortUpload(_ key: String, uploadID: String) async throws(StoreError) {
        let fault = try await begin(.abortUpload, key)
        state.withLock { $0.uploads[uploadID] = nil }
        if case .lostReply = fault { throw MemoryStore.lost(.abortUpload) }
    }

    package func openUploads(_ key: String) async throws(StoreError) -> [String] {
        _ = try await begin(.openUploads, key)
        return state.withLock { $0.uploads.filter { Name($0.value.key) == Name(key) }.keys.sorted() }
    }

    package func listUploads(prefix: String) async throws(StoreError) -> [OpenUpload] {
        _ = try await begin(.listUploads, prefix)
        let found = state.withLock { $0.uploads.filter { $0.value.key.utf8.starts(with: prefix.utf8) } }
        return found.map { OpenUpload(key: $0.value.key, uploadID: $0.key) }
            .sorted { MemoryStore.inByteOrder($0.key, $1.key) }
    }
}
