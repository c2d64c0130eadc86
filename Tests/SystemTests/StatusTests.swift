import Foundation
import Testing

/// What objects lack is said where operators look, and stays said until it is mended.
@Suite("Status of objects", .serialized) struct StatusTests {
    private static let fill = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(10):
            s3.put_object(Bucket='photos', Key='k%d' % i, Body=b'x' * 1000)
        """

    private func fleetSays(_ wanted: [String], _ fleet: Fleet) async throws {
        _ = try await eventually("status says \(wanted)", within: .seconds(45)) {
            let status = try await fleet.sluice("status").output
            return wanted.allSatisfy { status.contains($0) } ? true : nil
        }
    }

    private func ready(_ fleet: Fleet) async throws -> String {
        try await fleet.sql("SELECT status || ' ' || reason FROM condition WHERE kind = 'fleet' AND type = 'Ready'")
    }

    @Test func `copies that cannot be made, and objects that cannot be read, are named until that is mended`()
        async throws
    {
        try await Fleet.run { fleet in
            try fleet.writeSpec(fleet.directories(["disk1", "disk2"]))
            let server = try await fleet.serve()
            try await fleet.python(StatusTests.fill)
            try await fleetSays(["every object has its copies"], fleet)

            try fleet.writeSpec(fleet.directories(["disk1", "disk2"]), factor: 3)
            try await fleetSays(["fleet:", "bucket photos needs 3 backends, has 2", "photos/k0"], fleet)
            #expect(try await ready(fleet) == "False InsufficientTargets")
            let metrics = try httpGet(port: fleet.adminPort, path: "/metrics")
            #expect(metrics.contains("sluice_copies_missing 10\n"))
            try fleet.writeSpec(fleet.directories(["disk1", "disk2"]), factor: 2, trimDelay: "1h")
            try await fleetSays(["every object has its copies"], fleet)

            let files = FileManager.default
            for name in ["disk1", "disk2"] {
                let root = fleet.directory(name)
                let all = files.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
                for one in all where one.contains("/k3~") { try files.removeItem(atPath: root + "/" + one) }
            }
            _ = try await fleet.sluice("scrub")
            try await fleetSays(["every copy was found absent or damaged", "photos/k3"], fleet)
            #expect(try await ready(fleet) == "False SourceUnreadable")
            let plan = try await fleet.sluice("reconcile", "--dry-run")
            #expect(plan.status == 3 && plan.output.contains("SourceUnreadable"), "\(plan.output)")
            try await fleet.aws("s3", "rm", "s3://photos/k3")
            try await fleetSays(["every object has its copies"], fleet)

            // With nobody there, what is shown is old, and says so.
            try await Fleet.stop(server)
            #expect(!(try await fleet.sluice("status").output.contains("No server has been there")))
            _ = try await fleet.sql("UPDATE alive SET until = until - interval '2 minutes'")
            #expect(try await fleet.sluice("status").output.contains("No server has been there for 2m"))
        }
    }

    @Test func `a disk that is away is said in the plan, and waited for across a restart`() async throws {
        try await Fleet.run { fleet in
            try fleet.writeSpec(fleet.directories(), factor: 2)
            var server = try await fleet.serve()
            try await fleet.python(StatusTests.fill)
            let (path, away) = (fleet.directory("disk1"), fleet.directory("disk1") + ".away")
            #expect(rename(path, away) == 0)
            _ = try await eventually("it is noticed", within: .seconds(30)) {
                let row =
                    "SELECT status FROM condition WHERE kind = 'backend' AND name = 'disk1' AND type = 'Identified'"
                return try await fleet.sql(row) == "True" ? nil : true
            }
            let since = """
                SELECT last_transition_at FROM condition WHERE kind = 'backend' AND name = 'disk1' AND type = 'Identified'
                """
            let before = try await fleet.sql(since)
            let plan = try await fleet.sluice("reconcile", "--dry-run")
            #expect(plan.output.contains("! backend/disk1") && plan.output.contains("after 10m"), "\(plan.output)")
            #expect(plan.output.contains("0 copies to make"), "\(plan.output)")
            server.signal(SIGKILL)
            try await server.waitForExit()
            server = try await fleet.serve()
            #expect(try await fleet.sql(since) == before)
            _ = try await fleet.sql(
                "UPDATE condition SET last_transition_at = last_transition_at - interval '11 minutes' WHERE name = 'disk1'"
            )
            _ = try await eventually("its copies are made anew", within: .seconds(30)) {
                let short = """
                    SELECT count(*) FROM object o WHERE (SELECT count(*) FROM copy c JOIN backend b ON b.id = c.backend_id
                        WHERE c.version_id = o.current_version AND c.state = 'live' AND b.name <> 'disk1') < 2
                    """
                return try await fleet.sql(short) == "0" ? true : nil
            }
            #expect(rename(away, path) == 0)
            try await Fleet.stop(server)
        }
    }
}
