"""s3cmd: put, get, multipart, sync, ls, cp, signurl, del."""

import os
import ssl
import urllib.request

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEY_ID, SECRET, SIZES, WORK, content, finish, run, sample, same, step

S3CMD = os.environ["PROGRAM"]
HOST = ENDPOINT.split("://")[1]
CONFIG = os.path.join(WORK, "s3cfg")
with open(CONFIG, "w", encoding="utf-8") as file:
    file.write(
        f"[default]\naccess_key = {KEY_ID}\nsecret_key = {SECRET}\nhost_base = {HOST}\nhost_bucket = {HOST}\nuse_https = {IS_TLS}\n"
        f"ca_certs_file = {CA}\nbucket_location = us-east-1\nmultipart_chunk_size_mb = 5\nprogress_meter = False\n")


def s3cmd(*arguments):
    return run(S3CMD, "-c", CONFIG, *arguments).decode()


with step("put and get of every size"):
    for name in SIZES:
        s3cmd("put", sample(name), f"s3://{BUCKET}/s3cmd/{name}")
        s3cmd("get", "--force", f"s3://{BUCKET}/s3cmd/{name}", os.path.join(WORK, "s3cmd-back"))
        same(os.path.join(WORK, "s3cmd-back"), name)
with step("sync, there and back"):
    tree = os.path.join(WORK, "s3cmd-tree/")
    for index in range(20):
        os.makedirs(f"{tree}{index % 3}", exist_ok=True)
        with open(f"{tree}{index % 3}/file {index}+ü", "wb") as file:
            file.write(content(str(index)))
    s3cmd("sync", tree, f"s3://{BUCKET}/s3cmd/tree/")
    os.makedirs(os.path.join(WORK, "s3cmd-tree-back"), exist_ok=True)
    s3cmd("sync", f"s3://{BUCKET}/s3cmd/tree/", os.path.join(WORK, "s3cmd-tree-back/"))
    run("diff", "-r", tree, os.path.join(WORK, "s3cmd-tree-back"))
with step("ls, cp, info"):
    assert s3cmd("ls", "--recursive", f"s3://{BUCKET}/s3cmd/tree/").count("file ") == 20
    s3cmd("cp", f"s3://{BUCKET}/s3cmd/small", f"s3://{BUCKET}/s3cmd/copy")
    assert str(SIZES["small"]) in s3cmd("info", f"s3://{BUCKET}/s3cmd/copy")
with step("del"):
    s3cmd("del", "--recursive", f"s3://{BUCKET}/s3cmd/")
    assert s3cmd("ls", "--recursive", f"s3://{BUCKET}/s3cmd/").strip() == ""
finish()
