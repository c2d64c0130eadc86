import Foundation
import Testing

/// The real process is ended with SIGKILL at named points; what it leaves must be enough to go on from.
@Suite("Crashes", .serialized) struct CrashTests {
    /// Puts objects until the server is gone, and prints the keys that were acknowledged.
    static let writer = """
        import sys, boto3, botocore.config
        s3 = boto3.client('s3', endpoint_url=sys.argv[1],
                          config=botocore.config.Config(retries={'max_attempts': 0}, connect_timeout=5, read_timeout=20))
        for i in range(int(sys.argv[3])):
            key = '%s/%03d' % (sys.argv[2], i)
            try:
                s3.put_object(Bucket='photos', Key=key, Body=(key.encode() * 500))
            except Exception as error:
                break
            print(key, flush=True)
        """
    /// Every key on stdin's list must be there, byte for byte.
    static let reader = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for key in open(sys.argv[2]).read().split():
            body = s3.get_object(Bucket='photos', Key=key)['Body'].read()
            assert body == key.encode() * 500, key
        """

    private func check(_ fleet: Fleet, _ acknowledged: String) async throws {
        try fleet.folder.write("acknowledged", acknowledged)
        try await fleet.python(CrashTests.reader, fleet.folder.path + "/acknowledged")
        try await Invariants.check(fleet)
    }

    @Test(arguments: ["after-intent:7", "after-upload:7", "after-commit:7"])
    func `a PUT that is cut short loses nothing that was acknowledged`(point: String) async throws {
        try await Fleet.run { fleet in
            try fleet.writeSpec(fleet.directories())
            var server = try await fleet.serve(["SLUICE_CRASH_AT": point])
            let acknowledged = try await fleet.python(CrashTests.writer, "crash", "20")
            #expect(try await server.waitForExit() == 128 + SIGKILL)
            #expect(acknowledged.split(separator: "\n").count == 6)
            server = try await fleet.serve()
            try await check(fleet, acknowledged)
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }

    @Test(arguments: [
        "after-drain-start:1", "after-move-intent:5", "after-move-upload:5", "after-move-commit:5", "after-doom:5",
        "after-delete-claim:1", "after-epoch-marker:1", "after-backend-delete:5", "after-settle:5",
        "after-drain-finish:1",
    ])
    func `a drain goes on where it was killed`(point: String) async throws {
        try await Fleet.run { fleet in
            var backends = fleet.directories()
            try fleet.writeSpec(backends)
            var server = try await fleet.serve()
            let acknowledged = try await fleet.python(CrashTests.writer, "drain", "30")
            #expect(acknowledged.split(separator: "\n").count == 30)
            server.signal(SIGTERM)
            try await server.waitForExit()

            server = try await fleet.serve(["SLUICE_CRASH_AT": point])
            backends[0].state = "draining"
            try fleet.writeSpec(backends)
            #expect(try await server.waitForExit() == 128 + SIGKILL)
            try await Invariants.check(fleet)

            server = try await fleet.serve()
            // Leases of the dead process: a minute or two would pass; the test lets them run out now.
            _ = try await fleet.sql(
                """
                UPDATE work SET lease_until = '-infinity' WHERE token IS NOT NULL;
                UPDATE copy SET lease_until = '-infinity' WHERE state = 'writing' AND upload_id IS NULL;
                UPDATE copy SET claim_until = '-infinity' WHERE claim_until IS NOT NULL
                """)
            let waited = try await fleet.sluice("wait", "--for=condition=Drained", "backend/disk1", "--timeout", "90s")
            #expect(waited.status == 0, "\(waited.errors)\n\(fleet.folder.read("serve.log").suffix(3000))")
            #expect(try await fleet.sql(Invariants.copiesPerObject) == "30|2|2")
            try await check(fleet, acknowledged)
            try await Invariants.checkFiles(fleet, ["disk1", "disk2", "disk3"])
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }

    private static let large = """
        import sys, boto3, hashlib
        from boto3.s3.transfer import TransferConfig
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        block = bytes(range(256)) * 4096
        if sys.argv[2] == 'put':
            with open(sys.argv[3], 'wb') as file:
                for i in range(200):
                    file.write(i.to_bytes(8, 'big') + block[8:])
            # One part, so that the copy's parts are not the upload's.
            s3.upload_file(sys.argv[3], 'photos', 'large', Config=TransferConfig(multipart_threshold=1 << 40))
        s3.download_file('photos', 'large', sys.argv[3] + '.back')
        a, b = (hashlib.sha256(open(p, 'rb').read()).digest() for p in (sys.argv[3], sys.argv[3] + '.back'))
        assert a == b
        """

    @Test func `a large object that moves goes on in the middle after a kill`() async throws {
        try await Fleet.run { fleet in
            var backends = fleet.directories()
            try fleet.writeSpec(backends)
            var server = try await fleet.serve()
            try await fleet.python(CrashTests.large, "put", fleet.folder.path + "/large")
            server.signal(SIGTERM)
            try await server.waitForExit()
            server = try await fleet.serve(["SLUICE_CRASH_AT": "after-move-part:2"])
            let holder = try await fleet.sql(
                "SELECT b.name FROM copy c JOIN backend b ON b.id = c.backend_id WHERE c.state = 'live' ORDER BY 1 LIMIT 1"
            )
            let index = try #require(backends.firstIndex { $0.name == holder })
            backends[index].state = "draining"
            try fleet.writeSpec(backends)
            #expect(try await server.waitForExit() == 128 + SIGKILL)
            let begun = try await fleet.sql("SELECT physical_key FROM copy WHERE state = 'writing'")
            #expect(!begun.isEmpty)
            #expect(try await fleet.sql("SELECT count(*), sum(size) FROM move_part") == "2|134217728")

            server = try await fleet.serve()
            _ = try await fleet.sql(
                """
                UPDATE work SET lease_until = '-infinity' WHERE token IS NOT NULL;
                UPDATE copy SET lease_until = clock_timestamp() WHERE state = 'writing'
                """)
            let waited = try await fleet.sluice(
                "wait", "--for=condition=Drained", "backend/\(holder)", "--timeout", "90s")
            #expect(waited.status == 0, "\(waited.errors)\n\(fleet.folder.read("serve.log").suffix(3000))")
            #expect(
                try await fleet.sql("SELECT state FROM copy WHERE physical_key = '\(begun)'") == "live",
                "the copy that was begun is the one that is there")
            #expect(try await fleet.sql("SELECT count(*) FROM move_part") == "0")
            try await fleet.python(CrashTests.large, "get", fleet.folder.path + "/large")
            try await Invariants.check(fleet)
            try await Invariants.checkFiles(fleet, ["disk1", "disk2", "disk3"])
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }

    @Test(arguments: ["after-retiring:1", "after-marker-delete:1"])
    func `a purge that is killed still ends with an empty, retired backend`(point: String) async throws {
        try await Fleet.run { fleet in
            var backends = fleet.directories()
            try fleet.writeSpec(backends)
            var server = try await fleet.serve(["SLUICE_CRASH_AT": point])
            let acknowledged = try await fleet.python(CrashTests.writer, "purge", "10")
            let foreign = fleet.directory("disk1") + "/somebody-elses.txt"
            try Data("keep me".utf8).write(to: URL(fileURLWithPath: foreign))
            backends[0].state = "removed"
            backends[0].removal = "{ purge: true }"
            try fleet.writeSpec(backends)
            #expect(try await server.waitForExit() == 128 + SIGKILL)
            server = try await fleet.serve()
            _ = try await eventually("disk1 is retired", within: .seconds(90)) {
                try await fleet.sql("SELECT phase FROM backend WHERE name = 'disk1'") == "retired" ? true : nil
            }
            try await check(fleet, acknowledged)
            #expect(try String(contentsOf: URL(fileURLWithPath: foreign), encoding: .utf8) == "keep me")
            #expect(!FileManager.default.fileExists(atPath: fleet.directory("disk1") + "/sluice"))
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }
}
