"""awscrt: the transfer client in C that newer AWS tools use: parallel parts, checksums in trailers."""

import os
import urllib.parse

from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import ClientBootstrap, ClientTlsContext, DefaultHostResolver, EventLoopGroup, TlsConnectionOptions, TlsContextOptions
from awscrt.s3 import S3ChecksumAlgorithm, S3ChecksumConfig, S3ChecksumLocation, S3Client, S3RequestTlsMode, S3RequestType

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEY_ID, ODD, SECRET, SIZES, WORK, content, finish, sample, same, step

group = EventLoopGroup(2)
tls = None
if IS_TLS:
    options = TlsContextOptions()
    options.override_default_trust_store_from_path(None, CA)
    tls = TlsConnectionOptions(ClientTlsContext(options))
client = S3Client(
    bootstrap=ClientBootstrap(group, DefaultHostResolver(group)), region="us-east-1",
    credential_provider=AwsCredentialsProvider.new_static(KEY_ID, SECRET),
    tls_mode=S3RequestTlsMode.ENABLED if IS_TLS else S3RequestTlsMode.DISABLED, tls_connection_options=tls, part_size=5 << 20)


def call(kind, method, key, checksum=None, fields=(), **arguments):
    headers = HttpHeaders([("host", ENDPOINT.split("://")[1]), *fields])
    if "send_filepath" in arguments:
        headers.add("content-length", str(os.path.getsize(arguments["send_filepath"])))
    request = client.make_request(
        type=kind, request=HttpRequest(method, f"/{BUCKET}/awscrt/{urllib.parse.quote(key)}", headers), checksum_config=checksum,
        **arguments)
    request.finished_future.result(120)


with step("files, in parts where they are large"):
    for name in SIZES:
        call(S3RequestType.PUT_OBJECT, "PUT", name, send_filepath=sample(name))
        target = os.path.join(WORK, "crt-" + name)
        call(S3RequestType.GET_OBJECT, "GET", name, recv_filepath=target)
        same(target, name)
with step("odd keys and ranges"):
    for key in [*ODD, "a//b", "q?x=1&y"]:
        call(S3RequestType.PUT_OBJECT, "PUT", "odd/" + key, send_filepath=sample(key.replace("/", "_")))
        target = os.path.join(WORK, "crt-odd")
        call(S3RequestType.GET_OBJECT, "GET", "odd/" + key, recv_filepath=target)
        same(target, key.replace("/", "_"))
    for first, last in [(0, 0), (1000, 2999), (5_000_000, 17_000_000)]:
        call(S3RequestType.GET_OBJECT, "GET", "large", fields=[("range", f"bytes={first}-{last}")], recv_filepath=target)
        with open(target, "rb") as file:
            assert file.read() == content("large")[first:last + 1], (first, last)
with step("checksums in trailers"):
    for algorithm in [S3ChecksumAlgorithm.CRC32, S3ChecksumAlgorithm.CRC32C, S3ChecksumAlgorithm.SHA256, S3ChecksumAlgorithm.CRC64NVME]:
        config = S3ChecksumConfig(algorithm=algorithm, location=S3ChecksumLocation.TRAILER, validate_response=True)
        for name in ["small", "large"]:
            call(S3RequestType.PUT_OBJECT, "PUT", f"{name}-{algorithm.name}", checksum=config, send_filepath=sample(name))
            target = os.path.join(WORK, "crt-checked")
            call(S3RequestType.GET_OBJECT, "GET", f"{name}-{algorithm.name}", checksum=config, recv_filepath=target)
            same(target, name)
finish()
