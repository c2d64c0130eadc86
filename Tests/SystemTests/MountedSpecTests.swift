import Foundation
import Testing

/// Spec files as Kubernetes mounts them, and files that are caught half-written, missing or unreadable.
@Suite("Mounted specs", .serialized) struct MountedSpecTests {
    private func revision(_ fleet: Fleet, is wanted: String) async throws {
        _ = try await eventually(
            "revision \(wanted); \(fleet.folder.read("serve.log").suffix(1500))", within: .seconds(30)
        ) {
            try await fleet.sql("SELECT max(revision) FROM spec_revision") == wanted ? true : nil
        }
    }

    /// A ConfigMap's volume: the names are links through `..data`, which is swapped by one rename.
    @Test func `a swapped link is one edit, of all its files at once`() async throws {
        try await Fleet.run { fleet in
            let files = FileManager.default
            let specs = fleet.folder.path + "/specs"
            func content(_ factor: Int) throws -> (String, String) {
                try fleet.writeSpec(fleet.directories(), factor: factor)
                let documents = fleet.folder.read("specs/fleet.yaml").components(separatedBy: "---\n")
                try files.removeItem(atPath: specs)
                return (documents[0], documents.dropFirst().joined(separator: "---\n"))
            }
            func publish(_ name: String, _ texts: (String, String)) throws {
                try fleet.folder.write("specs/\(name)/fleet.yaml", texts.0)
                try fleet.folder.write("specs/\(name)/rest.yaml", texts.1)
                try? files.removeItem(atPath: specs + "/..data_tmp")
                try files.createSymbolicLink(atPath: specs + "/..data_tmp", withDestinationPath: name)
                #expect(rename(specs + "/..data_tmp", specs + "/..data") == 0)
            }
            let (first, second, third) = (try content(2), try content(3), try content(1))
            try publish("..2026_1", first)
            for name in ["fleet.yaml", "rest.yaml"] {
                try files.createSymbolicLink(atPath: specs + "/" + name, withDestinationPath: "..data/" + name)
            }
            let server = try await fleet.serve()
            try publish("..2026_2", second)
            try await revision(fleet, is: "2")
            #expect(try await fleet.sql("SELECT factor FROM bucket WHERE name = 'photos'") == "3")
            try files.removeItem(atPath: specs + "/..2026_1")
            // The old folder goes while the new one is there: nothing changes.
            try publish("..2026_3", third)
            try await revision(fleet, is: "3")
            #expect(try await fleet.sql("SELECT factor FROM bucket WHERE name = 'photos'") == "1")
            #expect(!fleet.folder.read("serve.log").contains("spec rejected"))
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }

    @Test func `torn, missing and unreadable files change nothing, and the whole ones after them do`() async throws {
        try await Fleet.run { fleet in
            let files = FileManager.default
            let path = fleet.folder.path + "/specs/fleet.yaml"
            try fleet.writeSpec(fleet.directories())
            let server = try await fleet.serve()
            try await fleet.python(EditsTests.fill)
            let whole = fleet.folder.read("specs/fleet.yaml")
            func expectRefused(_ what: String, _ edit: () throws -> Void) async throws {
                let before = fleet.folder.read("serve.log").components(separatedBy: "spec rejected").count
                try edit()
                _ = try await eventually("\(what) is refused", within: .seconds(30)) {
                    fleet.folder.read("serve.log").components(separatedBy: "spec rejected").count > before ? true : nil
                }
                #expect(try await fleet.sql("SELECT max(revision) FROM spec_revision") == "1", "\(what)")
                #expect(try await fleet.sql("SELECT count(*) FROM backend WHERE declared") == "3", "\(what)")
            }
            // Cut in the middle of a word, so that what is left is no whole document.
            let cut = try #require(whole.range(of: "secretAccessKey: photos"))
            try await expectRefused("a torn file") {
                try String(whole[..<cut.lowerBound] + "secretAcc").write(
                    toFile: path, atomically: false, encoding: .utf8)
            }
            try await expectRefused("an empty folder") { try files.removeItem(atPath: path) }
            try await expectRefused("a link to nothing") {
                try files.createSymbolicLink(atPath: path, withDestinationPath: "nowhere.yaml")
            }
            try files.removeItem(atPath: path)
            try fleet.writeSpec(fleet.directories(), factor: 3)
            try await revision(fleet, is: "2")
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }
}
