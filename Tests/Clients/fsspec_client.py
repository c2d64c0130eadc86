"""s3fs for fsspec: files, appends by copy, globs, moves, removal of trees."""

import s3fs

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEY_ID, ODD, SECRET, SIZES, content, fetch, finish, step

fs = s3fs.S3FileSystem(
    key=KEY_ID, secret=SECRET, endpoint_url=ENDPOINT, client_kwargs={"verify": CA if IS_TLS else None, "region_name": "us-east-1"},
    # Without this, botocore presigns for us-east-1 with Signature V2.
    config_kwargs={"signature_version": "s3v4"})
BASE = f"{BUCKET}/fsspec"
with step("files of every size"):
    for name in SIZES:
        with fs.open(f"{BASE}/{name}", "wb", block_size=5 << 20) as file:
            file.write(content(name))
        with fs.open(f"{BASE}/{name}", "rb") as file:
            assert file.read() == content(name), name
with step("seek, glob, info"):
    with fs.open(f"{BASE}/small", "rb") as file:
        file.seek(500)
        assert file.read(20) == content("small")[500:520]
    assert sorted(fs.glob(f"{BASE}/*")) == sorted(f"{BASE}/{n}" for n in SIZES)
    assert fs.info(f"{BASE}/small")["size"] == SIZES["small"]
with step("odd keys, a copy, ranges"):
    for key in [*ODD, "a//b", "hash#1"]:
        fs.pipe_file(f"{BASE}-odd/{key}", content(key))
        assert fs.cat_file(f"{BASE}-odd/{key}") == content(key), key
        fs.copy(f"{BASE}-odd/{key}", f"{BASE}-copy/{key}")
        assert fs.cat_file(f"{BASE}-copy/{key}", start=10, end=30) == content(key)[10:30], key
    assert sorted(fs.find(f"{BASE}-copy")) == sorted(f"{BASE}-copy/{key}" for key in [*ODD, "a//b", "hash#1"])
with step("metadata, a signed URL"):
    fs.pipe_file(f"{BASE}-meta/x", content("one"), ContentType="text/x-a", Metadata={"n": "value"})
    assert fs.metadata(f"{BASE}-meta/x", refresh=True)["n"] == "value"
    assert fetch(fs.sign(f"{BASE}-meta/x")) == content("one")
with step("append, move, removal"):
    with fs.open(f"{BASE}/one", "ab") as file:
        file.write(b"more")
    assert fs.cat(f"{BASE}/one") == content("one") + b"more"
    fs.mv(f"{BASE}/one", f"{BASE}/dir/moved")
    assert fs.cat(f"{BASE}/dir/moved") == content("one") + b"more"
    fs.rm(BASE, recursive=True)
    fs.invalidate_cache()
    assert not fs.exists(f"{BASE}/small")
finish()
