import Foundation
import Testing

/// The table of edits (DESIGN §4), each on a running server.
@Suite("Edits of the spec", .serialized) struct EditsTests {
    static let fill = """
        import sys, boto3, hashlib
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(30):
            s3.put_object(Bucket='photos', Key=f'k{i}', Body=hashlib.sha256(str(i).encode()).digest() * (i + 1))
        """
    static let check = """
        import sys, boto3, hashlib
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(30):
            assert s3.get_object(Bucket='photos', Key=f'k{i}')['Body'].read() == hashlib.sha256(str(i).encode()).digest() * (i + 1), i
        """

    private func copies(_ fleet: Fleet, are wanted: String) async throws {
        var seen = ""
        do {
            _ = try await eventually("copies per object are \(wanted)") {
                seen = try await fleet.sql(Invariants.copiesPerObject)
                return seen == wanted ? true : nil
            }
        } catch { throw Failure("\(error); last seen: \(seen)\n\(fleet.read("serve.log").suffix(3000))") }
    }

    @Test func `a higher factor adds copies, a lower one drops them after the trim delay`() async throws {
        try await Fleet.run { fleet in
            try fleet.writeSpec(fleet.directories())
            let server = try await fleet.serve()
            try await fleet.python(EditsTests.fill)
            try fleet.writeSpec(fleet.directories(), factor: 3)
            try await copies(fleet, are: "30|3|3")

            try fleet.writeSpec(fleet.directories(), factor: 2, trimDelay: "24h")
            _ = try await eventually("the plan names the surplus") {
                try await fleet.sluice("reconcile", "--dry-run").output.contains("30 surplus copies") ? true : nil
            }
            #expect(try await fleet.sql(Invariants.copiesPerObject) == "30|3|3", "not before the delay")
            try fleet.writeSpec(fleet.directories(), factor: 2, trimDelay: "0s")
            try await copies(fleet, are: "30|2|2")
            try await fleet.python(EditsTests.check)
            _ = try await eventually("the surplus files are gone") {
                try await fleet.sql("SELECT count(*) FROM copy WHERE state = 'doomed'") == "0" ? true : nil
            }
            try await Invariants.check(fleet)
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }

    @Test func `a server whose files are older than what another accepted leaves the reconciling to it`() async throws {
        try await Fleet.run { fleet in
            try fleet.writeSpec(fleet.directories())
            let server = try await fleet.serve()
            try await fleet.python(EditsTests.fill)
            // Another place has newer files, as during the rollout of a ConfigMap.
            var edited = fleet.directories()
            edited[0].state = "draining"
            server.signal(SIGSTOP)
            try fleet.writeSpec(edited)
            let newer = fleet.read("specs/fleet.yaml")
            try fleet.folder.write("elsewhere/fleet.yaml", newer)
            try fleet.writeSpec(fleet.directories())
            server.signal(SIGCONT)
            let accepted = try await fleet.sluice(
                "reconcile", environment: ["SLUICE_SPEC": fleet.folder.path + "/elsewhere"])
            #expect(accepted.status == 0, "\(accepted.errors)")
            _ = try await eventually("the server stands by") {
                try await fleet.sluice("events").output.contains("StaleSpec") ? true : nil
            }
            #expect(
                try await fleet.sql("SELECT phase FROM backend WHERE name = 'disk1'") == "drained",
                "the older files undo nothing")
            try await fleet.python(EditsTests.check)
            // Once its files are the newer ones, it goes on.
            try fleet.folder.write("specs/fleet.yaml", newer)
            _ = try await eventually("the spec is accepted everywhere") {
                fleet.read("serve.log").components(separatedBy: "spec accepted").count > 1 ? true : nil
            }
            // Broken files are said in the status, and change nothing.
            try fleet.folder.write("specs/fleet.yaml", newer + "\n  broken")
            _ = try await eventually("the status says so") {
                try await fleet.sluice("status").output.contains("SpecAccepted=False SpecRejected") ? true : nil
            }
            try fleet.folder.write("specs/fleet.yaml", newer)
            _ = try await eventually("the status is clean again") {
                try await fleet.sluice("status").output.contains("SpecAccepted=False") ? nil : true
            }
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }

    @Test func `a protected backend is not removed, an undeclared one is kept, and a spec without backends is refused`()
        async throws
    {
        try await Fleet.run { fleet in
            var backends = fleet.directories()
            try fleet.writeSpec(backends)
            let server = try await fleet.serve()
            try await fleet.python(EditsTests.fill)

            backends[0].state = "removed"
            backends[0].location += "\ndeletionProtection: true"
            try fleet.writeSpec(backends)
            _ = try await eventually("the plan is blocked") {
                let plan = try await fleet.sluice("reconcile", "--dry-run")
                return plan.status == 3 && plan.output.contains("DeletionProtected") ? true : nil
            }
            #expect(try await fleet.sql("SELECT phase FROM backend WHERE name = 'disk1'") == "active")

            try fleet.writeSpec(Array(fleet.directories().dropFirst()))
            _ = try await eventually("disk1 is undeclared") {
                try await fleet.sluice("status").output.contains("undeclared") ? true : nil
            }
            // Its copies stay where they are, and are made up for.
            let live = try await fleet.sql(
                "SELECT count(*) FROM copy c JOIN backend b ON b.id = c.backend_id WHERE b.name = 'disk1' AND c.state = 'live'"
            )
            _ = try await eventually("each object has two copies elsewhere") {
                let least = try await fleet.sql(
                    """
                    SELECT min(n) FROM (SELECT count(b.id) n FROM object o
                        LEFT JOIN copy c ON c.version_id = o.current_version AND c.state = 'live'
                        LEFT JOIN backend b ON b.id = c.backend_id AND b.name <> 'disk1' GROUP BY o.key) x
                    """)
                return least == "2" ? true : nil
            }
            let after = try await fleet.sql(
                "SELECT count(*) FROM copy c JOIN backend b ON b.id = c.backend_id WHERE b.name = 'disk1' AND c.state = 'live'"
            )
            #expect(live == after && live != "0", "an undeclared backend is read-only")
            try await fleet.python(EditsTests.check)

            let revision = try await fleet.sql("SELECT max(revision) FROM spec_revision")
            try fleet.writeSpec([])
            let refused = try await fleet.sluice("validate")
            #expect(refused.status == 5, "\(refused.output)\(refused.errors)")
            _ = try await eventually("the server says so") { fleet.read("serve.log").contains("spec") ? true : nil }
            #expect(try await fleet.sql("SELECT max(revision) FROM spec_revision") == revision)
            try await fleet.python(EditsTests.check)
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }
}

extension Fleet {
    fileprivate func read(_ name: String) -> String { folder.read(name) }
}
