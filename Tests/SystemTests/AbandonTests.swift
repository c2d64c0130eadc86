import Foundation
import Testing

/// A disk is gone for ever: what is lost is named before, agreed to, and recorded; the rest heals.
@Suite("Abandon", .serialized) struct AbandonTests {
    private static let fill = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(int(sys.argv[2]), int(sys.argv[3])):
            s3.put_object(Bucket='photos', Key='k%02d' % i, Body=b'content' * 100)
        """
    private static let check = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        keys = [k['Key'] for k in s3.list_objects_v2(Bucket='photos').get('Contents', [])]
        assert len(keys) == int(sys.argv[2]), keys
        for key in keys:
            assert s3.get_object(Bucket='photos', Key=key)['Body'].read() == b'content' * 100, key
        """

    @Test(arguments: ["", "after-abandon:1"])
    func `a lost disk is given up with the token that names its sole copies`(point: String) async throws {
        let fleet = try await Fleet()
        do { try await run(fleet, point) } catch {
            try await fleet.close()
            throw error
        }
        try await fleet.close()
    }

    private func run(_ fleet: Fleet, _ point: String) async throws {
        var backends = fleet.directories(["disk1", "disk2"])
        try fleet.writeSpec(backends, factor: 2)
        var server = try await fleet.serve(point.isEmpty ? [:] : ["SLUICE_CRASH_AT": point])
        try await fleet.python(AbandonTests.fill, "0", "12")
        try fleet.writeSpec(backends, factor: 1)
        _ = try await eventually("the factor is in force") {
            try await fleet.sql("SELECT max(revision) FROM spec_revision") == "2" ? true : nil
        }
        // With one copy each, all of these are on the first disk.
        try await fleet.python(AbandonTests.fill, "12", "20")
        let sole = 8
        rename(fleet.directory("disk1"), fleet.directory("disk1") + "-lost")
        backends[0].state = "removed"
        backends[0].removal = "{ abandon: unknown }"
        try fleet.writeSpec(backends, factor: 1)
        let plan = try await eventually("the plan names the loss and the token") { () -> String? in
            let plan = try await fleet.sluice("reconcile", "--dry-run")
            return plan.status == 3 && plan.output.contains("\(sole) objects have their only copy here")
                ? plan.output : nil
        }
        let words = plan.split(whereSeparator: { " \n".contains($0) }).map(String.init)
        let token = try #require(words.first { $0.hasPrefix("lose-\(sole)-") })
        #expect(try await fleet.sql("SELECT count(*) FROM lost_object") == "0")

        backends[0].removal = "{ abandon: \(token) }"
        try fleet.writeSpec(backends, factor: 1)
        if !point.isEmpty {
            #expect(try await server.waitForExit() == 128 + SIGKILL)
            server = try await fleet.serve()
        }
        _ = try await eventually("disk1 is retired", within: .seconds(60)) {
            try await fleet.sql("SELECT phase FROM backend WHERE name = 'disk1'") == "retired" ? true : nil
        }
        let lost = try await fleet.sluice("object", "lost")
        #expect(lost.output.split(separator: "\n").count == sole, "\(lost.output)\(lost.errors)")
        #expect(lost.output.contains("photos/k"))
        #expect(try await fleet.sluice("events").output.contains("Abandoned"))
        try await fleet.python(AbandonTests.check, "\(20 - sole)")
        try await Invariants.check(fleet)
        #expect(try await fleet.sluice("reconcile", "--dry-run").status == 0, "nothing is left to do or to decide")
        // The keys are free again.
        try await fleet.python(AbandonTests.fill, "12", "20")
        try await fleet.python(AbandonTests.check, "20")
        server.signal(SIGTERM)
        try await server.waitForExit()
    }
}
