"""awscli 1 and 2: cp, sync both ways, ls, mv, rm, presign, s3api."""

import json
import os

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEYS, ODD, SIZES, WORK, content, fetch, finish, run, sample, same, step

AWS = os.environ["PROGRAM"]
PREFIX = f"s3://{BUCKET}/{os.path.basename(os.environ['CLIENT'])}"


def aws(*arguments):
    return run(AWS, "--endpoint-url", ENDPOINT, *arguments, env={"AWS_CA_BUNDLE": CA} if IS_TLS else None).decode()


with step("cp of every size, there and back"):
    for name in SIZES:
        aws("s3", "cp", "--only-show-errors", sample(name), f"{PREFIX}/{name}")
        aws("s3", "cp", "--only-show-errors", f"{PREFIX}/{name}", os.path.join(WORK, "aws-back"))
        same(os.path.join(WORK, "aws-back"), name)
with step("sync of a tree, there and back"):
    tree = os.path.join(WORK, "tree")
    for index, key in enumerate(k for k in KEYS if len(k) < 200):
        path = os.path.join(tree, f"{index}", key.replace("/", "_"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content(key))
        # S3's times have whole seconds: a file of this second would look newer than its copy.
        os.utime(path, (1_700_000_000, 1_700_000_000))
    aws("s3", "sync", "--only-show-errors", tree, f"{PREFIX}/tree")
    assert aws("s3", "sync", tree, f"{PREFIX}/tree").strip() == "", "nothing is left to do"
    aws("s3", "sync", "--only-show-errors", f"{PREFIX}/tree", tree + "-back")
    run("diff", "-r", tree, tree + "-back")
with step("ls, mv and rm"):
    assert "large" in aws("s3", "ls", PREFIX + "/")
    aws("s3", "mv", "--only-show-errors", f"{PREFIX}/one", f"{PREFIX}/moved one")
    aws("s3", "cp", "--only-show-errors", f"{PREFIX}/moved one", os.path.join(WORK, "aws-moved"))
    same(os.path.join(WORK, "aws-moved"), "one")
    aws("s3", "rm", "--only-show-errors", "--recursive", f"{PREFIX}/tree")
    assert "tree" not in aws("s3", "ls", PREFIX + "/")
with step("streams"):
    run(AWS, "--endpoint-url", ENDPOINT, "s3", "cp", "-", f"{PREFIX}/stream", input=content("small"), env={"AWS_CA_BUNDLE": CA} if IS_TLS else None)
    assert run(AWS, "--endpoint-url", ENDPOINT, "s3", "cp", f"{PREFIX}/stream", "-", env={"AWS_CA_BUNDLE": CA} if IS_TLS else None) == content("small")
with step("presign"):
    aws("configure", "set", "default.s3.signature_version", "s3v4")
    url = aws("s3", "presign", f"{PREFIX}/stream").strip()
    assert fetch(url) == content("small")
with step("odd keys"):
    for key in [*ODD, "a//b", "q?x=1&y"]:
        aws("s3", "cp", "--only-show-errors", sample(key.replace("/", "_")), f"{PREFIX}/odd/{key}")
        aws("s3", "cp", "--only-show-errors", f"{PREFIX}/odd/{key}", os.path.join(WORK, "aws-odd"))
        same(os.path.join(WORK, "aws-odd"), key.replace("/", "_"))
with step("s3api: metadata, a copy, a range, an aborted upload"):
    folder = PREFIX.split("/", 3)[3]

    def api(name, key, *arguments):
        text = aws("s3api", name, "--bucket", BUCKET, "--key", f"{folder}/{key}", "--output", "json", *arguments)
        return json.loads(text) if text.strip() else None

    api("put-object", "meta", "--body", sample("small"), "--metadata", "n=value", "--content-type", "text/x-a")
    api("copy-object", "meta 2", "--copy-source", f"{BUCKET}/{folder}/meta")
    got = api("get-object", "meta 2", "--range", "bytes=100-199", os.path.join(WORK, "aws-range"))
    assert (got["Metadata"], got["ContentType"], got["ContentLength"]) == ({"n": "value"}, "text/x-a", 100), got
    with open(os.path.join(WORK, "aws-range"), "rb") as file:
        assert file.read() == content("small")[100:200]
    upload = api("create-multipart-upload", "aborted")["UploadId"]
    api("upload-part", "aborted", "--upload-id", upload, "--part-number", "1", "--body", sample("one"))
    api("abort-multipart-upload", "aborted", "--upload-id", upload)
    assert upload not in aws("s3api", "list-multipart-uploads", "--bucket", BUCKET, "--output", "json")
with step("s3api"):
    head = json.loads(aws("s3api", "head-object", "--bucket", BUCKET, "--key", PREFIX.split("/", 3)[3] + "/stream", "--output", "json"))
    assert head["ContentLength"] == len(content("small"))
finish()
