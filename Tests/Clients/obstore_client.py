"""obstore, on Rust's object_store: objects, multipart, ranges, conditional writes, listing, copy, signed URLs."""

import datetime
import os

import obstore
from obstore.store import S3Store

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEY_ID, KEYS, SECRET, SIZES, content, fetch, finish, step

store = S3Store(
    BUCKET, prefix=os.environ["CLIENT"], endpoint=ENDPOINT, access_key_id=KEY_ID, secret_access_key=SECRET, region="us-east-1",
    virtual_hosted_style_request=False, client_options={"allow_http": True})


def get(path):
    return bytes(obstore.get(store, path).bytes())


with step("put and get of every size"):
    for name in SIZES:
        obstore.put(store, name, content(name), use_multipart=name == "large", chunk_size=5 << 20)
        assert get(name) == content(name), name
with step("ranges"):
    assert bytes(obstore.get_range(store, "small", start=5, length=10)) == content("small")[5:15]
    parts = obstore.get_ranges(store, "small", starts=[0, 100], lengths=[3, 4])
    assert [bytes(p) for p in parts] == [content("small")[:3], content("small")[100:104]]
with step("attributes, signed URLs"):
    obstore.put(store, "meta", content("one"), attributes={"Content-Type": "text/x-a", "n": "value"})
    found = obstore.get(store, "meta").attributes
    assert found["Content-Type"] == "text/x-a" and found["n"] == "value", found
    assert fetch(obstore.sign(store, "GET", "small", datetime.timedelta(minutes=5))) == content("small")
with step("conditional writes"):
    obstore.put(store, "once", b"1", mode="create")
    try:
        obstore.put(store, "once", b"2", mode="create")
        raise AssertionError("written twice")
    except obstore.exceptions.AlreadyExistsError:
        pass
    etag = obstore.head(store, "once")["e_tag"]
    obstore.put(store, "once", b"3", mode={"e_tag": etag})
    assert get("once") == b"3"
with step("odd keys, listing, copy, deletion"):
    plain = [k for k in KEYS if not k.startswith("dots")]
    for key in plain:
        obstore.put(store, "odd/" + key, content(key))
        assert get("odd/" + key) == content(key), key
    listed = [o["path"] for batch in obstore.list(store, prefix="odd") for o in batch]
    assert sorted(listed) == sorted("odd/" + k for k in plain)
    obstore.copy(store, "odd/plain", "copied")
    assert get("copied") == content("plain")
    obstore.delete(store, listed)
    assert [o for batch in obstore.list(store, prefix="odd") for o in batch] == []
finish()
