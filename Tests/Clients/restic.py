"""restic: init, backup twice, check with all data, restore, forget with prune."""

import os

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEYS, SIZES, WORK, content, finish, run, sample, step

RESTIC = os.environ["PROGRAM"]
ENV = {"RESTIC_PASSWORD": "secret", "RESTIC_REPOSITORY": f"s3:{ENDPOINT}/{BUCKET}/{os.environ['CLIENT']}", "RESTIC_CACHE_DIR": os.path.join(WORK, "restic-cache")}


def restic(*arguments):
    return run(RESTIC, *(["--cacert", CA] if IS_TLS else []), *arguments, env=ENV)


tree = os.path.join(WORK, "restic")
os.makedirs(tree, exist_ok=True)
for key in KEYS:
    with open(os.path.join(tree, key.replace("/", "_")[:200]), "wb") as file:
        file.write(content(key))
with step("init"):
    restic("init")
with step("backup, twice"):
    restic("backup", tree)
    os.link(sample("large"), os.path.join(tree, "large"))
    restic("backup", tree)
with step("check with all data"):
    restic("check", "--read-data")
with step("restore"):
    restic("restore", "latest", "--target", tree + "-back")
    run("diff", "-r", tree, tree + "-back" + tree)
with step("forget and prune"):
    restic("forget", "--keep-last", "1", "--prune")
    restic("check")
finish()
