import Foundation
import Testing

/// A month that is used up: writes go to other backends, reads to other copies.
@Suite("Monthly usage", .serialized) struct UsageTests {
    private static let put = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(int(sys.argv[3])):
            s3.put_object(Bucket='photos', Key='%s/%d' % (sys.argv[2], i), Body=b'x' * 5000)
        """
    private static let get = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(int(sys.argv[3])):
            assert s3.get_object(Bucket='photos', Key='%s/%d' % (sys.argv[2], i))['Body'].read() == b'x' * 5000
        """

    private func egress(_ fleet: Fleet) async throws -> Int {
        Int(
            try await fleet.sql(
                "SELECT egress FROM backend_month WHERE backend_id = (SELECT id FROM backend WHERE name = 'disk1')"))
            ?? 0
    }

    private func allEgress(_ fleet: Fleet) async throws -> Int {
        Int(try await fleet.sql("SELECT coalesce(sum(egress), 0) FROM backend_month")) ?? 0
    }

    @Test func `a used up month sends writes and reads elsewhere, and says so`() async throws {
        let fleet = try await Fleet()
        do { try await run(fleet) } catch {
            try await fleet.close()
            throw error
        }
        try await fleet.close()
    }

    private func run(_ fleet: Fleet) async throws {
        var backends = fleet.directories()
        let plain = backends[0].location
        backends[0].location = plain + "\nusageLimits: { ingress: 50kB }"
        try fleet.writeSpec(backends)
        let server = try await fleet.serve()
        try await fleet.python(UsageTests.put, "early", "30")
        let waited = try await fleet.sluice(
            "wait", "--for=condition=WithinUsage=False", "backend/disk1", "--timeout", "30s")
        #expect(waited.status == 0, "\(waited.errors)")
        _ = try await eventually("the gateway goes by it") { () -> Bool? in
            let before = try await fleet.sql(
                "SELECT count(*) FROM copy c JOIN backend b ON b.id = c.backend_id WHERE b.name = 'disk1'")
            try await fleet.python(UsageTests.put, "probe", "1")
            let after = try await fleet.sql(
                "SELECT count(*) FROM copy c JOIN backend b ON b.id = c.backend_id WHERE b.name = 'disk1'")
            return before == after ? true : nil
        }
        try await fleet.python(UsageTests.put, "late", "10")
        #expect(
            try await fleet.sql(
                """
                SELECT string_agg(DISTINCT b.name, ',' ORDER BY b.name) FROM copy c JOIN backend b ON b.id = c.backend_id
                JOIN version v ON v.id = c.version_id WHERE v.key LIKE 'late/%'
                """) == "disk2,disk3")
        let status = try await fleet.sluice("status")
        #expect(status.output.contains("disk1: this month") && status.output.contains("OverUsage"), "\(status.output)")

        // Reads: once 20 kB were read from it, it is spared while others have a copy.
        backends[0].location = plain + "\nusageLimits: { egress: 20kB }"
        try fleet.writeSpec(backends)
        _ = try await eventually("its egress is used up", within: .seconds(30)) { () -> Bool? in
            try await fleet.python(UsageTests.get, "early", "30")
            return try await egress(fleet) >= 20_000 ? true : nil
        }
        _ = try await eventually("reads spare it", within: .seconds(30)) { () -> Bool? in
            let (before, all) = (try await egress(fleet), try await allEgress(fleet))
            try await fleet.python(UsageTests.get, "early", "30")
            _ = try await eventually("the reads are counted") { () -> Bool? in
                try await allEgress(fleet) - all >= 150_000 ? true : nil
            }
            // The marker is read by each pass; objects are 5,000 bytes each.
            return try await egress(fleet) - before < 5_000 ? true : nil
        }
        // What only it has is read from it all the same.
        for name in ["disk2", "disk3"] { rename(fleet.directory(name), fleet.directory(name) + "-away") }
        let sole = try await fleet.sql(
            """
            SELECT substr(v.key, 7) FROM copy c JOIN backend b ON b.id = c.backend_id JOIN version v ON v.id = c.version_id
            WHERE b.name = 'disk1' AND v.key LIKE 'early/%' LIMIT 1
            """)
        #expect(!sole.isEmpty)
        let body = try await fleet.aws("s3", "cp", "s3://photos/early/\(sole)", "-")
        #expect(body.count == 5000)
        for name in ["disk2", "disk3"] { rename(fleet.directory(name) + "-away", fleet.directory(name)) }
        server.signal(SIGTERM)
        try await server.waitForExit()
    }
}
