"""aioboto3: many operations at once, multipart, ranges, copies, an aborted upload, a presigned URL."""

import asyncio
import contextlib
import io

import aioboto3
from botocore.config import Config

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEYS, SIZES, content, fetch, finish, step


def client():
    # Signature V4 also for presigned URLs; botocore's own choice for us-east-1 is V2.
    return aioboto3.Session().client(
        "s3", endpoint_url=ENDPOINT, region_name="us-east-1", verify=CA if IS_TLS else None, config=Config(signature_version="s3v4"))


async def get(s3, key, **arguments):
    answer = await s3.get_object(Bucket=BUCKET, Key="aio/" + key, **arguments)
    return await answer["Body"].read()


async def many():
    async with client() as s3:
        async def one(index):
            await s3.put_object(Bucket=BUCKET, Key=f"aio/{index}", Body=content(str(index)), Metadata={"n": str(index)})
            assert await get(s3, str(index)) == content(str(index)), index
            head = await s3.head_object(Bucket=BUCKET, Key=f"aio/{index}")
            assert head["Metadata"] == {"n": str(index)}

        await asyncio.gather(*(one(i) for i in range(40)))


async def sizes():
    async with client() as s3:
        for name in SIZES:
            await s3.upload_fileobj(io.BytesIO(content(name)), BUCKET, "aio/" + name)
            assert await get(s3, name) == content(name), name
        assert await get(s3, "large", Range="bytes=6000000-6000099") == content("large")[6_000_000:6_000_100]


async def odd():
    async with client() as s3:
        for key in [*KEYS, "a//b"]:
            await s3.put_object(Bucket=BUCKET, Key="aio/odd/" + key, Body=content(key))
            await s3.copy_object(Bucket=BUCKET, Key="aio/copy/" + key, CopySource={"Bucket": BUCKET, "Key": "aio/odd/" + key})
            assert await get(s3, "copy/" + key) == content(key), key
        found = [o["Key"] async for page in s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix="aio/copy/", PaginationConfig={"PageSize": 4}) for o in page["Contents"]]
        assert found == sorted(("aio/copy/" + key for key in [*KEYS, "a//b"]), key=str.encode), found
        answer = await s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in found]})
        assert "Errors" not in answer, answer


async def abort():
    async with client() as s3:
        upload = (await s3.create_multipart_upload(Bucket=BUCKET, Key="aio/aborted"))["UploadId"]
        await s3.upload_part(Bucket=BUCKET, Key="aio/aborted", UploadId=upload, PartNumber=1, Body=b"part")
        await s3.abort_multipart_upload(Bucket=BUCKET, Key="aio/aborted", UploadId=upload)
        with contextlib.suppress(s3.exceptions.NoSuchUpload):
            await s3.list_parts(Bucket=BUCKET, Key="aio/aborted", UploadId=upload)
            raise AssertionError("the upload is still there")


async def presigned():
    async with client() as s3:
        await s3.put_object(Bucket=BUCKET, Key="aio/pre signed", Body=content("small"))
        return await s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "aio/pre signed"})


with step("forty at once"):
    asyncio.run(many())
with step("every size, and a range"):
    asyncio.run(sizes())
with step("odd keys, copied, listed, deleted"):
    asyncio.run(odd())
with step("abort of a multipart upload"):
    asyncio.run(abort())
with step("a presigned URL"):
    assert fetch(asyncio.run(presigned())) == content("small")
finish()
