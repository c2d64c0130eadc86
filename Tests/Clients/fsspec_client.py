"""s3fs for fsspec: files, appends by copy, globs, moves, removal of trees."""

import s3fs

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEY_ID, SECRET, SIZES, content, finish, step

fs = s3fs.S3FileSystem(
    key=KEY_ID, secret=SECRET, endpoint_url=ENDPOINT, client_kwargs={"verify": CA if IS_TLS else None, "region_name": "us-east-1"})
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
