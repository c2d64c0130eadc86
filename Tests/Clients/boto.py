"""boto3, current and old: objects, odd keys, multipart, listings, conditions, tags, presigned URLs, forms."""

import os
import threading
import urllib.request
import ssl

import boto3
import botocore
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEYS, SIZES, content, finish, sample, same, step, WORK

s3 = boto3.client("s3", endpoint_url=ENDPOINT, verify=CA if IS_TLS else None)
PREFIX = "boto/"


def code(call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return None


def fetch(url, data=None, method="GET", headers=None):
    context = ssl.create_default_context(cafile=CA) if IS_TLS else None
    request = urllib.request.Request(url, data, headers or {}, method=method)
    return urllib.request.urlopen(request, context=context)


with step("put and get of every size"):
    for name in SIZES:
        s3.put_object(Bucket=BUCKET, Key=PREFIX + name, Body=content(name), ContentType="text/x-a", Metadata={"n": name})
        got = s3.get_object(Bucket=BUCKET, Key=PREFIX + name)
        assert got["Body"].read() == content(name) and got["ContentType"] == "text/x-a" and got["Metadata"] == {"n": name}
with step("odd keys"):
    for key in KEYS + ["a//b", "./c", "d/../e", "f/"]:
        s3.put_object(Bucket=BUCKET, Key=PREFIX + "odd/" + key, Body=key.encode())
        assert s3.get_object(Bucket=BUCKET, Key=PREFIX + "odd/" + key)["Body"].read() == key.encode(), key
    listed = [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX + "odd/", PaginationConfig={"PageSize": 3}) for o in page["Contents"]]
    assert listed == sorted((PREFIX + "odd/" + k for k in KEYS + ["a//b", "./c", "d/../e", "f/"]), key=lambda k: k.encode())
with step("managed multipart upload and download"):
    config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.upload_file(sample("large"), BUCKET, PREFIX + "multi", Config=config)
    target = os.path.join(WORK, "boto-multi")
    s3.download_file(BUCKET, PREFIX + "multi", target, Config=config)
    same(target, "large")
    assert s3.head_object(Bucket=BUCKET, Key=PREFIX + "multi")["ETag"].endswith('-5"')
with step("abort of a multipart upload"):
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=PREFIX + "aborted")["UploadId"]
    s3.upload_part(Bucket=BUCKET, Key=PREFIX + "aborted", UploadId=upload, PartNumber=1, Body=b"part")
    assert len(s3.list_parts(Bucket=BUCKET, Key=PREFIX + "aborted", UploadId=upload)["Parts"]) == 1
    s3.abort_multipart_upload(Bucket=BUCKET, Key=PREFIX + "aborted", UploadId=upload)
    assert code(s3.list_parts, Bucket=BUCKET, Key=PREFIX + "aborted", UploadId=upload) == "NoSuchUpload"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET, Prefix=PREFIX)
with step("ranges and conditions"):
    whole = content("small")
    for header, wanted in [("bytes=0-9", whole[:10]), ("bytes=-5", whole[-5:]), ("bytes=1048570-", whole[1048570:])]:
        assert s3.get_object(Bucket=BUCKET, Key=PREFIX + "small", Range=header)["Body"].read() == wanted, header
    assert code(s3.get_object, Bucket=BUCKET, Key=PREFIX + "small", Range="bytes=9999999-") == "InvalidRange"
    etag = s3.head_object(Bucket=BUCKET, Key=PREFIX + "small")["ETag"]
    assert code(s3.get_object, Bucket=BUCKET, Key=PREFIX + "small", IfNoneMatch=etag) == "304"
    assert code(s3.get_object, Bucket=BUCKET, Key=PREFIX + "small", IfMatch='"x"') == "PreconditionFailed"
with step("copy with new metadata"):
    s3.copy_object(Bucket=BUCKET, Key=PREFIX + "copied", CopySource={"Bucket": BUCKET, "Key": PREFIX + "odd/ünï/çødé"}, MetadataDirective="REPLACE", Metadata={"a": "b"})
    got = s3.get_object(Bucket=BUCKET, Key=PREFIX + "copied")
    assert got["Body"].read() == "ünï/çødé".encode() and got["Metadata"] == {"a": "b"}
with step("tags"):
    s3.put_object_tagging(Bucket=BUCKET, Key=PREFIX + "one", Tagging={"TagSet": [{"Key": "k", "Value": "ü v"}]})
    assert s3.get_object_tagging(Bucket=BUCKET, Key=PREFIX + "one")["TagSet"] == [{"Key": "k", "Value": "ü v"}]
with step("checksums of every algorithm"):
    for name in ["CRC32", "CRC32C", "SHA1", "SHA256"]:
        try:
            put = s3.put_object(Bucket=BUCKET, Key=PREFIX + name, Body=content("small"), ChecksumAlgorithm=name)
        except botocore.exceptions.MissingDependencyException:
            continue
        head = s3.head_object(Bucket=BUCKET, Key=PREFIX + name, ChecksumMode="ENABLED")
        assert head["Checksum" + name] == put["Checksum" + name], name
        assert s3.get_object(Bucket=BUCKET, Key=PREFIX + name, ChecksumMode="ENABLED")["Body"].read() == content("small")
with step("presigned GET and PUT"):
    # Without this, boto3 presigns for us-east-1 with Signature V2, which AWS refuses for buckets made since 2020.
    signed = boto3.client("s3", endpoint_url=ENDPOINT, verify=CA if IS_TLS else None, config=Config(signature_version="s3v4"))
    url = signed.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": PREFIX + "pre signed"})
    # urllib would call the body a form, and moto as a backend then stores nothing of it (Sluice notices and answers 503).
    assert fetch(url, content("one"), "PUT", {"Content-Type": "application/octet-stream"}).status == 200
    url = signed.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": PREFIX + "pre signed"})
    assert fetch(url).read() == content("one")
with step("a form"):
    post = s3.generate_presigned_post(BUCKET, PREFIX + "form/${filename}", Conditions=[["content-length-range", 0, 99]])
    body = b"".join(f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in post["fields"].items())
    body += b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nformed\r\n--b--\r\n'
    assert fetch(post["url"], body, "POST", {"Content-Type": "multipart/form-data; boundary=b"}).status == 204
    assert s3.get_object(Bucket=BUCKET, Key=PREFIX + "form/f")["Body"].read() == b"formed"
with step("more than 1,000 keys listed and deleted"):
    def fill(start):
        for i in range(start, 1203, 8):
            s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}many/{i:05}", Body=b"")
    threads = [threading.Thread(target=fill, args=(n,)) for n in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    keys = [o["Key"] for page in s3.get_paginator("list_objects").paginate(Bucket=BUCKET, Prefix=PREFIX + "many/") for o in page["Contents"]]
    assert keys == [f"{PREFIX}many/{i:05}" for i in range(1203)], len(keys)
    for start in range(0, 1203, 1000):
        answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": k} for k in keys[start:start + 1000]]})
        assert "Errors" not in answer
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX + "many/")["KeyCount"] == 0
with step("a bucket of its own"):
    s3.create_bucket(Bucket="made-by-boto")
    s3.put_object(Bucket="made-by-boto", Key="k", Body=b"x")
    assert code(s3.delete_bucket, Bucket="made-by-boto") == "BucketNotEmpty"
    s3.delete_object(Bucket="made-by-boto", Key="k")
    s3.delete_bucket(Bucket="made-by-boto")
    assert code(s3.list_objects_v2, Bucket="made-by-boto") == "NoSuchBucket"
finish()
