"""s3fs over FUSE: a mounted bucket, used by plain programs."""

import os
import time

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEY_ID, SECRET, WORK, content, finish, run, sample, same, step

mount = os.path.join(WORK, "mount")
os.makedirs(mount, exist_ok=True)
password = os.path.join(WORK, "fuse-password")
with open(os.open(password, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
    file.write(f"{KEY_ID}:{SECRET}\n")
options = f"passwd_file={password},url={ENDPOINT},use_path_request_style,endpoint=us-east-1,multipart_size=5,retries=2"
run(os.environ["PROGRAM"], f"{BUCKET}:/", mount, "-o", options, env={"CURL_CA_BUNDLE": CA} if IS_TLS else None)
try:
    with step("write and read"):
        os.makedirs(f"{mount}/fuse", exist_ok=True)
        for name in ["empty", "one", "small", "large"]:
            run("cp", sample(name), f"{mount}/fuse/{name}")
            same(f"{mount}/fuse/{name}", name)
    with step("append and change in place"):
        with open(f"{mount}/fuse/small", "r+b") as file:
            file.seek(10)
            file.write(b"changed")
        wanted = content("small")
        with open(f"{mount}/fuse/small", "rb") as file:
            assert file.read() == wanted[:10] + b"changed" + wanted[17:]
    with step("list, rename, remove"):
        os.rename(f"{mount}/fuse/one", f"{mount}/fuse/moved one")
        same(f"{mount}/fuse/moved one", "one")
        assert sorted(os.listdir(f"{mount}/fuse")) == ["empty", "large", "moved one", "small"]
        for name in os.listdir(f"{mount}/fuse"):
            os.remove(f"{mount}/fuse/{name}")
        os.rmdir(f"{mount}/fuse")
finally:
    run("fusermount", "-u", mount)
finish()
