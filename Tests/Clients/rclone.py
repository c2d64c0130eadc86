"""rclone: copy, check by hash, sync with deletions, cat of a range, server-side move, purge."""

import os

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEY_ID, KEYS, SECRET, SIZES, WORK, content, finish, run, sample, step

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
with step("purge"):
    rclone("purge", REMOTE)
    assert rclone("lsf", f"s:{BUCKET}").decode().find(os.path.basename(REMOTE)) < 0
finish()
