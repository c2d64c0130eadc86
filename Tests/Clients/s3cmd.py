"""s3cmd: put, get, multipart, sync, ls, cp, signurl, del."""

import os

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEY_ID, ODD, SECRET, SIZES, WORK, Skip, content, fetch, finish, run, sample, same, step

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
with step("odd keys"):
    for key in [*ODD, "a//b", "q?x=1&y"]:
        s3cmd("put", sample(key.replace("/", "_")), f"s3://{BUCKET}/s3cmd/odd/{key}")
        s3cmd("get", "--force", f"s3://{BUCKET}/s3cmd/odd/{key}", os.path.join(WORK, "s3cmd-odd"))
        same(os.path.join(WORK, "s3cmd-odd"), key.replace("/", "_"))
    listed = s3cmd("ls", "--recursive", f"s3://{BUCKET}/s3cmd/odd/")
    assert all(f"/odd/{key}\n" in listed for key in [*ODD, "a//b", "q?x=1&y"]), listed
with step("a download that goes on where it stopped"):
    target = os.path.join(WORK, "s3cmd-continued")
    with open(target, "wb") as file:
        file.write(content("large")[:7_000_001])
    s3cmd("get", "--continue", f"s3://{BUCKET}/s3cmd/large", target)
    same(target, "large")
with step("metadata, kept by cp and changed by modify"):
    s3cmd("put", "--add-header=x-amz-meta-n:value 1", "--mime-type=text/x-a", sample("one"), f"s3://{BUCKET}/s3cmd/meta")
    s3cmd("cp", f"s3://{BUCKET}/s3cmd/meta", f"s3://{BUCKET}/s3cmd/meta copy")
    shown = s3cmd("info", f"s3://{BUCKET}/s3cmd/meta copy")
    assert "value 1" in shown and "text/x-a" in shown, shown
    s3cmd("modify", "--add-header=x-amz-meta-n:value 2", f"s3://{BUCKET}/s3cmd/meta copy")
    assert "value 2" in s3cmd("info", f"s3://{BUCKET}/s3cmd/meta copy")
with step("no upload is left open"):
    left = [line for line in s3cmd("multipart", f"s3://{BUCKET}").splitlines() if f"{BUCKET}/s3cmd/" in line]
    assert left == [], left
with step("signurl"):
    url = s3cmd("signurl", f"s3://{BUCKET}/s3cmd/small", "+600").strip()
    if "X-Amz-Signature" not in url:
        raise Skip("this version signs URLs with Signature V2 only")
    assert fetch(url) == content("small")
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
