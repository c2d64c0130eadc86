package import Catalog
import Spec

/// Rounds through the backends' names (`Migration006Inventory`).
extension CatalogTables {
    struct InventoryRow: Sendable, Equatable {
        var round: Int64 = 0
        var after: String?
        var startedAt = Int64.min
        /// nil while a round is under way.
        var finishedAt: Int64? = Int64.min
        var token: LeaseToken?
        var leaseUntil = Int64.min
    }

    struct OrphanAddress: Hashable, Comparable, Sendable {
        var backend: BackendID
        var name: [UInt8]
        var isUpload: Bool
        init(_ orphan: Orphan) {
            (backend, name, isUpload) = (orphan.backend, Array(orphan.name.utf8), orphan.isUpload)
        }
        static func < (a: OrphanAddress, b: OrphanAddress) -> Bool {
            if a.backend != b.backend { return a.backend < b.backend }
            return a.name != b.name ? a.name.lexicographicallyPrecedes(b.name) : !a.isUpload && b.isUpload
        }
    }

    struct OrphanRow: Sendable, Equatable {
        var orphan: Orphan
        var round: Int64
    }

    mutating func beginInventory(
        _ backend: BackendID, interval: Duration, token: LeaseToken, lease: Duration
    ) -> InventoryPosition? {
        var row = inventoryRows[backend] ?? InventoryRow()
        guard row.leaseUntil <= now, isInventoried(backend) else { return nil }
        if row.finishedAt != nil {
            guard row.startedAt == Int64.min || row.startedAt <= now - interval.microseconds else { return nil }
            row.round += 1
            row.after = nil
            row.startedAt = now
            row.finishedAt = nil
        }
        row.token = token
        row.leaseUntil = now + lease.microseconds
        inventoryRows[backend] = row
        return InventoryPosition(round: row.round, after: row.after)
    }

    private func isInventoried(_ backend: BackendID) -> Bool {
        backends[backend].map { $0.phase != .retired && !$0.isAbandoned } ?? false
    }

    mutating func forgetInventory(_ backend: BackendID) {
        inventoryRows[backend] = nil
        orphanRows = orphanRows.filter { $0.key.backend != backend }
    }

    mutating func record(_ page: InventoryPage, lease: Duration) -> Int? {
        guard isInventoried(page.backend), var row = inventoryRows[page.backend], row.token == page.token,
            row.round == page.position.round,
            row.finishedAt == nil
        else { return nil }
        let after = Array((page.position.after ?? "").utf8)
        let through = page.through.map { Array($0.utf8) }
        var fresh = record(page.objects, isUpload: false, page) { name in
            after.lexicographicallyPrecedes(name) && !(through?.lexicographicallyPrecedes(name) ?? false)
        }
        if let uploads = page.uploads { fresh += record(uploads, isUpload: true, page) { _ in true } }
        row.after = page.through
        if page.through == nil {
            row.finishedAt = now
            row.token = nil
            row.leaseUntil = Int64.min
        } else {
            row.leaseUntil = now + lease.microseconds
        }
        inventoryRows[page.backend] = row
        return fresh
    }

    private mutating func record(
        _ names: [ListedName], isUpload: Bool, _ page: InventoryPage, within isInRange: ([UInt8]) -> Bool
    ) -> Int {
        let found = Set(names.map { Array($0.name.utf8) })
        for (address, _) in orphanRows where address.backend == page.backend && address.isUpload == isUpload {
            if isInRange(address.name), !found.contains(address.name) || isNamed(page.backend, address.name) {
                orphanRows[address] = nil
            }
        }
        var fresh = 0
        for one in names where !isNamed(page.backend, Array(one.name.utf8)) {
            let orphan = Orphan(
                backend: page.backend, name: one.name, isUpload: isUpload, bytes: one.bytes, firstSeenAt: now,
                sightings: 1, isForeign: false)
            let address = OrphanAddress(orphan)
            guard var known = orphanRows[address] else {
                orphanRows[address] = OrphanRow(orphan: orphan, round: page.position.round)
                fresh += 1
                continue
            }
            if known.round != page.position.round { known.orphan.sightings += 1 }
            known.orphan.bytes = one.bytes
            known.round = page.position.round
            orphanRows[address] = known
        }
        return fresh
    }

    func isNamed(_ backend: BackendID, _ name: [UInt8]) -> Bool {
        physicalNames.contains(PhysicalAddress(backend: backend, name: name))
    }

    func orphans(_ backend: BackendID?, after: Orphan?, limit: Int) -> [Orphan] {
        let past = after.map { OrphanAddress($0) }
        let wanted = orphanRows.filter { address, _ in
            (backend == nil || address.backend == backend) && past.map { $0 < address } ?? true
        }
        return wanted.sorted { $0.key < $1.key }.prefix(limit).map(\.value.orphan)
    }

    func dueOrphans(_ backend: BackendID, quarantine: Duration, limit: Int) -> [Orphan] {
        let due = orphanRows.filter { _, row in
            row.orphan.backend == backend && row.orphan.sightings >= 2 && !row.orphan.isForeign && !row.orphan.isUpload
                && row.orphan.firstSeenAt <= now - quarantine.microseconds
        }
        return due.sorted { ($0.value.orphan.firstSeenAt, $0.key) < ($1.value.orphan.firstSeenAt, $1.key) }
            .prefix(limit).map(\.value.orphan)
    }

    mutating func doomOrphan(
        _ orphan: Orphan, of version: VersionID, copy: CopyID, owner: VersionID, hourlyMax: Int64?
    ) throws(CatalogError) -> OrphanOutcome {
        guard safeguardRow.halt == nil, let backend = backends[orphan.backend], backend.isDeclared,
            backend.phase != .retired
        else {
            return .notOrphan
        }
        let isHeld = copies(of: version).contains { $0.copy.state == .live && !$0.copy.isSuspect }
        if !orphan.isUpload, versions[version]?.isRetained == true, !isHeld { return .lastCopy }
        let address = OrphanAddress(orphan)
        guard let row = orphanRows[address], row.orphan.sightings >= 2, !row.orphan.isForeign else {
            return .notOrphan
        }
        if isNamed(orphan.backend, address.name) {
            orphanRows[address] = nil
            return .notOrphan
        }
        guard noteDrop(hourlyMax) else { return .ceilingReached }
        orphanRows[address] = nil
        versions[owner] = VersionRow(
            id: owner, object: ObjectName(bucket: BucketID(0), key: ""), size: row.orphan.bytes,
            headers: ObjectHeaders(),
            supersededAt: now, createdAt: now)
        try insert(
            CopyRow(
                copy: Copy(
                    id: copy, version: owner, backend: orphan.backend, physicalKey: orphan.name, state: .doomed),
                bytes: row.orphan.bytes, mayArriveLate: true, deleteNotBefore: now))
        return .doomed
    }

    mutating func keep(_ orphan: Orphan) { orphanRows[OrphanAddress(orphan)]?.orphan.firstSeenAt = now }

    mutating func markForeign(_ orphan: Orphan) { orphanRows[OrphanAddress(orphan)]?.orphan.isForeign = true }

    func inventories() -> [InventoryRecord] {
        inventoryRows.filter { $0.value.round > 0 }.sorted { $0.key < $1.key }.map { backend, row in
            let there = orphanRows.values.map(\.orphan).filter { $0.backend == backend }
            let ours = there.filter { !$0.isForeign }
            return InventoryRecord(
                backend: backend, round: row.round, startedAt: row.startedAt, finishedAt: row.finishedAt,
                orphans: Int64(ours.count), orphanBytes: ByteCount(ours.reduce(0) { $0 + $1.bytes }),
                oldestOrphanSeenAt: ours.map(\.firstSeenAt).min(), foreign: Int64(there.count - ours.count))
        }
    }
}

extension MemoryCatalog: InventoryLedger {
    package func beginInventory(
        _ backend: BackendID, interval: Duration, token: LeaseToken, lease: Duration
    ) async throws(CatalogError) -> InventoryPosition? {
        try run(.inventory) { (tables) throws(CatalogError) in
            tables.beginInventory(backend, interval: interval, token: token, lease: lease)
        }
    }
    package func record(_ page: InventoryPage, lease: Duration) async throws(CatalogError) -> Int? {
        try run(.inventory) { (tables) throws(CatalogError) in tables.record(page, lease: lease) }
    }
    package func dueOrphans(
        _ backend: BackendID, quarantine: Duration, limit: Int
    ) async throws(CatalogError) -> [Orphan] {
        try run(.inventory) { (tables) throws(CatalogError) in
            tables.dueOrphans(backend, quarantine: quarantine, limit: limit)
        }
    }
    package func orphans(_ backend: BackendID?, after: Orphan?, limit: Int) async throws(CatalogError) -> [Orphan] {
        try run(.inventory) { (tables) throws(CatalogError) in tables.orphans(backend, after: after, limit: limit) }
    }
    package func doomOrphan(
        _ orphan: Orphan, of version: VersionID, copy: CopyID, owner: VersionID, hourlyMax: Int64?
    ) async throws(CatalogError) -> OrphanOutcome {
        try run(.doomOrphan) { (tables) throws(CatalogError) in
            try tables.doomOrphan(orphan, of: version, copy: copy, owner: owner, hourlyMax: hourlyMax)
        }
    }
    package func keep(_ orphan: Orphan) async throws(CatalogError) {
        try run(.inventory) { (tables) throws(CatalogError) in tables.keep(orphan) }
    }
    package func markForeign(_ orphan: Orphan) async throws(CatalogError) {
        try run(.inventory) { (tables) throws(CatalogError) in tables.markForeign(orphan) }
    }
    package func inventories() async throws(CatalogError) -> [InventoryRecord] {
        try run(.inventory) { (tables) throws(CatalogError) in tables.inventories() }
    }
}
