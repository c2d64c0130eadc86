import Foundation
import Testing

/// Which files replace which: servers whose files differ, a mount that lags behind, and a spec that comes back.
@Suite("Spec revisions", .serialized) struct SpecRevisionTests {
    private func inForce(_ fleet: Fleet) async throws -> String {
        try await fleet.sql("SELECT accepted_by || ' ' || revision FROM spec_revision ORDER BY revision DESC LIMIT 1")
    }

    private func eventuallyInForce(_ wanted: String, _ fleet: Fleet) async throws {
        _ = try await eventually(
            "\(wanted) is in force; \(fleet.folder.read("serve.log").suffix(2500))", within: .seconds(30)
        ) {
            try await inForce(fleet) == wanted ? true : nil
        }
    }

    private func eventuallyAccepted(_ isAccepted: Bool, _ fleet: Fleet) async throws {
        _ = try await eventually("SpecAccepted is \(isAccepted)", within: .seconds(30)) {
            let status = try await fleet.sql(
                "SELECT status FROM condition WHERE kind = 'fleet' AND type = 'SpecAccepted'")
            return status == (isAccepted ? "True" : "False") ? true : nil
        }
    }

    @Test func `files that come late do not replace newer ones, and an edit after that does`() async throws {
        try await Fleet.run { fleet in
            // The folder of the second server gets what the first one has, when the test says so.
            func spec(_ factor: Int) throws -> String {
                try fleet.writeSpec(fleet.directories(), factor: factor)
                return fleet.folder.read("specs/fleet.yaml")
            }
            let (one, two, three) = (try spec(1), try spec(2), try spec(3))
            func publish(_ text: String, to folder: String) throws {
                try fleet.folder.write("\(folder)/next.tmp", text)
                let path = fleet.folder.path + "/" + folder
                #expect(rename(path + "/next.tmp", path + "/fleet.yaml") == 0)
            }
            try publish(one, to: "specs")
            try publish(one, to: "late")
            let first = try await fleet.serve(["SLUICE_INSTANCE": "first"])
            let (port, adminPort) = (try freePort(), try freePort())
            let second = try await fleet.serve(
                [
                    "SLUICE_INSTANCE": "second", "SLUICE_SPEC": fleet.folder.path + "/late",
                    "SLUICE_LISTEN": "127.0.0.1:\(port)", "SLUICE_ADMIN_LISTEN": "127.0.0.1:\(adminPort)",
                ], adminPort: adminPort)
            try publish(three, to: "specs")
            try await eventuallyInForce("first 2", fleet)
            // What was there in between reaches the other server only now.
            try publish(two, to: "late")
            _ = try await eventually("the second server stands by", within: .seconds(30)) {
                fleet.folder.read("serve.log").contains("the spec files are not what is in force") ? true : nil
            }
            #expect(try await inForce(fleet) == "first 2")
            try publish(three, to: "late")
            _ = try await eventually("both servers have it", within: .seconds(30)) {
                fleet.folder.read("serve.log").components(separatedBy: "spec accepted").count > 2 ? true : nil
            }
            #expect(try await inForce(fleet) == "first 2")
            try publish(two, to: "late")
            try await eventuallyInForce("second 3", fleet)
            for server in [first, second] { try await Fleet.stop(server) }
        }
    }

    @Test func `a spec that comes back by the operator's word is taken up by the server that has it`() async throws {
        try await Fleet.run { fleet in
            try fleet.writeSpec(fleet.directories(), factor: 2)
            let server = try await fleet.serve(["SLUICE_INSTANCE": "server"])
            try fleet.writeSpec(fleet.directories(), factor: 3)
            try await eventuallyInForce("server 2", fleet)
            try fleet.writeSpec(fleet.directories(), factor: 2)
            try await eventuallyAccepted(false, fleet)
            let plan = try await fleet.sluice("reconcile", "--dry-run")
            #expect(plan.status == 4 && plan.output.contains("Plan:"), "\(plan)")
            #expect(plan.errors.contains("--allow-rollback"), "\(plan.errors)")
            let run = try await fleet.sluice(
                "reconcile", "--allow-rollback", environment: ["SLUICE_INSTANCE": "operator"])
            #expect(run.status == 0, "\(run.errors)")
            #expect(try await inForce(fleet) == "operator 3")
            try await eventuallyAccepted(true, fleet)
            // It reconciles again.
            try await fleet.aws("s3", "cp", fleet.folder.path + "/specs/fleet.yaml", "s3://photos/k")
            try fleet.writeSpec(fleet.directories(), factor: 1)
            try await eventuallyInForce("server 4", fleet)
            try await Fleet.stop(server)
        }
    }
}
