import Foundation
import Testing

/// `sluice rebalance` and `rebalance.threshold` on running servers.
@Suite("Rebalance", .serialized) struct RebalanceTests {
    private static let fill = """
        import sys, boto3, hashlib
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(40):
            s3.put_object(Bucket='photos', Key=f'k{i}', Body=hashlib.sha256(str(i).encode()).digest() * 320)
        """
    private static let check = """
        import sys, boto3, hashlib
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(40):
            assert s3.get_object(Bucket='photos', Key=f'k{i}')['Body'].read() == hashlib.sha256(str(i).encode()).digest() * 320, i
        """
    /// Copies by backend.
    private static let spread = """
        SELECT string_agg(n::text, ' ' ORDER BY name) FROM (
            SELECT b.name, count(c.id) AS n FROM backend b LEFT JOIN copy c ON c.backend_id = b.id AND c.state = 'live' GROUP BY 1) x
        """

    private func backends(_ fleet: Fleet, _ names: [String]) -> [Fleet.Backend] {
        var all = fleet.directories(names)
        for index in all.indices { all[index].location += "\nquota: 1MB" }
        return all
    }

    @Test func `a new backend gets its share when asked for, by whoever is there, and then it is over`() async throws {
        try await Fleet.run { fleet in
            try fleet.writeSpec(backends(fleet, ["disk1", "disk2"]))
            let server = try await fleet.serve()
            try await fleet.python(RebalanceTests.fill)
            try fleet.writeSpec(backends(fleet, ["disk1", "disk2", "disk3", "disk4"]))
            _ = try await eventually("the new backends take copies") {
                try await fleet.sql("SELECT count(*) FROM backend WHERE marked") == "4" ? true : nil
            }
            let plan = try await fleet.sluice("rebalance", "--dry-run")
            #expect(plan.output.contains("Rebalance: up to disk1 -> disk3 204.8 kB"), "\(plan.output)\(plan.errors)")
            #expect(try await fleet.sql(RebalanceTests.spread) == "40 40 0 0", "nothing moves unasked")

            let run = try await fleet.sluice("rebalance")
            #expect(run.status == 0 && run.output == "40 copies, 409.6 kB moved\n", "\(run.output)\(run.errors)")
            #expect(try await fleet.sql(RebalanceTests.spread) == "20 20 20 20")
            #expect(try await fleet.sluice("events").output.contains("Rebalanced"))
            let again = try await fleet.sluice("rebalance")
            #expect(again.output == "0 copies, 0 B moved\n", "\(again.output)\(again.errors)")
            try await fleet.python(RebalanceTests.check)
            try await Invariants.check(fleet)
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }

    @Test func `two servers keep to the threshold without moving anything back and forth`() async throws {
        try await Fleet.run { fleet in
            try fleet.writeSpec(backends(fleet, ["disk1", "disk2"]))
            let server = try await fleet.serve()
            let second = try fleet.launch([
                "SLUICE_LISTEN": "127.0.0.1:\(try freePort())", "SLUICE_ADMIN_LISTEN": "127.0.0.1:\(try freePort())",
            ])
            try await fleet.python(RebalanceTests.fill)
            try fleet.writeSpec(backends(fleet, ["disk1", "disk2", "disk3"]), rebalance: "{ threshold: 10% }")
            _ = try await eventually("the fleet is even") {
                let counts = try await fleet.sql(RebalanceTests.spread).split(separator: " ").compactMap { Int($0) }
                return counts.count == 3 && (counts.max() ?? 0) - (counts.min() ?? 99) <= 1 ? true : nil
            }
            // Each copy that moved is one doomed copy more; what went back and forth would be counted twice.
            let made = try await fleet.sql(
                "SELECT count(*) FROM copy WHERE created_at > (SELECT max(accepted_at) FROM spec_revision)")
            let rows = try await fleet.sql(
                "SELECT backend_id, state, count(*), max(last_error) FROM copy GROUP BY 1, 2 ORDER BY 1, 2")
            #expect(Int(made) ?? 99 <= 27, "\(made)\n\(rows)")
            try await fleet.python(RebalanceTests.check)
            for process in [server, second] {
                process.signal(SIGTERM)
                try await process.waitForExit()
            }
            try await Invariants.check(fleet)
        }
    }

    @Test func `a request waits for a drain, can be called off, and is no matter for pack`() async throws {
        try await Fleet.run { fleet in
            var wanted = backends(fleet, ["disk1", "disk2"])
            try fleet.writeSpec(wanted)
            let server = try await fleet.serve()
            try await fleet.python(RebalanceTests.fill)
            // Nowhere to go: it drains for ever.
            wanted[0].state = "draining"
            try fleet.writeSpec(wanted)
            _ = try await eventually("it drains") {
                try await fleet.sql("SELECT phase FROM backend WHERE name = 'disk1'") == "draining" ? true : nil
            }
            let refused = try await fleet.sluice("rebalance")
            #expect(
                refused.status == 3 && refused.errors.contains("it waits until"), "\(refused.output)\(refused.errors)")
            #expect(try await fleet.sluice("rebalance", "--cancel").errors.contains("Cancelled"))
            #expect(try await fleet.sluice("rebalance", "--cancel").errors.contains("No rebalancing was asked for"))
            let text = fleet.folder.read("specs/fleet.yaml")
            try fleet.folder.write(
                "specs/fleet.yaml",
                text.replacingOccurrences(
                    of: "replication:", with: "routing: pack\n  replication:"))
            let pack = try await fleet.sluice("rebalance")
            #expect(pack.status == 3 && pack.errors.contains("routing: pack"), "\(pack.errors)")
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }
}
