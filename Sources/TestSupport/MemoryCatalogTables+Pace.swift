package import Catalog
package import Spec

struct PaceRow: Sendable {
    var freeAt: Int64 = .min
    var bytesPerSecond: Int64 = 0
    var rate = MoveRate()
}

/// Limits that instances share (`Migration015Pace`).
extension CatalogTables {
    private static let hour: Int64 = 3_600_000_000

    /// False if the ceiling is reached.
    mutating func noteDrop(_ hourlyMax: Int64?) -> Bool {
        guard let hourlyMax else { return true }
        dropRows.removeAll { $0 <= now - CatalogTables.hour }
        guard Int64(dropRows.count) < hourlyMax else { return false }
        dropRows.append(now)
        return true
    }

    func pace() -> PaceReading {
        PaceReading(
            moment: now, dropsLastHour: Int64(dropRows.count { $0 > now - CatalogTables.hour }),
            rates: paceRows.mapValues(\.rate).filter { $0.value.busy > .zero })
    }

    mutating func reserve(
        _ bytes: Int64, leaving backend: BackendID, bytesPerSecond: ByteCount, waitMax: Duration
    ) -> Duration? {
        let row = paceRows[backend] ?? PaceRow()
        var begins = max(row.freeAt, now)
        if row.bytesPerSecond > 0 {
            // What was taken at another rate takes its time at this one.
            let ratio = Double(row.bytesPerSecond) / Double(max(1, bytesPerSecond.value))
            begins = now + Int64((Double(begins - now) * ratio).rounded(.up))
        }
        let wait = Duration.microseconds(begins - now)
        guard wait <= waitMax else { return nil }
        let cost = Double(bytes) * 1_000_000 / Double(max(1, bytesPerSecond.value))
        paceRows[backend, default: PaceRow()].freeAt = begins + Int64(cost.rounded(.up))
        paceRows[backend]?.bytesPerSecond = bytesPerSecond.value
        return wait
    }

    mutating func note(_ moved: MoveRate, leaving backend: BackendID) {
        paceRows[backend, default: PaceRow()].rate += moved
    }
}

extension MemoryCatalog: PaceLedger {
    package func pace() async throws(CatalogError) -> PaceReading {
        try run(.pace) { (tables) throws(CatalogError) in tables.pace() }
    }
    package func reserve(
        _ bytes: Int64, leaving backend: BackendID, bytesPerSecond: ByteCount, waitMax: Duration
    ) async throws(CatalogError) -> Duration? {
        try run(.pace) { (tables) throws(CatalogError) in
            tables.reserve(bytes, leaving: backend, bytesPerSecond: bytesPerSecond, waitMax: waitMax)
        }
    }
    package func note(_ moved: MoveRate, leaving backend: BackendID) async throws(CatalogError) {
        try run(.pace) { (tables) throws(CatalogError) in tables.note(moved, leaving: backend) }
    }
}
