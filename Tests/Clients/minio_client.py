"""The MinIO SDK for Python: objects, multipart, listing, copy, tags, presigned URLs, delete of many."""

import io
import os
import ssl

import urllib3
from minio import Minio
from minio.commonconfig import CopySource, Tags
from minio.deleteobjects import DeleteObject

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEY_ID, KEYS, SECRET, SIZES, WORK, content, finish, sample, same, step

pool = urllib3.PoolManager(ca_certs=CA) if IS_TLS else urllib3.PoolManager()
client = Minio(endpoint=ENDPOINT.split("://")[1], access_key=KEY_ID, secret_key=SECRET, secure=IS_TLS, http_client=pool, region="us-east-1")


def get(key, **arguments):
    answer = client.get_object(bucket_name=BUCKET, object_name=key, **arguments)
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()


with step("put and get of every size"):
    for name, size in SIZES.items():
        client.put_object(bucket_name=BUCKET, object_name="minio/" + name, data=io.BytesIO(content(name)), length=size, metadata={"n": name})
        assert get("minio/" + name) == content(name)
with step("upload of unknown length, in parts"):
    client.put_object(bucket_name=BUCKET, object_name="minio/stream", data=io.BytesIO(content("large")), length=-1, part_size=5 << 20)
    client.fget_object(bucket_name=BUCKET, object_name="minio/stream", file_path=os.path.join(WORK, "minio-stream"))
    same(os.path.join(WORK, "minio-stream"), "large")
with step("odd keys and listing"):
    for key in KEYS:
        client.put_object(bucket_name=BUCKET, object_name="minio/odd/" + key, data=io.BytesIO(content(key)), length=3000)
        assert get("minio/odd/" + key) == content(key), key
    listed = [o.object_name for o in client.list_objects(bucket_name=BUCKET, prefix="minio/odd/", recursive=True)]
    assert listed == sorted(("minio/odd/" + k for k in KEYS), key=lambda k: k.encode())
with step("a range, and stat"):
    assert get("minio/small", offset=7, length=9) == content("small")[7:16]
    assert client.stat_object(bucket_name=BUCKET, object_name="minio/small").size == SIZES["small"]
with step("copy"):
    client.copy_object(bucket_name=BUCKET, object_name="minio/copy", source=CopySource(bucket_name=BUCKET, object_name="minio/odd/with space"))
    assert get("minio/copy") == content("with space")
with step("tags"):
    tags = Tags.new_object_tags()
    tags["a"] = "b c"
    client.set_object_tags(bucket_name=BUCKET, object_name="minio/one", tags=tags)
    assert client.get_object_tags(bucket_name=BUCKET, object_name="minio/one") == tags
with step("presigned"):
    url = client.presigned_get_object(bucket_name=BUCKET, object_name="minio/one")
    assert pool.request("GET", url).data == content("one")
with step("delete of many"):
    errors = list(client.remove_objects(bucket_name=BUCKET, delete_object_list=[DeleteObject("minio/odd/" + k) for k in KEYS]))
    assert errors == []
    assert list(client.list_objects(bucket_name=BUCKET, prefix="minio/odd/", recursive=True)) == []
finish()
