import Foundation
import Testing

/// After a restore: what was written since the backup is taken back, before the catalog is confirmed.
@Suite("Adoption", .serialized) struct AdoptionTests {
    private static let before = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(6):
            s3.put_object(Bucket='photos', Key='k%d' % i, Body=b'first' * 500)
        """
    private static let since = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(3):
            s3.put_object(Bucket='photos', Key='k%d' % i, Body=b'second' * 500)
        for i in range(4):
            s3.put_object(Bucket='photos', Key='new/ä %d' % i, Body=b'new' * 500, ContentType='text/x-new',
                Metadata={'colour': 'blue'})
        upload = s3.create_multipart_upload(Bucket='photos', Key='large')['UploadId']
        parts = []
        for number in (1, 2):
            part = s3.upload_part(Bucket='photos', Key='large', UploadId=upload, PartNumber=number, Body=bytes([number]) * 5242880)
            parts.append({'PartNumber': number, 'ETag': part['ETag']})
        s3.complete_multipart_upload(Bucket='photos', Key='large', UploadId=upload, MultipartUpload={'Parts': parts})
        """
    private static let check = """
        import sys, boto3, hashlib
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        def body(key): return s3.get_object(Bucket='photos', Key=key)['Body'].read()
        for i in range(6):
            assert body('k%d' % i) == (b'second' if i < 3 else b'first') * 500, i
        for i in range(4):
            got = s3.get_object(Bucket='photos', Key='new/ä %d' % i)
            assert got['Body'].read() == b'new' * 500 and got['ContentType'] == 'text/x-new', got
            assert got['Metadata'] == {'colour': 'blue'} and got['ETag'].strip('"') == hashlib.md5(b'new' * 500).hexdigest(), got
        assert body('large') == bytes([1]) * 5242880 + bytes([2]) * 5242880
        assert len(s3.list_objects_v2(Bucket='photos')['Contents']) == 11
        """

    private func shell(_ arguments: String...) async throws {
        let result = try await Subprocess.run(arguments)
        guard result.status == 0 else { throw Failure("\(arguments): \(result.errors)") }
    }

    private func stop(_ server: Subprocess) async throws {
        server.signal(SIGTERM)
        try await server.waitForExit()
    }

    @Test func `what was written since a backup is taken back, and nothing else comes of it`() async throws {
        try await Fleet.run(readGrace: "3s") { fleet in
            try fleet.writeSpec(fleet.directories(), orphanQuarantine: "2s")
            var server = try await fleet.serve()
            try await fleet.python(AdoptionTests.before)
            try await stop(server)
            let data = fleet.folder.path + "/pg/data"
            try await fleet.close()
            try await shell("cp", "-a", data, data + "-backup")
            try await fleet.startPostgres()
            server = try await fleet.serve()
            try await fleet.python(AdoptionTests.since)
            _ = try await eventually("the replaced copies are deleted", within: .seconds(60)) {
                try await fleet.sql("SELECT count(*) FROM copy WHERE state = 'doomed'") == "0" ? true : nil
            }
            try await stop(server)
            try await fleet.close()
            try await shell("rm", "-rf", data)
            try await shell("mv", data + "-backup", data)
            try await fleet.startPostgres()

            server = try await fleet.serve()
            // Three replaced objects, four new ones and a large one, with two copies each.
            _ = try await eventually("the inventory has seen them twice", within: .seconds(60)) {
                try await fleet.sql("SELECT count(*) FROM orphan WHERE sightings >= 2") == "16" ? true : nil
            }
            let status = try await fleet.sluice("status").output
            let words = status.split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init)
            let place = try #require(words.firstIndex(of: "confirm-catalog"), "\(status)")

            let dry = try await fleet.sluice("adopt", "--dry-run")
            #expect(dry.errors.hasPrefix("16 objects would be taken back"), "\(dry.output)\(dry.errors)")
            #expect(try await fleet.sql("SELECT count(*) FROM orphan") == "16")
            let adopted = try await fleet.sluice("adopt")
            #expect(
                adopted.errors.hasPrefix("8 objects taken back, 8 more copies"), "\(adopted.output)\(adopted.errors)")
            #expect(adopted.status == 0 && adopted.output.contains("photos/new/ä 3~"))
            try await fleet.python(AdoptionTests.check)

            #expect(try await fleet.sluice("confirm-catalog", words[place + 1]).status == 0)
            _ = try await eventually("what was replaced goes", within: .seconds(60)) {
                try await fleet.sql("SELECT count(*) FROM copy WHERE state = 'doomed'") == "0" ? true : nil
            }
            #expect(try await fleet.sluice("adopt").errors.hasPrefix("0 objects taken back, 0 more copies"))
            #expect(try await fleet.sluice("scrub").status == 0)
            try await fleet.python(AdoptionTests.check)
            try await Invariants.check(fleet)
            try await stop(server)
        }
    }
}
