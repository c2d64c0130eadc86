import Foundation
import Testing

/// The invariants of DESIGN §6 that can be read off the catalog and the backends, checked after faults.
enum Invariants {
    /// Objects, and the least and most live copies that one has.
    static let copiesPerObject = """
        SELECT count(*), min(n), max(n) FROM (
            SELECT count(c.id) n FROM object o JOIN version v ON v.id = o.current_version
            LEFT JOIN copy c ON c.version_id = v.id AND c.state = 'live' GROUP BY v.id) x
        """

    static func check(_ fleet: Fleet, _ location: SourceLocation = #_sourceLocation) async throws {
        let drift = try await fleet.sql(
            """
            SELECT count(*) FROM (
                SELECT backend_id, sum(writing_copies) wc, sum(writing_bytes) wb, sum(live_copies) lc, sum(live_bytes) lb,
                    sum(doomed_copies) dc, sum(doomed_bytes) db FROM backend_usage GROUP BY 1) u
            FULL JOIN (
                SELECT backend_id, count(*) FILTER (WHERE state = 'writing') wc, coalesce(sum(bytes) FILTER (WHERE state = 'writing'), 0) wb,
                    count(*) FILTER (WHERE state = 'live') lc, coalesce(sum(bytes) FILTER (WHERE state = 'live'), 0) lb,
                    count(*) FILTER (WHERE state = 'doomed') dc, coalesce(sum(bytes) FILTER (WHERE state = 'doomed'), 0) db
                FROM copy GROUP BY 1) c USING (backend_id)
            WHERE (coalesce(u.wc,0), coalesce(u.wb,0), coalesce(u.lc,0), coalesce(u.lb,0), coalesce(u.dc,0), coalesce(u.db,0))
                IS DISTINCT FROM (coalesce(c.wc,0), coalesce(c.wb,0), coalesce(c.lc,0), coalesce(c.lb,0), coalesce(c.dc,0), coalesce(c.db,0))
            """)
        #expect(drift == "0", "counters differ from rows", sourceLocation: location)
        let lost = try await fleet.sql(
            """
            SELECT count(*) FROM object o JOIN version v ON v.id = o.current_version
            WHERE NOT EXISTS (SELECT 1 FROM copy c WHERE c.version_id = v.id AND c.state = 'live' AND NOT c.suspect)
            """)
        #expect(lost == "0", "an object has no copy", sourceLocation: location)
    }

    /// Every file below the directory backends is named by a row, and every live row has its file.
    static func checkFiles(_ fleet: Fleet, _ names: [String], _ location: SourceLocation = #_sourceLocation)
        async throws
    {
        for name in names {
            let root = fleet.directory(name)
            let files = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
            var isFolder: ObjCBool = false
            let stored = Set(
                files.filter { file in
                    FileManager.default.fileExists(atPath: root + "/" + file, isDirectory: &isFolder)
                        && !isFolder.boolValue
                        && !file.hasSuffix("~meta") && !file.contains(".sluice")
                })
            let rows = try await fleet.sql(
                "SELECT c.physical_key FROM copy c JOIN backend b ON b.id = c.backend_id WHERE b.name = '\(name)' AND c.state <> 'gone'"
            )
            let named = Set(rows.split(separator: "\n").map(String.init))
            #expect(stored.subtracting(named).isEmpty, "bytes that no row names on \(name)", sourceLocation: location)
            let live = try await fleet.sql(
                "SELECT c.physical_key FROM copy c JOIN backend b ON b.id = c.backend_id WHERE b.name = '\(name)' AND c.state = 'live'"
            )
            let missing = Set(live.split(separator: "\n").map(String.init)).subtracting(stored)
            #expect(missing.isEmpty, "live rows without bytes on \(name)", sourceLocation: location)
        }
    }
}
