"""aioboto3: many operations at once."""

import asyncio
import io

import aioboto3

from steps import BUCKET, CA, ENDPOINT, IS_TLS, SIZES, content, finish, step


async def work():
    session = aioboto3.Session()
    async with session.client("s3", endpoint_url=ENDPOINT, region_name="us-east-1", verify=CA if IS_TLS else None) as s3:
        async def one(index):
            key = f"aio/{index}"
            await s3.put_object(Bucket=BUCKET, Key=key, Body=content(str(index)))
            got = await s3.get_object(Bucket=BUCKET, Key=key)
            assert await got["Body"].read() == content(str(index)), key

        await asyncio.gather(*(one(i) for i in range(40)))
        await s3.upload_fileobj(io.BytesIO(content("large")), BUCKET, "aio/large")
        got = await s3.get_object(Bucket=BUCKET, Key="aio/large")
        assert await got["Body"].read() == content("large")


with step("forty at once, and a multipart upload"):
    asyncio.run(work())
finish()
