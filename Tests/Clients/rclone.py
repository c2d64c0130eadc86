"""rclone: copy, check by hash, sync with deletions, cat of a range, server-side move, purge."""

import os

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEY_ID, KEYS, SECRET, SIZES, WORK, content, fetch, finish, run, sample, step

RCLONE = os.environ["PROGRAM"]
# It is told by --ca-cert, and the variable is refused beside that.
os.environ.pop("AWS_CA_BUNDLE", None)
CONFIG = os.path.join(WORK, "rclone.conf")
with open(CONFIG, "w", encoding="utf-8") as file:
    file.write(f"[s]\ntype = s3\nprovider = Other\naccess_key_id = {KEY_ID}\nsecret_access_key = {SECRET}\nendpoint = {ENDPOINT}\nregion = us-east-1\n")
REMOTE = f"s:{BUCKET}/{os.path.basename(os.environ['CLIENT'])}"


def rclone(*arguments):
    extra = ["--ca-cert", CA] if IS_TLS else []
    return run(RCLONE, "--config", CONFIG, "--s3-upload-cutoff", "6M", "--s3-chunk-size", "5M", "--retries", "1", *extra, *arguments)


tree = os.path.join(WORK, "rclone")
with step("copy of a tree, check by hash"):
    for key in KEYS[:12]:
        path = os.path.join(tree, key if len(key) < 200 else key[:200])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content(key))
    for name in SIZES:
        os.link(sample(name), os.path.join(tree, name))
    rclone("copy", tree, REMOTE)
    rclone("check", tree, REMOTE)
    rclone("check", "--download", tree, REMOTE)
with step("copy back"):
    rclone("copy", REMOTE, tree + "-back")
    run("diff", "-r", tree, tree + "-back")
with step("sync removes what is gone"):
    os.remove(os.path.join(tree, "plain"))
    rclone("sync", tree, REMOTE)
    assert "plain" not in rclone("lsf", REMOTE).decode().split("\n")
with step("a range, and a server-side move"):
    assert rclone("cat", "--offset", "10", "--count", "20", REMOTE + "/small") == content("small")[10:30]
    rclone("moveto", REMOTE + "/small", REMOTE + "/moved")
    assert rclone("cat", REMOTE + "/moved") == content("small")
with step("a copy on the server, a link"):
    rclone("copyto", REMOTE + "/moved", REMOTE + "/copied + ü")
    assert rclone("cat", REMOTE + "/copied + ü") == content("small")
    assert fetch(rclone("link", "--expire", "10m", REMOTE + "/copied + ü").decode().strip()) == content("small")
with step("a stream of unknown length, in parts"):
    run(RCLONE, "--config", CONFIG, "--s3-chunk-size", "5M", "--streaming-upload-cutoff", "5M", *(["--ca-cert", CA] if IS_TLS else []), "rcat",
        REMOTE + "/stream", input=content("large"))
    assert rclone("cat", REMOTE + "/stream") == content("large")
with step("no upload is left open"):
    rclone("cleanup", REMOTE)
    assert os.path.basename(REMOTE).encode() not in rclone("backend", "list-multipart-uploads", REMOTE)
with step("purge"):
    rclone("purge", REMOTE)
    assert rclone("lsf", f"s:{BUCKET}").decode().find(os.path.basename(REMOTE)) < 0
finish()
