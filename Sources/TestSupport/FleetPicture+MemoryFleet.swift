package import Catalog
import Crypto
package import HTTP
package import S3
import Spec
package import Transfer

/// A fleet in memory, built from a picture: the catalog, a backend for each holder, and the bytes of every copy that is live.
package struct MemoryFleet: Sendable {
    package let catalog: MemoryCatalog
    package let stores: [BackendID: MemoryStore]
    package let identifiers: SeededIdentifiers
    package let bucket: BucketID
    package static let bucketName = "photos"

    /// - Parameters:
    ///   - sizes: bytes of an object; 1,000 where none is given
    ///   - make: the backend of a holder
    package init(
        _ picture: FleetPicture, sizes: [String: Int] = [:], seed: UInt64 = 1,
        make: (String) -> MemoryStore = { _ in MemoryStore() }
    ) {
        let identifiers = SeededIdentifiers(seed: seed)
        var tables = CatalogTables()
        tables.declareBuckets([MemoryFleet.bucketName])
        let bucket = BucketID(1)
        var stores: [BackendID: MemoryStore] = [:]
        for (index, holder) in picture.holders.enumerated() {
            let id = BackendID(Int32(index + 1))
            tables.backends[id] = MemoryFleet.record(id, holder)
            tables.usage[id] = BackendUsage()
            stores[id] = make(holder.name)
        }
        self.catalog = MemoryCatalog(tables)
        self.stores = stores
        self.identifiers = identifiers
        self.bucket = bucket
        let objects = Set(picture.holders.flatMap { $0.copies.map(\.object) }).sorted()
        for object in objects {
            place(object, in: picture, bytes: MemoryFleet.contents(of: object, count: sizes[object] ?? 1_000))
        }
    }

    private static func record(_ id: BackendID, _ holder: FleetPicture.Holder) -> BackendRecord {
        let spec = BackendSpec(
            name: holder.name, location: .directory(path: "/memory/\(holder.name)"), keyPrefix: "sluice/")
        return BackendRecord(
            id: id, uid: ID128(high: 0xB, low: UInt64(id.raw)), name: holder.name, phase: holder.phase,
            isDeclared: holder.isDeclared,
            spec: spec, generation: 1, isMarked: true)
    }

    /// What an object of a picture contains: the same for the same name.
    package static func contents(of object: String, count: Int = 1_000) -> Bytes {
        var random = SimulatedRandom(seed: object.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
        return Bytes((0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    }

    /// Writes the rows through the catalog's own transactions, so that they are as a real one would be.
    private func place(_ object: String, in picture: FleetPicture, bytes: Bytes) {
        let identifiers = identifiers
        let (bucket, stores) = (bucket, stores)
        let held = picture.holders.enumerated().flatMap { index, holder in
            holder.copies.filter { $0.object == object }.map { (BackendID(Int32(index + 1)), $0) }
        }
        let digests = ContentDigests(etag: Hex.encode(bytes.withUnsafeBytes { Digest.hash(.md5, $0) }))
        catalog.edit { tables in
            let version = identifiers.makeVersionID()
            let name = ObjectName(bucket: bucket, key: object)
            tables.objects[.init(name)] = .init(name: name, current: version, lastSequence: 1)
            var row = CatalogTables.VersionRow(
                id: version, object: name, size: Int64(bytes.count), headers: ObjectHeaders(contentType: "image/png"),
                createdAt: tables.now)
            row.digests = digests
            row.committedAt = tables.now
            row.sequence = 1
            tables.versions[version] = row
            for (backend, one) in held {
                let physical = PhysicalName(
                    keyPrefix: "sluice/", bucket: MemoryFleet.bucketName, key: object, version: version,
                    suffix: identifiers.makeNameSuffix())
                tables.place(
                    Copy(
                        id: identifiers.makeCopyID(), version: version, backend: backend, physicalKey: physical.text,
                        state: one.state,
                        isSuspect: one.isSuspect), bytes: Int64(bytes.count))
                if one.state == .live || one.state == .doomed {
                    let metadata = CopyMetadata.make(
                        bucket: MemoryFleet.bucketName, key: object, version: version, size: Int64(bytes.count),
                        headers: row.headers)
                    stores[backend]?.place(physical.text, bytes, metadata)
                }
            }
        }
    }

    // MARK: What tests ask

    /// `a`, `b`, … by name.
    package func backend(_ name: String) -> BackendID {
        guard let id = catalog.tables.backends.values.first(where: { $0.name == name })?.id else {
            preconditionFailure("no backend \(name) in the picture")
        }
        return id
    }

    package func store(_ name: String) -> MemoryStore {
        guard let store = stores[backend(name)] else { preconditionFailure("no backend \(name) in the picture") }
        return store
    }

    package func object(_ key: String) -> ObjectName { ObjectName(bucket: bucket, key: key) }

    package var picture: FleetPicture { FleetPicture(catalog.tables) }

    /// Nothing waits: tests move the catalog's clock instead.
    package func context(
        limits: TransferLimits = TransferLimits(), crashPlan: CrashPlan = .none,
        sleep: @escaping @Sendable (Duration) async throws(CancellationError) -> Void = MemoryFleet.never
    ) -> TransferContext {
        TransferContext(
            stores: stores, keyPrefixes: stores.mapValues { _ in "sluice/" }, identifiers: identifiers, limits: limits,
            crashPlan: crashPlan, sleep: sleep)
    }

    /// A pause that ends only with its task: leases are not renewed.
    package static let never: @Sendable (Duration) async throws(CancellationError) -> Void = {
        (duration) async throws(CancellationError) in
        if duration < .seconds(10) { return }
        await Gate().wait()
        throw CancellationError()
    }
}

extension MemoryStore {
    /// Puts an object there without a call.
    package func place(_ key: String, _ bytes: Bytes, _ metadata: StoredMetadata) {
        keep(
            key,
            Stored(bytes: bytes, metadata: metadata, etag: Hex.encode(bytes.withUnsafeBytes { Digest.hash(.md5, $0) })))
    }
}

extension CatalogTables {
    /// A row as it stands, without a transaction.
    mutating func place(_ copy: Copy, bytes: Int64) {
        var row = CopyRow(copy: copy, bytes: bytes)
        switch copy.state {
        case .writing:
            row.token = LeaseToken(copy.id.raw)
            row.leaseUntil = now + Duration.seconds(120).microseconds
        case .doomed: row.deleteNotBefore = now
        case .live, .gone: break
        }
        do throws(CatalogError) { try insert(row) } catch { preconditionFailure("\(error)") }
    }
}
