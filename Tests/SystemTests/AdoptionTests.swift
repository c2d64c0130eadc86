import Foundation
import Testing

/// After a restore: what was written since the backup is taken back, before the catalog is confirmed.
@Suite("Adoption", .serialized) struct AdoptionTests {
    private static let before = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(6):
            s3.put_object(Bucket='photos', Key='k%d' % i, Body=b'first' * 500)
        print(s3.create_multipart_upload(Bucket='photos', Key='large')['UploadId'], end='')
        """
    private static let since = """
        import sys, boto3
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        for i in range(3):
            s3.put_object(Bucket='photos', Key='k%d' % i, Body=b'second' * 500)
        for i in range(4):
            s3.put_object(Bucket='photos', Key='new/ä %d' % i, Body=b'new' * 500, ContentType='text/x-new',
                Metadata={'colour': 'blue'})
        # It was begun before the backup.
        upload = sys.argv[2]
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

    private func overwrite(_ path: String, _ bytes: Data) throws {
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.write(contentsOf: bytes)
        try handle.close()
    }

    @Test func `what was written since a backup is taken back, and nothing else comes of it`() async throws {
        try await Fleet.run(readGrace: "3s") { fleet in
            try fleet.writeSpec(fleet.directories(), orphanQuarantine: "2s")
            var server = try await fleet.serve()
            let upload = try await fleet.python(AdoptionTests.before)
            try await Fleet.stop(server)
            try await fleet.backUpPostgres()
            server = try await fleet.serve()
            try await fleet.python(AdoptionTests.since, upload)
            _ = try await eventually("the replaced copies are deleted", within: .seconds(60)) {
                try await fleet.sql("SELECT count(*) FROM copy WHERE state = 'doomed'") == "0" ? true : nil
            }
            try await Fleet.stop(server)
            try await fleet.restorePostgres()

            server = try await fleet.serve()
            // Three replaced objects, four new ones and a large one, with two copies each.
            _ = try await eventually("the inventory has seen them twice", within: .seconds(60)) {
                try await fleet.sql("SELECT count(*) FROM orphan WHERE sightings >= 2") == "16" ? true : nil
            }
            let status = try await fleet.sluice("status").output
            let words = status.split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init)
            let place = try #require(words.firstIndex(of: "confirm-catalog"), "\(status)")

            let dry = try await fleet.sluice("adopt", "--dry-run")
            #expect(
                dry.errors.hasPrefix("8 objects would be taken back, 8 more copies"), "\(dry.output)\(dry.errors)")
            #expect(try await fleet.sql("SELECT count(*) FROM orphan") == "16")
            // One of two copies on directories is damaged: nobody can say which.
            let victim = try await fleet.sql(
                "SELECT physical_key FROM orphan WHERE physical_key LIKE '%/new/ä 0~%' LIMIT 1")
            let file = ["disk1", "disk2", "disk3"].map { fleet.directory($0) + "/" + victim }.first {
                FileManager.default.fileExists(atPath: $0)
            }
            let path = try #require(file)
            let good = try Data(contentsOf: URL(fileURLWithPath: path))
            try overwrite(path, Data(repeating: 0x58, count: good.count))
            let refused = try await fleet.sluice("adopt", "disk1")
            let isThere = refused.output.contains("its copies differ")
            let other = try await fleet.sluice("adopt")
            #expect(
                isThere || other.output.contains("its copies differ"), "\(refused.output)\(other.output)\(other.errors)"
            )
            #expect(other.status == 1)
            #expect(try await fleet.sql("SELECT count(*) FROM orphan") == "2", "both are left as they are")
            try overwrite(path, good)
            let adopted = try await fleet.sluice("adopt")
            #expect(
                adopted.errors.hasPrefix("1 objects taken back, 1 more copies"), "\(adopted.output)\(adopted.errors)")
            #expect(adopted.status == 0 && adopted.output.contains("photos/new/ä 0~"))
            try await fleet.python(AdoptionTests.check)

            #expect(try await fleet.sluice("confirm-catalog", words[place + 1]).status == 0)
            _ = try await eventually("what was replaced goes", within: .seconds(60)) {
                try await fleet.sql("SELECT count(*) FROM copy WHERE state = 'doomed'") == "0" ? true : nil
            }
            #expect(try await fleet.sluice("adopt").errors.hasPrefix("0 objects taken back, 0 more copies"))
            #expect(try await fleet.sluice("scrub").status == 0)
            try await fleet.python(AdoptionTests.check)
            try await Invariants.check(fleet)
            try await Fleet.stop(server)
        }
    }
}
