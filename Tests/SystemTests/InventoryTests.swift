import Foundation
import Testing

/// What a crash of Postgres can leave behind: bytes whose intent is lost. They go after their quarantine, and nothing else does.
@Suite("Inventory", .serialized) struct InventoryTests {
    /// Takes away the rows of a key as if their transactions had never been written to disk.
    private static func lose(_ key: String) -> String {
        """
        BEGIN;
        ALTER TABLE copy DISABLE TRIGGER USER;
        UPDATE backend_usage u SET live_copies = u.live_copies - 1, live_bytes = u.live_bytes - c.bytes
        FROM copy c JOIN version v ON v.id = c.version_id
        WHERE v.key = '\(key)' AND u.backend_id = c.backend_id AND u.stripe = get_byte(uuid_send(c.id), 15) & 31;
        DELETE FROM copy c USING version v WHERE v.id = c.version_id AND v.key = '\(key)';
        DELETE FROM version WHERE key = '\(key)';
        DELETE FROM object WHERE key = '\(key)';
        ALTER TABLE copy ENABLE TRIGGER USER;
        COMMIT
        """
    }

    private static let fill = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for key in ['kept', 'lost/1', 'lost/2'] + ['k%d' % i for i in range(20)]:
            s3.put_object(Bucket='photos', Key=key, Body=key.encode() * 500)
        upload = s3.create_multipart_upload(Bucket='photos', Key='open')['UploadId']
        s3.upload_part(Bucket='photos', Key='open', UploadId=upload, PartNumber=1, Body=b'p' * 1000)
        """

    private static let check = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for key in ['kept'] + ['k%d' % i for i in range(20)]:
            assert s3.get_object(Bucket='photos', Key=key)['Body'].read() == key.encode() * 500, key
        assert len(s3.list_multipart_uploads(Bucket='photos')['Uploads']) == 1
        """

    private func files(_ fleet: Fleet, _ part: String) -> [String] {
        ["disk1", "disk2"].flatMap { name in
            let root = fleet.directory(name)
            let all = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
            return all.filter { $0.contains(part) && !$0.hasSuffix("~meta") }.map { root + "/" + $0 }
        }
    }

    @Test func `a scrub finds what was damaged or lost on a disk, and repair makes it anew`() async throws {
        let fleet = try await Fleet()
        do { try await scrub(fleet) } catch {
            try await fleet.close()
            throw error
        }
        try await fleet.close()
    }

    private func scrub(_ fleet: Fleet) async throws {
        try fleet.writeSpec(fleet.directories(["disk1", "disk2"]))
        let server = try await fleet.serve()
        try await fleet.python(InventoryTests.fill)
        let clean = try await fleet.sluice("scrub")
        #expect(clean.status == 0, "\(clean.errors)")
        #expect(clean.output.contains("disk1: 23 copies") && clean.output.contains("0 damaged"), "\(clean.output)")

        let damaged = try #require(files(fleet, "/k3~").first { $0.contains("disk1") })
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: damaged))
        try handle.seek(toOffset: 100)
        try handle.write(contentsOf: Data("X".utf8))
        try handle.close()
        try FileManager.default.removeItem(atPath: try #require(files(fleet, "/k4~").first { $0.contains("disk2") }))
        let found = try await fleet.sluice("scrub")
        #expect(found.status == 1, "\(found.errors)")
        #expect(found.output.contains("disk1: 23 copies, ") && found.output.contains("1 damaged"), "\(found.output)")
        _ = try await eventually("the copies are made anew", within: .seconds(60)) {
            let bad = try await fleet.sql("SELECT count(*) FROM copy WHERE suspect AND state = 'live'")
            let copies = try await fleet.sql(Invariants.copiesPerObject)
            return bad == "0" && copies == "23|2|2" ? true : nil
        }
        let after = try await fleet.sluice("scrub", "disk1")
        #expect(after.status == 0 && after.output.contains("23 copies"), "\(after.output)\(after.errors)")
        #expect(try await fleet.sluice("scrub", "nothing").status == 1)
        try await fleet.python(InventoryTests.check)
        server.signal(SIGTERM)
        try await server.waitForExit()
    }

    @Test(arguments: ["", "after-orphan-doom:1"])
    func `orphans go after their quarantine, and what is not ours or has a row stays`(point: String) async throws {
        let fleet = try await Fleet()
        do { try await run(fleet, point) } catch {
            try await fleet.close()
            throw error
        }
        try await fleet.close()
    }

    private func run(_ fleet: Fleet, _ point: String) async throws {
        let backends = fleet.directories(["disk1", "disk2"])
        try fleet.writeSpec(backends, orphanQuarantine: "1h")
        var server = try await fleet.serve(point.isEmpty ? [:] : ["SLUICE_CRASH_AT": point])
        try await fleet.python(InventoryTests.fill)
        for key in ["lost/1", "lost/2"] { _ = try await fleet.sql(InventoryTests.lose(key)) }
        let lost = files(fleet, "/lost/")
        #expect(lost.count == 4)
        // Somebody's file under a name such as ours, whose description is of another object.
        let kept = try #require(files(fleet, "/kept~").first)
        let impostor = kept.replacingOccurrences(of: "/kept~", with: "/imposed~")
        try FileManager.default.copyItem(atPath: kept, toPath: impostor)
        if FileManager.default.fileExists(atPath: kept + "~meta") {
            try FileManager.default.copyItem(atPath: kept + "~meta", toPath: impostor + "~meta")
        }
        let stranger = fleet.directory("disk1") + "/sluice/photos/somebody-elses.txt"
        try Data("keep me".utf8).write(to: URL(fileURLWithPath: stranger))

        // With an hour of quarantine they are found, and kept.
        _ = try await fleet.sql("UPDATE inventory SET started_at = '-infinity'")
        _ = try await eventually("the orphans are found", within: .seconds(30)) {
            try await fleet.sql("SELECT count(*) FROM orphan") == "5" ? true : nil
        }
        #expect(files(fleet, "/lost/").count == 4)
        let overview = try await fleet.sluice("inventory")
        #expect(overview.status == 0 && overview.output.contains("orphans"), "\(overview.output)\(overview.errors)")
        let listed = try await fleet.sluice("inventory", "disk1")
        #expect(listed.output.contains("lost/1~") && listed.output.contains("object"), "\(listed.output)")
        #expect(try await fleet.sluice("events").output.contains("OrphansFound"))

        try fleet.writeSpec(backends, orphanQuarantine: "2s")
        if !point.isEmpty {
            #expect(try await server.waitForExit() == 128 + SIGKILL)
            server = try await fleet.serve()
            _ = try await fleet.sql("UPDATE inventory SET lease_until = '-infinity'")
        }
        _ = try await eventually("the orphans are gone", within: .seconds(60)) {
            files(fleet, "/lost/").isEmpty ? true : nil
        }
        _ = try await eventually("the impostor is known as foreign", within: .seconds(30)) {
            try await fleet.sluice("inventory").output.contains("1 foreign, left alone") ? true : nil
        }
        #expect(FileManager.default.fileExists(atPath: impostor))
        #expect(try String(contentsOf: URL(fileURLWithPath: stranger), encoding: .utf8) == "keep me")
        try await fleet.python(InventoryTests.check)
        _ = try await eventually("the rows of the deleted are forgotten") {
            try await fleet.sql("SELECT count(*) FROM copy WHERE state = 'doomed'") == "0" ? true : nil
        }
        try await Invariants.check(fleet)
        #expect(try await fleet.sluice("events").output.contains("OrphansRemoved"))
        server.signal(SIGTERM)
        try await server.waitForExit()
    }
}
