import Foundation
import Testing

/// What keeps the reconciler from going as fast as it could: bandwidth and window of a drain, the ceiling on drops.
@Suite("Pace of movement", .serialized) struct PaceTests {
    private static let fill = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(24):
            s3.put_object(Bucket='photos', Key=f'k{i}', Body=bytes([i]) * 100_000)
        """
    private static let left = """
        SELECT count(*) FROM copy c JOIN backend b ON b.id = c.backend_id WHERE b.name = 'disk1' AND c.state = 'live'
        """

    /// disk1 drains under `policy`; copies go to two others.
    private func draining(_ fleet: Fleet, _ policy: String) -> [Fleet.Backend] {
        var backends = fleet.directories()
        backends[0].state = "draining"
        backends[0].location += "\ndrain: \(policy)"
        return backends
    }

    /// All 24 objects have a copy on disk1.
    private func filled(_ fleet: Fleet) async throws -> Subprocess {
        var backends = fleet.directories()
        backends[2].location += "\nquota: 1B"
        try fleet.writeSpec(backends)
        let server = try await fleet.serve()
        try await fleet.python(PaceTests.fill)
        #expect(try await fleet.sql(PaceTests.left) == "24")
        return server
    }

    @Test func `a drain keeps to its bandwidth, and stops within moments when it is called off`() async throws {
        try await Fleet.run { fleet in
            let server = try await filled(fleet)
            let clock = ContinuousClock()
            let began = clock.now
            try fleet.writeSpec(draining(fleet, "{ bandwidth: 400kB/s }"))
            _ = try await eventually("half of it has moved") {
                Int(try await fleet.sql(PaceTests.left)) ?? 24 <= 12 ? true : nil
            }
            // Twelve copies of 100 kB at 400 kB/s; the first need not wait.
            #expect(clock.now - began > .seconds(2.5))
            let plan = try await fleet.sluice("reconcile", "--dry-run")
            #expect(plan.output.contains("with the limit of 400.0 kB/s"), "\(plan.output)")
            try fleet.writeSpec(fleet.directories())
            _ = try await eventually("the drain is called off") {
                try await fleet.sql("SELECT phase FROM backend WHERE name = 'disk1'") == "active" ? true : nil
            }
            let left = try await fleet.sql(PaceTests.left)
            #expect(Int(left) ?? 0 >= 4, "\(left)")
            try fleet.writeSpec(draining(fleet, "{ bandwidth: unlimited }"))
            _ = try await eventually("the rest moves at once") {
                try await fleet.sql(PaceTests.left) == "0" ? true : nil
            }
            try await Invariants.check(fleet)
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }

    @Test func `a drain waits for its window, and says so`() async throws {
        try await Fleet.run { fleet in
            let server = try await filled(fleet)
            let now = Int(Date().timeIntervalSince1970) / 60
            func time(_ minutes: Int) -> String {
                String(format: "\"%02d:%02d\"", (now + minutes) / 60 % 24, (now + minutes) % 60)
            }
            let closed = "{ window: { start: \(time(120)), end: \(time(180)) } }"
            try fleet.writeSpec(draining(fleet, closed))
            _ = try await eventually("it says what it waits for") {
                try await fleet.sluice("status").output.contains("Stalled=True OutsideWindow") ? true : nil
            }
            #expect(try await fleet.sql(PaceTests.left) == "24")
            let run = try await fleet.sluice("reconcile")
            #expect(run.status == 3 && run.errors.contains("OutsideWindow"), "\(run.output)\(run.errors)")
            #expect(try await fleet.sql(PaceTests.left) == "24")
            let open = "{ window: { start: \(time(-60)), end: \(time(60)) } }"
            try fleet.writeSpec(draining(fleet, open))
            _ = try await eventually("it has drained") { try await fleet.sql(PaceTests.left) == "0" ? true : nil }
            try await Invariants.check(fleet)
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }

    @Test func `no more copies are dropped in an hour than the ceiling allows, by two servers together`() async throws {
        try await Fleet.run { fleet in
            let server = try await filled(fleet)
            let second = try fleet.launch([
                "SLUICE_LISTEN": "127.0.0.1:\(try freePort())", "SLUICE_ADMIN_LISTEN": "127.0.0.1:\(try freePort())",
            ])
            try fleet.writeSpec(draining(fleet, "{}"), maxDeletionsPerHour: 7)
            _ = try await eventually("the ceiling is reached, and shown") {
                try await fleet.sluice("status").output.contains("DeletesHealthy=False DeletionCeiling") ? true : nil
            }
            #expect(try await fleet.sql(PaceTests.left) == "17")
            #expect(try await fleet.sql("SELECT sum(copies) FROM dropped_minute") == "7")
            // What waits is whole in its new place, too.
            try await Invariants.check(fleet)
            try fleet.writeSpec(draining(fleet, "{}"), maxDeletionsPerHour: 100)
            _ = try await eventually("the rest goes") {
                try await fleet.sql(PaceTests.left) == "0" ? true : nil
            }
            for process in [server, second] {
                process.signal(SIGTERM)
                try await process.waitForExit()
            }
            try await Invariants.check(fleet)
        }
    }
}
