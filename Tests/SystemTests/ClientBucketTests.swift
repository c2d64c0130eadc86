import Foundation
import Testing

/// Buckets that clients make: from boto3 to the spec file and back.
@Suite("Buckets of clients", .serialized) struct ClientBucketTests {
    static let program = """
        import sys, boto3, botocore
        s3 = boto3.client('s3', endpoint_url=sys.argv[1])
        s3.create_bucket(Bucket='made')
        s3.put_bucket_cors(Bucket='made', CORSConfiguration={'CORSRules': [
            {'ID': 'a "b"', 'AllowedMethods': ['GET'], 'AllowedOrigins': ['https://*.example.net'], 'MaxAgeSeconds': 60}]})
        for i in range(20):
            s3.put_object(Bucket='made', Key=f'k{i}', Body=b'x' * i, Tagging='a=b')
        assert s3.get_object_tagging(Bucket='made', Key='k3')['TagSet'] == [{'Key': 'a', 'Value': 'b'}]
        post = s3.generate_presigned_post('made', 'form/${filename}', Conditions=[['content-length-range', 1, 100]])
        import urllib.request
        boundary = 'b0undary'
        body = b''.join(f'--{boundary}\\r\\nContent-Disposition: form-data; name="{k}"\\r\\n\\r\\n{v}\\r\\n'.encode()
                        for k, v in post['fields'].items())
        body += f'--{boundary}\\r\\nContent-Disposition: form-data; name="file"; filename="f.txt"\\r\\n\\r\\n'.encode()
        body += b'from a form\\r\\n' + f'--{boundary}--\\r\\n'.encode()
        request = urllib.request.Request(post['url'], body, {'Content-Type': f'multipart/form-data; boundary={boundary}'})
        assert urllib.request.urlopen(request).status == 204
        assert s3.get_object(Bucket='made', Key='form/f.txt')['Body'].read() == b'from a form'
        try:
            s3.delete_bucket(Bucket='made')
            assert False
        except botocore.exceptions.ClientError as error:
            assert error.response['Error']['Code'] == 'BucketNotEmpty', error
        """

    @Test func `a bucket that a client made is shown, exported to the spec, and goes on with its objects`() async throws
    {
        let fleet = try await Fleet()
        do {
            try await journey(fleet)
        } catch {
            try await fleet.close()
            throw error
        }
        try await fleet.close()
    }

    private func journey(_ fleet: Fleet) async throws {
        try fleet.writeSpec(fleet.directories(), bucketCreation: "allowed")
        let server = try await fleet.serve()
        try await fleet.python(ClientBucketTests.program)

        let status = try await fleet.sluice("status")
        #expect(status.output.contains("BUCKET MADE BY A CLIENT") && status.output.contains("made"), "\(status.output)")
        let exported = try await fleet.sluice("export", "made")
        #expect(
            exported.status == 0 && exported.output.contains("https://*.example.net"),
            "\(exported.output)\(exported.errors)")
        #expect(try await fleet.sluice("export", "photos").errors.contains("declared in the spec already"))
        #expect(try await fleet.sluice("export", "nothing").status == 1)
        try fleet.folder.write("specs/made.yaml", exported.output)
        let checked = try await fleet.sluice("validate", fleet.folder.path + "/specs")
        #expect(checked.status == 0, "\(checked.errors)")
        _ = try await eventually("the bucket is declared") {
            try await fleet.sql("SELECT declared FROM bucket WHERE name = 'made'") == "t" ? true : nil
        }
        _ = try await eventually("the gateway serves it as a declared one") {
            try await fleet.sluice("export").errors.contains("No client has made a bucket") ? true : nil
        }
        #expect(
            try await fleet.aws("s3api", "list-objects-v2", "--bucket", "made", "--query", "length(Contents)")
                .hasPrefix("21"))
        #expect(try await fleet.aws("s3api", "get-bucket-cors", "--bucket", "made").contains("a \\\"b\\\""))
        server.signal(SIGTERM)
        #expect(try await server.waitForExit() == 0)
    }
}
