package import Catalog
package import Spec
import Synchronization

/// Ids from a seed: time-ordered ones count up, so that order is what the test wrote.
package final class SeededIdentifiers: IdentifierSource {
    private struct State {
        var counter: UInt64 = 0
        var random: UInt64
    }
    private let state: Mutex<State>

    package init(seed: UInt64) { state = Mutex(State(random: seed)) }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    package func nextRandom() -> UInt64 {
        state.withLock { state in
            state.random &+= 0x9E37_79B9_7F4A_7C15
            var z = state.random
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    private func ordered() -> ID128 {
        let counter = state.withLock { state in
            state.counter += 1
            return state.counter
        }
        return ID128(high: 0x0190_0000_0000_7000 &+ (counter << 16), low: nextRandom())
    }

    private func random() -> ID128 { ID128(high: nextRandom(), low: nextRandom()) }

    package func makeVersionID() -> VersionID { VersionID(ordered()) }
    package func makeCopyID() -> CopyID { CopyID(ordered()) }
    package func makeLeaseToken() -> LeaseToken { LeaseToken(random()) }
    package func makeUploadID() -> UploadID { UploadID(random()) }
    package func makeNameSuffix() -> UInt32 { UInt32(truncatingIfNeeded: nextRandom()) & 0x3FFF_FFFF }
}

/// A fleet on which a promise is tried out, with short words for its usual steps.
package struct CatalogScene: Sendable {
    package let stores: CatalogStores
    package let ids: SeededIdentifiers
    /// Ids by name, as the first acceptance gave them.
    package let backends: [String: BackendID]
    package let bucket: BucketID

    /// Accepts a fleet of directories with one bucket, `photos`.
    package static func open(
        _ stores: CatalogStores, _ names: [String] = ["a", "b", "c"], quotas: [String: Int64] = [:], factor: Int = 2,
        trimDelay: Duration = .zero, seed: UInt64 = 1
    ) async throws -> CatalogScene {
        let desired = desired(names, quotas: quotas, factor: factor, trimDelay: trimDelay)
        let accepted = try await stores.fleet.accept(proposal(desired, digest: "one", parent: 0))
        try CatalogContract.expectEqual(accepted, .accepted(revision: 1))
        let snapshot = try await stores.fleet.snapshot()
        let bucket = try CatalogContract.unwrap(snapshot.bucket("photos"))
        return CatalogScene(
            stores: stores, ids: SeededIdentifiers(seed: seed),
            backends: Dictionary(uniqueKeysWithValues: snapshot.backends.map { ($0.name, $0.id) }), bucket: bucket.id)
    }

    package static func desired(
        _ names: [String], quotas: [String: Int64] = [:], factor: Int = 2, trimDelay: Duration = .zero,
        states: [String: DesiredBackendState] = [:], buckets: [String] = ["photos"]
    ) -> DesiredState {
        var fleet = FleetSpec(name: "home", replication: ReplicationSpec(factor: factor))
        fleet.safety.trimDelay = trimDelay
        return DesiredState(
            fleet: fleet,
            backends: names.map { name in
                BackendSpec(
                    name: name, state: states[name] ?? .active, location: .directory(path: "/srv/\(name)"),
                    quota: quotas[name].map { ByteCount($0) })
            },
            buckets: buckets.map { BucketSpec(name: $0) })
    }

    package static func proposal(
        _ desired: DesiredState, digest: String, parent: Int64, allowsRollback: Bool = false
    ) -> SpecProposal {
        SpecProposal(
            desired: desired, digest: digest, redactedText: "kind: Fleet", acceptedBy: "test", parent: parent,
            allowsRollback: allowsRollback)
    }

    package func id(_ name: String) throws -> BackendID { try CatalogContract.unwrap(backends[name], name) }
    package func name(_ key: String) -> ObjectName { ObjectName(bucket: bucket, key: key) }
    package func names(_ copies: [Copy]) -> [String] {
        copies.map { copy in backends.first { $0.value == copy.backend }?.key ?? "?" }.sorted()
    }

    package func candidate(_ backend: String) throws -> CopyCandidate {
        let copy = ids.makeCopyID()
        return CopyCandidate(id: copy, backend: try id(backend), physicalKey: "sluice/photos/\(copy)")
    }

    package func intent(
        _ key: String, on names: [String], size: Int64 = 10, lease: Duration = .seconds(3600)
    ) throws -> WriteIntent {
        WriteIntent(
            object: name(key), version: ids.makeVersionID(), size: size,
            headers: ObjectHeaders(
                contentType: "image/jpeg", standard: ["cache-control": "no-store"], user: ["who": "ž"]),
            candidates: try names.map(candidate), token: ids.makeLeaseToken(), lease: lease)
    }

    package func commit(
        _ intent: WriteIntent, uploaded: [CopyID]? = nil, failed: [CopyID: Bool] = [:],
        precondition: WritePrecondition = .none, readGrace: Duration = .zero, token: LeaseToken? = nil
    ) -> WriteCommit {
        WriteCommit(
            object: intent.object, version: intent.version, token: token ?? intent.token,
            uploaded: (uploaded ?? intent.candidates.map(\.id)).map { UploadedCopy(id: $0, providerVersion: nil) },
            failed: failed,
            digests: ContentDigests(
                etag: "etag-\(intent.version)", checksums: ["crc32": "AAAAAA=="], checksumType: "FULL_OBJECT"),
            precondition: precondition, readGrace: readGrace)
    }

    /// Intent and commit; the intent, whose version is then the current one.
    @discardableResult
    package func put(_ key: String, on names: [String], size: Int64 = 10, readGrace: Duration = .zero) async throws
        -> WriteIntent
    {
        let intent = try intent(key, on: names, size: size)
        let outcome = try await stores.writes.intend(intent)
        try CatalogContract.expectEqual(
            outcome, IntentOutcome(admitted: intent.candidates.map(\.id), refused: [:]), key)
        let committed = try await stores.writes.commit(commit(intent, readGrace: readGrace))
        guard case .committed = committed else { throw BrokenPromise(description: "put \(key): \(committed)") }
        return intent
    }

    package func current(_ key: String) async throws -> PlacedVersion? { try await stores.objects.current(name(key)) }

    package func copy(_ key: String, on backend: String) async throws -> Copy {
        let placed = try await current(key)
        let id = try id(backend)
        return try CatalogContract.unwrap(placed?.copies.first { $0.backend == id }, "\(key) on \(backend)")
    }

    /// Claims all that is due on these backends.
    package func due(_ names: [String] = ["a", "b", "c"], token: LeaseToken? = nil) async throws -> [DoomedCopy] {
        var due: [DoomedCopy] = []
        for name in names {
            due += try await stores.deletions.claimDoomed(
                backend: try id(name), limit: 1000, token: token ?? ids.makeLeaseToken(), lease: .seconds(3600))
        }
        return due
    }

    /// Deletes all that is due and confirms it gone; how many.
    @discardableResult
    package func deleteDue(_ names: [String] = ["a", "b", "c"]) async throws -> Int {
        let token = ids.makeLeaseToken()
        let due = try await due(names, token: token)
        for one in due { try await stores.deletions.settle(one.copy.id, token: token, .gone) }
        return due.count
    }

    package func usage(_ backend: String) async throws -> BackendUsage {
        let snapshot = try await stores.fleet.snapshot()
        return try CatalogContract.unwrap(snapshot.usage[try id(backend)], backend)
    }

    package func change(
        _ backend: String, _ from: BackendPhase, _ to: BackendPhase, under revision: Int64? = nil
    ) async throws -> PhaseOutcome {
        try await stores.fleet.change(try id(backend), from: from, to: to, under: revision)
    }
}
