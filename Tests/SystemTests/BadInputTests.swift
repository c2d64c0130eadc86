import Foundation
import Testing

/// Each mistake gives one clear sentence, and changes nothing.
@Suite("Bad input", .serialized) struct BadInputTests {
    @Test func `a broken spec is refused with place and hint, and the accepted one stays in force`() async throws {
        let fleet = try await Fleet()
        try fleet.writeSpec(fleet.directories())
        let server = try await fleet.serve()
        let revision = try await fleet.sql("SELECT max(revision) FROM spec_revision")
        let good = fleet.folder.read("specs/fleet.yaml")
        try fleet.folder.write("specs/fleet.yaml", good.replacingOccurrences(of: "state: active", with: "stat: active"))
        let validated = try await fleet.sluice("validate")
        #expect(validated.status == 5)
        #expect(validated.errors.contains("error: unknown field \"stat\" in Backend.spec"))
        #expect(validated.errors.contains("did you mean \"state\"?"))
        _ = try await eventually("the server reports the rejected spec") {
            fleet.folder.read("serve.log").contains("spec rejected, the accepted one stays in force") ? true : nil
        }
        #expect(try await fleet.sql("SELECT max(revision) FROM spec_revision") == revision)
        try await fleet.aws("s3", "ls", "s3://photos/")
        server.signal(SIGTERM)
        try await server.waitForExit()
        try await fleet.close()
    }

    @Test func `a database that Sluice never used is planned for, and the others say what to do first`() async throws {
        let fleet = try await Fleet()
        try fleet.writeSpec(fleet.directories())
        let plan = try await fleet.sluice("reconcile", "--dry-run", "--detailed-exitcode")
        #expect(plan.status == 2 && plan.output.contains("+ backend/disk1"), "\(plan.output)\(plan.errors)")
        #expect(try await fleet.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0")
        for verb in [["status"], ["events"], ["inventory"], ["object", "locate", "photos/k"], ["diff"]] {
            let answer = try await Subprocess.run([Fleet.binary] + verb, environment: fleet.environment)
            #expect(answer.status == 1 && answer.errors.contains("start 'sluice serve'"), "\(verb): \(answer.errors)")
        }
        #expect(try await fleet.sluice("reconcile").status == 0)
        #expect(try await fleet.sluice("reconcile", "--dry-run", "--detailed-exitcode").status == 0)
        try await fleet.close()
    }

    @Test func `wrong credentials, a missing database and a port in use are told apart`() async throws {
        let fleet = try await Fleet()
        try fleet.writeSpec(fleet.directories())
        let server = try await fleet.serve()
        let denied = try await Subprocess.run(
            [Fleet.tools + "/aws", "--endpoint-url", fleet.endpoint, "s3", "ls", "s3://photos/"],
            environment: fleet.environment.merging(["AWS_SECRET_ACCESS_KEY": "wrong"]) { _, new in new })
        #expect(denied.errors.contains("SignatureDoesNotMatch"), "\(denied.errors)")

        let second = try await Subprocess.run([Fleet.binary, "serve"], environment: fleet.environment)
        #expect(second.status == 1)
        #expect(second.errors.contains("is in use"), "\(second.errors)")

        let away = try await fleet.sluice(
            "status", environment: ["SLUICE_DATABASE_URL": "postgresql:///none?host=/nonexistent"])
        #expect(away.status == 6)
        #expect(away.errors.contains("cannot reach Postgres"), "\(away.errors)")
        #expect(try await fleet.sluice("frobnicate").status == 64)
        #expect(
            try await fleet.sluice("wait", "--for=condition=Drained", "backend/disk1", "--timeout", "1s").status == 7)
        server.signal(SIGTERM)
        try await server.waitForExit()
        try await fleet.close()
    }

    @Test func `the server waits for a database that is away, and goes on when it is back`() async throws {
        let fleet = try await Fleet()
        try fleet.writeSpec(fleet.directories())
        try await fleet.close()
        let server = try fleet.launch()
        _ = try await eventually("the server says that it waits") {
            fleet.folder.read("serve.log").contains("waiting for Postgres") ? true : nil
        }
        #expect(server.poll() == nil)
        _ = try await Subprocess.run([Fleet.repository + "/scripts/postgres", "start", fleet.folder.path + "/pg"])
        _ = try await eventually("the server serves") {
            fleet.folder.read("serve.log").contains("\"message\":\"serving\"") ? true : nil
        }
        server.signal(SIGTERM)
        #expect(try await server.waitForExit() == 0)
        try await fleet.close()
    }

    @Test func `an edit that meets a database that is away takes effect when it is back`() async throws {
        let fleet = try await Fleet()
        try fleet.writeSpec(fleet.directories())
        let server = try await fleet.serve()
        try await fleet.close()
        try fleet.writeSpec(fleet.directories(), factor: 3)
        _ = try await eventually("the edit was met", within: .seconds(60)) {
            fleet.folder.read("serve.log").contains("the spec is proposed again") ? true : nil
        }
        try await fleet.startPostgres()
        _ = try await eventually("it is in force", within: .seconds(30)) {
            try await fleet.sql("SELECT max(revision) FROM spec_revision") == "2" ? true : nil
        }
        server.signal(SIGTERM)
        try await server.waitForExit()
        try await fleet.close()
    }

    @Test func `an edit made while a server waits for Postgres at its start is taken up`() async throws {
        try await Fleet.run { fleet in
            try fleet.writeSpec(fleet.directories())
            try await fleet.close()
            let server = try fleet.launch()
            _ = try await eventually("it waits for Postgres") {
                fleet.folder.read("serve.log").contains("database") ? true : nil
            }
            var edited = fleet.directories()
            edited[0].state = "draining"
            try fleet.writeSpec(edited)
            try await fleet.startPostgres()
            _ = try await eventually("the edit is in force") {
                let phase = try? await fleet.sql("SELECT phase FROM backend WHERE name = 'disk1'")
                return phase == "drained" ? true : nil
            }
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }

    @Test func `undeclaring a backend destroys nothing and says so`() async throws {
        let fleet = try await Fleet()
        let backends = fleet.directories()
        try fleet.writeSpec(backends)
        let server = try await fleet.serve()
        try fleet.folder.write("file", "content")
        try await fleet.aws("s3", "cp", fleet.folder.path + "/file", "s3://photos/file")
        try fleet.writeSpec(Array(backends.dropFirst()))
        let waited = try await fleet.sluice("wait", "--for=condition=Undeclared", "backend/disk1", "--timeout", "60s")
        #expect(waited.status == 0, "\(waited.errors)")
        #expect(try await fleet.sluice("status").output.contains("undeclared"))
        #expect(try await fleet.aws("s3", "cp", "s3://photos/file", "-") == "content")
        #expect(try await fleet.sql("SELECT count(*) FROM copy WHERE state <> 'live'") == "0")
        server.signal(SIGTERM)
        try await server.waitForExit()
        try await fleet.close()
    }
}
