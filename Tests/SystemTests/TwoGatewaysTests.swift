import Foundation
import Testing

/// Two `sluice serve` on one database are one S3: conditions are decided once, and what one acknowledged the other reads.
@Suite("Two gateways", .serialized) struct TwoGatewaysTests {
    /// Threads on both gateways race. A counter is raised by compare-and-set on its ETag; a name is claimed with If-None-Match.
    static let program = """
        import sys, threading, boto3, botocore, random
        from botocore.config import Config
        endpoints = sys.argv[1:3]
        config = Config(retries={'max_attempts': 1}, max_pool_connections=4)
        wins, lock, errors, history = {}, threading.Lock(), [], []

        def code(error): return error.response['Error']['Code']

        def work(number):
            try:
                clients = [boto3.client('s3', endpoint_url=e, config=config) for e in endpoints]
                raised = 0
                while raised < 6:
                    a, b = random.sample(clients, 2) if random.random() < 0.5 else [random.choice(clients)] * 2
                    now = a.get_object(Bucket='photos', Key='counter')
                    value = int(now['Body'].read())
                    with lock: history.append(value)
                    try:
                        b.put_object(Bucket='photos', Key='counter', Body=str(value + 1), IfMatch=now['ETag'])
                    except botocore.exceptions.ClientError as error:
                        assert code(error) in ('PreconditionFailed', 'ConditionalRequestConflict'), code(error)
                        continue
                    raised += 1
                    # What was acknowledged here is seen there, and never taken back.
                    seen = int(a.get_object(Bucket='photos', Key='counter')['Body'].read())
                    assert seen >= value + 1, (seen, value)
                for name in range(12):
                    try:
                        random.choice(clients).put_object(Bucket='photos', Key=f'claim/{name}', Body=str(number), IfNoneMatch='*')
                        with lock: wins.setdefault(name, []).append(number)
                    except botocore.exceptions.ClientError as error:
                        assert code(error) in ('PreconditionFailed', 'ConditionalRequestConflict'), code(error)
            except Exception as error:
                errors.append(repr(error))

        first = boto3.client('s3', endpoint_url=endpoints[0])
        first.put_object(Bucket='photos', Key='counter', Body='0')
        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert not errors, errors
        for endpoint in endpoints:
            client = boto3.client('s3', endpoint_url=endpoint)
            total = int(client.get_object(Bucket='photos', Key='counter')['Body'].read())
            assert total == 36, total
            for name, winners in wins.items():
                assert len(winners) == 1, (name, winners)
                assert client.get_object(Bucket='photos', Key=f'claim/{name}')['Body'].read() == str(winners[0]).encode()
        assert len(wins) == 12, wins
        # A listing that began at one gateway goes on at the other.
        clients = [boto3.client('s3', endpoint_url=e) for e in endpoints]
        keys, token, turn = [], None, 0
        while True:
            page = clients[turn % 2].list_objects_v2(Bucket='photos', MaxKeys=5, **({'ContinuationToken': token} if token else {}))
            keys += [o['Key'] for o in page['Contents']]
            token, turn = page.get('NextContinuationToken'), turn + 1
            if not token: break
        assert keys == sorted(keys) and len(keys) == 13, keys
        # An upload that began at one gateway is finished at the other.
        upload = clients[0].create_multipart_upload(Bucket='photos', Key='both')['UploadId']
        part = clients[1].upload_part(Bucket='photos', Key='both', UploadId=upload, PartNumber=1, Body=b'part')
        clients[0].complete_multipart_upload(Bucket='photos', Key='both', UploadId=upload,
                                             MultipartUpload={'Parts': [{'PartNumber': 1, 'ETag': part['ETag']}]})
        assert clients[1].get_object(Bucket='photos', Key='both')['Body'].read() == b'part'
        """

    /// Eight writers at two gateways, with objects and parts, against a quota that is too small for them.
    private static let fill = """
        import sys, threading, boto3, botocore
        from botocore.config import Config
        config = Config(retries={'max_attempts': 1})
        stored, lock, errors = {}, threading.Lock(), []

        def work(number):
            client = boto3.client('s3', endpoint_url=sys.argv[1 + number % 2], config=config)
            refused = 0
            for i in range(200):
                key, size = '%d/%d' % (number, i), 20000 + number * 1000 + i
                try:
                    if number < 6:
                        client.put_object(Bucket='photos', Key=key, Body=b'x' * size)
                    else:
                        upload = client.create_multipart_upload(Bucket='photos', Key=key)['UploadId']
                        try:
                            part = client.upload_part(Bucket='photos', Key=key, UploadId=upload, PartNumber=1, Body=b'x' * size)
                            client.complete_multipart_upload(Bucket='photos', Key=key, UploadId=upload,
                                                             MultipartUpload={'Parts': [{'PartNumber': 1, 'ETag': part['ETag']}]})
                        except botocore.exceptions.ClientError:
                            client.abort_multipart_upload(Bucket='photos', Key=key, UploadId=upload)
                            raise
                    with lock: stored[key] = size
                except botocore.exceptions.ClientError as error:
                    assert error.response['ResponseMetadata']['HTTPStatusCode'] == 503, error
                    refused += 1
                    if refused == 3: return
                except Exception as error:
                    errors.append(repr(error))
                    return
            errors.append('%d was never refused' % number)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert not errors, errors
        client = boto3.client('s3', endpoint_url=sys.argv[1])
        for key, size in stored.items():
            assert client.head_object(Bucket='photos', Key=key)['ContentLength'] == size, key
        print(sum(stored.values()))
        """

    @Test func `a quota is never passed, whoever writes at the same time`() async throws {
        let fleet = try await Fleet()
        do { try await fill(fleet) } catch {
            try await fleet.close()
            throw error
        }
        try await fleet.close()
    }

    private func fill(_ fleet: Fleet) async throws {
        var backends = fleet.directories(["disk1"])
        backends[0].location += "\nquota: 3MB"
        try fleet.writeSpec(backends, factor: 1)
        let first = try await fleet.serve()
        let (port, admin) = (try freePort(), try freePort())
        let second = try await fleet.serve(
            [
                "SLUICE_LISTEN": "127.0.0.1:\(port)", "SLUICE_ADMIN_LISTEN": "127.0.0.1:\(admin)",
                "SLUICE_INSTANCE": "second",
            ], adminPort: admin)
        // The database says so itself, at each change of the counters.
        _ = try await fleet.sql(
            """
            CREATE TABLE most (bytes bigint); INSERT INTO most VALUES (0);
            CREATE FUNCTION note_most() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                UPDATE most SET bytes = greatest(bytes, (
                    SELECT sum(writing_bytes + live_bytes + doomed_bytes) FROM backend_usage)); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER note AFTER UPDATE ON backend_usage DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION note_most()
            """)
        let stored = try await fleet.python(TwoGatewaysTests.fill, "http://127.0.0.1:\(port)")
        let most = Int(try await fleet.sql("SELECT bytes FROM most")) ?? 0
        #expect(most <= 3_000_000, "the quota was passed: \(most)")
        let bytes = Int(stored.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
        #expect(bytes > 2_700_000 && bytes <= 3_000_000, "and it was used: \(bytes)")
        try await Invariants.check(fleet)
        for server in [first, second] {
            server.signal(SIGTERM)
            try await server.waitForExit()
        }
    }

    @Test func `conditions are decided once, whichever gateway is asked`() async throws {
        let fleet = try await Fleet()
        do {
            try fleet.writeSpec(fleet.directories())
            let first = try await fleet.serve()
            let (port, admin) = (try freePort(), try freePort())
            let second = try await fleet.serve(
                [
                    "SLUICE_LISTEN": "127.0.0.1:\(port)", "SLUICE_ADMIN_LISTEN": "127.0.0.1:\(admin)",
                    "SLUICE_INSTANCE": "second",
                ], adminPort: admin)
            try await fleet.python(TwoGatewaysTests.program, "http://127.0.0.1:\(port)")
            #expect(try await fleet.sql("SELECT count(*) FROM object WHERE current_version IS NOT NULL") == "14")
            for server in [first, second] {
                server.signal(SIGTERM)
                #expect(try await server.waitForExit() == 0)
            }
        } catch {
            try await fleet.close()
            throw error
        }
        try await fleet.close()
    }
}
