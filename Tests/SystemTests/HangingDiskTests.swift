import Foundation
import Glibc
import Testing

/// A disk that answers nothing at all, as a dead network mount does: a FUSE mount whose process is stopped.
@Suite("A disk that hangs", .serialized) struct HangingDiskTests {
    /// Not in every container.
    private static let hasFUSE = access("/dev/fuse", R_OK | W_OK) == 0 && access("/usr/bin/fusermount3", X_OK) == 0

    private func isIdentified(_ name: String, _ fleet: Fleet) async throws -> Bool {
        let row = "SELECT status FROM condition WHERE kind = 'backend' AND name = '\(name)' AND type = 'Identified'"
        return try await fleet.sql(row) == "True"
    }

    /// Runs `body` with a mount at `path` and the process behind it.
    private func mounted(_ path: String, _ fleet: Fleet, _ body: (Subprocess) async throws -> Void) async throws {
        let source = fleet.folder.path + "/mounted"
        for folder in [path, source] {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        let log = fleet.folder.path + "/mount.log"
        let mount = try Subprocess(
            [
                Fleet.tools + "/rclone", "mount", source, path, "--vfs-cache-mode", "full", "--cache-dir",
                fleet.folder.path + "/cache",
            ],
            environment: fleet.environment.merging(["PATH": "/usr/bin:/bin"]) { _, new in new }, output: log,
            errors: log)
        func end() async throws {
            mount.signal(SIGCONT)
            _ = try await Subprocess.run(["fusermount3", "-uz", path])
            mount.signal(SIGTERM)
            try await mount.waitForExit()
        }
        do {
            _ = try await eventually("it is mounted; \(fleet.folder.read("mount.log"))") {
                try String(contentsOfFile: "/proc/mounts", encoding: .utf8).contains(" \(path) ") ? true : nil
            }
            try await body(mount)
        } catch {
            try await end()
            throw error
        }
        try await end()
    }

    @Test(.enabled(if: hasFUSE)) func `a disk that hangs holds up nobody but itself`() async throws {
        try await Fleet.run { fleet in
            let names = ["disk1", "disk2", "disk3", "disk4"]
            try await mounted(fleet.directory("disk4"), fleet) { mount in
                try fleet.writeSpec(fleet.directories(names))
                let server = try await fleet.serve()
                _ = try await eventually("disk4 is there; \(fleet.folder.read("serve.log").suffix(1500))") {
                    try await isIdentified("disk4", fleet) ? true : nil
                }
                mount.signal(SIGSTOP)
                _ = try await eventually("it is noticed", within: .seconds(150)) {
                    try await isIdentified("disk4", fleet) ? nil : true
                }
                try await fleet.aws("s3", "cp", fleet.folder.path + "/specs/fleet.yaml", "s3://photos/k")
                let began = ContinuousClock.now
                let plan = try await fleet.sluice("reconcile", "--dry-run")
                #expect(plan.status == 0 && plan.output.contains("! backend/disk4"), "\(plan)")
                #expect(plan.output.contains("no answer within"), "\(plan.output)")
                #expect(ContinuousClock.now - began < .seconds(40), "it ends, and does not wait for the disk")
                var edited = fleet.directories(names)
                edited[0].state = "draining"
                try fleet.writeSpec(edited)
                _ = try await eventually("another disk is drained meanwhile", within: .seconds(90)) {
                    try await fleet.sql("SELECT phase FROM backend WHERE name = 'disk1'") == "drained" ? true : nil
                }
                mount.signal(SIGCONT)
                _ = try await eventually("it is back", within: .seconds(60)) {
                    try await isIdentified("disk4", fleet) ? true : nil
                }
                try await Fleet.stop(server)
            }
        }
    }
}
