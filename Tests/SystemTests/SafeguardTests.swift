import Foundation
import Testing

/// A database that went back in time must not cost data: what it does not know may be all that is left.
@Suite("Safeguard", .serialized) struct SafeguardTests {
    private static let fill = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(10):
            s3.put_object(Bucket='photos', Key='k%d' % i, Body=b'first' * 500)
        """
    private static let onlyNew = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(5):
            s3.put_object(Bucket='photos', Key='new%d' % i, Body=b'new' * 500)
        """
    private static let goOn = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(5):
            s3.put_object(Bucket='photos', Key='k%d' % i, Body=b'second' * 500)
            s3.put_object(Bucket='photos', Key='new%d' % i, Body=b'new' * 500)
        s3.delete_object(Bucket='photos', Key='k5')
        """

    private func stop(_ server: Subprocess) async throws {
        server.signal(SIGTERM)
        try await server.waitForExit()
    }

    private func shell(_ arguments: String...) async throws {
        let result = try await Subprocess.run(arguments)
        guard result.status == 0 else { throw Failure("\(arguments): \(result.errors)") }
    }

    private func files(_ fleet: Fleet, _ part: String) -> Int {
        ["disk1", "disk2"].reduce(0) { sum, name in
            let all = FileManager.default.enumerator(atPath: fleet.directory(name))?.compactMap { $0 as? String } ?? []
            return sum + all.count { $0.contains(part) && !$0.hasSuffix("~meta") }
        }
    }

    private func token(_ fleet: Fleet) async throws -> String {
        let text = try await eventually("the status shows the token", within: .seconds(30)) { () -> String? in
            let status = try await fleet.sluice("status").output
            return status.contains("CatalogRewound") && status.contains("confirm-catalog") ? status : nil
        }
        let words = text.split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init)
        let place = try #require(words.firstIndex(of: "confirm-catalog"))
        return words[place + 1]
    }

    @Test func `a catalog restored from a backup drops and deletes nothing until it is confirmed`() async throws {
        try await Fleet.run { fleet in
            let backends = fleet.directories(["disk1", "disk2"])
            try fleet.writeSpec(backends, orphanQuarantine: "2s")
            var server = try await fleet.serve()
            try await fleet.python(SafeguardTests.fill)
            try await stop(server)
            let data = fleet.folder.path + "/pg/data"
            try await fleet.close()
            try await shell("cp", "-a", data, data + "-backup")
            try await fleet.startPostgres()

            server = try await fleet.serve()
            try await fleet.python(SafeguardTests.goOn)
            _ = try await eventually("the old copies are deleted", within: .seconds(30)) {
                try await fleet.sql("SELECT count(*) FROM copy WHERE state = 'doomed'") == "0" ? true : nil
            }
            #expect(files(fleet, "/new") == 10)
            try await stop(server)
            try await fleet.close()
            try await shell("rm", "-rf", data)
            try await shell("mv", data + "-backup", data)
            try await fleet.startPostgres()

            // Also before any pass has written the halt down.
            let plan = try await fleet.sluice("reconcile", "--dry-run")
            #expect(plan.status == 3 && plan.output.contains("CatalogRewound"), "\(plan.output)\(plan.errors)")
            server = try await fleet.serve()
            let token = try await token(fleet)
            // To this catalog the new objects are orphans, long due.
            let round = try await eventually("the orphans are due", within: .seconds(60)) { () -> Int? in
                let due = try await fleet.sql(
                    "SELECT count(*) FROM orphan WHERE sightings >= 2 AND first_seen < clock_timestamp() - interval '2s'"
                )
                return Int(due) ?? 0 >= 10 ? Int(try await fleet.sql("SELECT min(round) FROM inventory")) : nil
            }
            _ = try await eventually("two more rounds", within: .seconds(60)) {
                try await fleet.sql("SELECT min(round) >= \(round + 2) FROM inventory") == "t" ? true : nil
            }
            #expect(files(fleet, "/new") == 10, "nothing was deleted")
            #expect(try await fleet.sql("SELECT count(*) FROM copy WHERE state = 'doomed'") == "0")
            #expect(try await fleet.sluice("confirm-catalog", "guessed").status == 3)
            let confirmed = try await fleet.sluice("confirm-catalog", token)
            #expect(confirmed.status == 0, "\(confirmed.errors)")
            _ = try await eventually("the orphans go now", within: .seconds(60)) {
                files(fleet, "/new") == 0 ? true : nil
            }
            #expect(try await fleet.sluice("status").output.contains("CatalogRewound") == false)
            try await Invariants.check(fleet)
            try await stop(server)
        }
    }

    /// Nothing was deleted meanwhile, so that no marker tells; and the restore was quick.
    @Test func `objects from a time that the catalog does not know stop the deletion`() async throws {
        try await Fleet.run { fleet in
            try fleet.writeSpec(fleet.directories(["disk1", "disk2"]), orphanQuarantine: "2s")
            var server = try await fleet.serve()
            try await fleet.python(SafeguardTests.fill)
            try await stop(server)
            // As if the catalog had been silent for longer before its backup than it ever is.
            _ = try await fleet.sql("UPDATE alive SET until = until - interval '1 minute'")
            let data = fleet.folder.path + "/pg/data"
            try await fleet.close()
            try await shell("cp", "-a", data, data + "-backup")
            try await fleet.startPostgres()
            server = try await fleet.serve()
            try await fleet.python(SafeguardTests.onlyNew)
            try await stop(server)
            try await fleet.close()
            try await shell("rm", "-rf", data)
            try await shell("mv", data + "-backup", data)
            try await fleet.startPostgres()

            server = try await fleet.serve()
            let token = try await token(fleet)
            #expect(try await fleet.sluice("status").output.contains("of that time the catalog knows nothing"))
            #expect(files(fleet, "/new") == 10)
            #expect(try await fleet.sluice("confirm-catalog", token).status == 0)
            _ = try await eventually("the orphans go now", within: .seconds(60)) {
                files(fleet, "/new") == 0 ? true : nil
            }
            try await stop(server)
        }
    }

    @Test func `a promoted Postgres is another until it is confirmed`() async throws {
        try await Fleet.run { fleet in
            let backends = fleet.directories(["disk1", "disk2"])
            try fleet.writeSpec(backends)
            var server = try await fleet.serve()
            try await fleet.python(SafeguardTests.fill)
            try await stop(server)
            try await fleet.close()
            // Archive recovery without an archive: it ends at once, on a timeline of its own.
            let data = fleet.folder.path + "/pg/data"
            let setting = try FileHandle(forWritingTo: URL(fileURLWithPath: data + "/postgresql.auto.conf"))
            try setting.seekToEnd()
            try setting.write(contentsOf: Data("restore_command = '/bin/false'\n".utf8))
            try setting.close()
            try Data().write(to: URL(fileURLWithPath: data + "/recovery.signal"))
            try await fleet.startPostgres()
            _ = try await eventually("the recovery is over") {
                try await fleet.sql("SELECT pg_is_in_recovery()") == "f" ? true : nil
            }

            server = try await fleet.serve()
            let token = try await token(fleet)
            try await fleet.python(SafeguardTests.goOn)
            #expect(try await fleet.sluice("events").output.contains("timeline 00000002"))
            #expect(files(fleet, "/k5~") == 2, "deleted by a client, and its bytes stay for now")
            #expect(try await fleet.sluice("confirm-catalog", token).status == 0)
            _ = try await eventually("the bytes go", within: .seconds(30)) { files(fleet, "/k5~") == 0 ? true : nil }
            try await Invariants.check(fleet)
            try await stop(server)
        }
    }
}
