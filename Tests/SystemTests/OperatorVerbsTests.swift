import Foundation
import Testing

/// The commands that answer an operator's questions, on a running fleet.
@Suite("Operator's commands", .serialized) struct OperatorVerbsTests {
    static let schemaProgram = """
        import sys, json, yaml, jsonschema
        schema = json.load(open(sys.argv[2]))
        validator = jsonschema.Draft202012Validator(schema)
        validator.check_schema(schema)
        documents = list(yaml.safe_load_all(open(sys.argv[3])))
        for document in documents:
            validator.validate(document)
        documents[0]['spec']['replicaton'] = {}
        assert not validator.is_valid(documents[0])
        del documents[0]['spec']['replicaton']
        documents[0]['spec']['suspend'] = 'maybe'
        assert not validator.is_valid(documents[0])
        """

    @Test func `they say where objects are, what may stop, what differs and what happened`() async throws {
        let fleet = try await Fleet()
        do { try await ask(fleet) } catch {
            try await fleet.close()
            throw error
        }
        try await fleet.close()
    }

    private func ask(_ fleet: Fleet) async throws {
        var backends = fleet.directories()
        try fleet.writeSpec(backends)
        let server = try await fleet.serve()
        try await fleet.python(EditsTests.fill)

        let located = try await fleet.sluice("object", "locate", "photos/k7")
        #expect(located.status == 0, "\(located.errors)")
        let names = located.output.split(separator: "\n").filter { $0.contains("  live  ") }.compactMap {
            $0.split(separator: " ").last
        }
        #expect(names.count == 2)
        for name in names {
            let isThere = backends.contains {
                FileManager.default.fileExists(atPath: fleet.directory($0.name) + "/" + name)
            }
            #expect(isThere, "a person finds the file under \(name)")
        }
        #expect(try await fleet.sluice("object", "locate", "photos/none").status == 1)
        let api = try httpGet(port: fleet.adminPort, path: "/v1/status")
        #expect(api.contains("\"name\": \"disk1\"") && api.contains("\"phase\": \"active\""), "\(api)")
        let metrics = try httpGet(port: fleet.adminPort, path: "/metrics")
        #expect(metrics.contains("sluice_backend_phase{backend=\"disk1\",phase=\"active\"} 1"), "\(metrics)")
        #expect(try await fleet.sluice("object", "locate", "nothing/k7").errors.contains("no bucket nothing"))

        // With two copies each may stop; none may go, since its copies would be missing.
        let name = String(
            located.output.split(separator: "\n").first { $0.contains("  live  ") }?.split(separator: " ").first ?? "")
        #expect(try await fleet.sluice("ok-to-stop", name).status == 0)
        let removal = try await fleet.sluice("safe-to-remove", name)
        #expect(removal.status == 3 && removal.output.contains("1 of 2 copies"), "\(removal.output)\(removal.errors)")
        // While another backend is away, its copies do not count.
        let others = names.count == 2 ? backends.map(\.name).filter { $0 != name } : []
        for other in others { rename(fleet.directory(other), fleet.directory(other) + "-away") }
        let stop = try await fleet.sluice("ok-to-stop", name)
        #expect(
            stop.status == 3 && stop.output.contains("no other backend that answers"), "\(stop.output)\(stop.errors)")
        for other in others { rename(fleet.directory(other) + "-away", fleet.directory(other)) }

        #expect(try await fleet.sluice("diff").status == 0)
        backends[0].state = "draining"
        server.signal(SIGSTOP)
        try fleet.writeSpec(backends)
        let difference = try await fleet.sluice("diff")
        #expect(
            difference.status == 2 && difference.output.contains("+   state: draining"),
            "\(difference.output)\(difference.errors)")
        #expect(!difference.output.contains("photossecret"), "secrets are not shown")
        server.signal(SIGCONT)
        _ = try await eventually("the drain is an event") {
            try await fleet.sluice("events").output.contains("backend/disk1  DrainStarted") ? true : nil
        }
        #expect(try await fleet.sluice("events", "-o", "json").output.contains("\"DrainStarted\""))

        let schema = try await fleet.sluice("schema")
        try fleet.folder.write("schema.json", schema.output)
        try await fleet.python(
            OperatorVerbsTests.schemaProgram, fleet.folder.path + "/schema.json",
            Fleet.repository + "/specs/examples/fleet.yaml")
        #expect(try await fleet.sluice("explain", "trimDelay").output.contains("surplus"))
        #expect(try await fleet.sluice("explain", "InsufficientRoom").output.contains("raise a quota"))
        #expect(try await fleet.sluice("explain", "nonsense").status == 1)
        for shell in ["bash", "zsh", "fish"] {
            #expect(try await fleet.sluice("completion", shell).output.contains("ok-to-stop"))
        }
        let parsed = try await Subprocess.run(["bash", "-n"] + [try await written(fleet)])
        #expect(parsed.status == 0, "\(parsed.errors)")
        server.signal(SIGTERM)
        try await server.waitForExit()
    }

    @Test func `a saved plan is carried out as it was reviewed, or refused with the reason`() async throws {
        let fleet = try await Fleet()
        do { try await apply(fleet) } catch {
            try await fleet.close()
            throw error
        }
        try await fleet.close()
    }

    private func apply(_ fleet: Fleet) async throws {
        var backends = fleet.directories()
        try fleet.writeSpec(backends)
        let first = fleet.folder.path + "/first.json"
        #expect(try await fleet.sluice("reconcile", "--dry-run", "-o", first).output.contains("4 to add"))
        let made = try await fleet.sluice("apply", first)
        #expect(made.status == 0 && made.errors.contains("converged at revision 1"), "\(made.errors)")
        #expect(try await fleet.sluice("apply", first).status == 0, "its own spec is in force: nothing is left to do")

        backends[0].state = "draining"
        try fleet.writeSpec(backends)
        let drain = fleet.folder.path + "/drain.json"
        #expect(try await fleet.sluice("reconcile", "--dry-run", "-o", drain).status == 0)
        try fleet.writeSpec(backends, interval: "2s")
        let edited = try await fleet.sluice("apply", drain)
        #expect(edited.status == 4 && edited.errors.contains("the spec files have changed"), "\(edited.errors)")
        #expect(try await fleet.sluice("reconcile").status == 0)
        try fleet.writeSpec(backends)
        let overtaken = try await fleet.sluice("apply", drain)
        #expect(overtaken.status == 4 && overtaken.errors.contains("revision 2 is in force now"), "\(overtaken.errors)")
        #expect(try await fleet.sql("SELECT max(revision) FROM spec_revision") == "2", "nothing was changed")

        try fleet.folder.write("broken.json", "{}")
        #expect(try await fleet.sluice("apply", fleet.folder.path + "/broken.json").status == 64)
        #expect(try await fleet.sluice("apply", fleet.folder.path + "/none.json").status == 1)
    }

    private func written(_ fleet: Fleet) async throws -> String {
        try fleet.folder.write("completion.bash", try await fleet.sluice("completion", "bash").output)
        return fleet.folder.path + "/completion.bash"
    }
}
