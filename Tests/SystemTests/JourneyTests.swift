import Foundation
import Testing

/// What a new user does, with the real binary, a real Postgres and real clients.
@Suite("Journey", .serialized) struct JourneyTests {
    /// Puts, lists and gets keys that gateways like to spoil, with boto3's defaults and byte for byte.
    static let keysProgram = """
        import sys, os, hashlib, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        keys = ['plain', 'with space', 'plus+plus', 'percent%41', 'a//b', 'a', 'a/b', 'dots/../x', './y', 'ünï/çødé',
                '日本語', 'tilde~x', 'q?x=1&y', 'hash#1', "quote'\\"", 'x' * 1024, 'semi;colon,comma=equals@at:colon']
        for key in keys:
            body = hashlib.sha256(key.encode()).digest() * 100
            s3.put_object(Bucket='photos', Key=key, Body=body, Metadata={'name': 'v'}, ContentType='text/x-test')
        listed = [o['Key'] for p in s3.get_paginator('list_objects_v2').paginate(Bucket='photos', PaginationConfig={'PageSize': 5})
                  for o in p.get('Contents', [])]
        assert listed == sorted(keys, key=lambda k: k.encode()), listed
        for key in keys:
            got = s3.get_object(Bucket='photos', Key=key)
            body = got['Body'].read()
            assert body == hashlib.sha256(key.encode()).digest() * 100, key
            assert got['ETag'].strip('"') == hashlib.md5(body).hexdigest(), key
            assert got['Metadata'] == {'name': 'v'} and got['ContentType'] == 'text/x-test', got
        part = s3.get_object(Bucket='photos', Key='plain', Range='bytes=10-19')
        assert part['Body'].read() == (hashlib.sha256(b'plain').digest() * 100)[10:20]
        s3.delete_objects(Bucket='photos', Delete={'Objects': [{'Key': k} for k in keys]})
        assert s3.list_objects_v2(Bucket='photos')['KeyCount'] == 0
        big = os.urandom(12 * 1024 * 1024 + 5)
        from boto3.s3.transfer import TransferConfig
        open(sys.argv[2], 'wb').write(big)
        s3.upload_file(sys.argv[2], 'photos', 'big', Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))
        assert s3.get_object(Bucket='photos', Key='big')['Body'].read() == big
        assert s3.head_object(Bucket='photos', Key='big')['ETag'].endswith('-3"')
        s3.delete_object(Bucket='photos', Key='big')
        print('ok')
        """

    /// The journey of the quick start: copy, drain under kill -9, wait, purge, undeclare.
    private func journey(_ fleet: Fleet, _ backends: [Fleet.Backend]) async throws {
        try fleet.writeSpec(backends)
        var server = try await fleet.serve()

        try await fleet.python(JourneyTests.keysProgram, fleet.folder.path + "/big")
        try fleet.folder.write("tree/hello world.txt", "hello")
        for index in 0..<60 {
            try fleet.folder.write("tree/sub/\(index).bin", String(repeating: "\(index) ", count: 2000))
        }
        try await fleet.aws("s3", "sync", fleet.folder.path + "/tree", "s3://photos/tree/")
        #expect(try await fleet.aws("s3", "ls", "s3://photos/tree/").contains("hello world.txt"))
        #expect(try await fleet.sql(Invariants.copiesPerObject) == "61|2|2")

        var edited = backends
        edited[0].state = "draining"
        try fleet.folder.write("plan/fleet.yaml", "")
        let before = try await fleet.sql("SELECT count(*), max(revision) FROM copy, spec_revision")
        try fleet.writeSpec(edited)
        let plan = try await fleet.sluice("reconcile", "--dry-run")
        #expect(plan.output.contains("~ backend/\(backends[0].name)"), "\(plan.output)\(plan.errors)")
        _ = before

        // The server has seen the edit by itself; it dies in the middle and goes on where it was.
        server.signal(SIGKILL)
        try await server.waitForExit()
        server = try await fleet.serve()
        let waited = try await fleet.sluice(
            "wait", "--for=condition=Drained", "backend/\(backends[0].name)", "--timeout", "120s")
        #expect(waited.status == 0, "\(waited.errors)\n\(fleet.folder.read("serve.log").suffix(3000))")
        #expect(try await fleet.sql(Invariants.copiesPerObject) == "61|2|2")
        try await fleet.aws("s3", "sync", "s3://photos/tree/", fleet.folder.path + "/back")
        let same = try await Subprocess.run(["diff", "-r", fleet.folder.path + "/tree", fleet.folder.path + "/back"])
        #expect(same.status == 0, "\(same.output)")
        try await Invariants.check(fleet)

        server.signal(SIGTERM)
        #expect(try await server.waitForExit() == 0)
    }

    @Test func `a new user drains a directory backend under kill -9 and loses nothing`() async throws {
        let fleet = try await Fleet()
        do {
            try await journey(fleet, fleet.directories())
        } catch {
            try await fleet.close()
            throw error
        }
        try await fleet.close()
    }

    @Test func `the same journey on real S3 servers as backends`() async throws {
        let fleet = try await Fleet()
        let servers = try await S3Server.start(fleet.folder, names: ["one", "two", "three"])
        do {
            try await journey(fleet, servers.map(\.backend))
        } catch {
            try await fleet.close()
            throw error
        }
        try await fleet.close()
    }
}

/// `rclone serve s3` on a folder: a real S3 server that checks signatures.
final class S3Server: Sendable {
    let backend: Fleet.Backend
    private let process: Subprocess

    private init(backend: Fleet.Backend, process: Subprocess) {
        self.backend = backend
        self.process = process
    }

    static func start(_ folder: TemporaryFolder, names: [String]) async throws -> [S3Server] {
        var servers: [S3Server] = []
        for name in names {
            let root = folder.path + "/s3/" + name
            try FileManager.default.createDirectory(atPath: root + "/data", withIntermediateDirectories: true)
            let port = try freePort()
            let process = try Subprocess(
                [
                    Fleet.tools + "/rclone", "serve", "s3", "--addr", "127.0.0.1:\(port)", "--auth-key",
                    "key-\(name),secret-\(name)",
                    "--vfs-cache-mode", "off", "--log-level", "ERROR", root,
                ], environment: ["RCLONE_CONFIG": "/dev/null", "PATH": "/usr/bin:/bin", "HOME": folder.path],
                output: folder.path + "/rclone-\(name).log", errors: folder.path + "/rclone-\(name).log")
            _ = try await eventually("rclone serves \(name)") { try? httpGet(port: port, path: "/") }
            let location = """
                endpoint: http://127.0.0.1:\(port)
                bucket: data
                credentials: { accessKeyId: key-\(name), secretAccessKey: secret-\(name) }
                """
            servers.append(S3Server(backend: Fleet.Backend(name: name, location: location), process: process))
        }
        return servers
    }
}
