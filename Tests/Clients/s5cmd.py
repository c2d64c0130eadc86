"""s5cmd: cp in parallel, ls, sync, cat, rm."""

import os

from steps import BUCKET, CA, ENDPOINT, IS_TLS, SIZES, WORK, content, finish, run, sample, same, step

S5CMD = os.environ["PROGRAM"]
REMOTE = f"s3://{BUCKET}/s5cmd"


def s5cmd(*arguments):
    return run(S5CMD, "--endpoint-url", ENDPOINT, *arguments, env={"AWS_CA_BUNDLE": CA} if IS_TLS else None)


with step("cp of every size, there and back"):
    for name in SIZES:
        s5cmd("cp", "--part-size", "5", sample(name), f"{REMOTE}/{name}")
        s5cmd("cp", f"{REMOTE}/{name}", os.path.join(WORK, "s5-back"))
        same(os.path.join(WORK, "s5-back"), name)
with step("sync of many files, there and back"):
    tree = os.path.join(WORK, "s5-tree")
    for index in range(100):
        os.makedirs(f"{tree}/{index % 7}", exist_ok=True)
        with open(f"{tree}/{index % 7}/file {index} ü", "wb") as file:
            file.write(content(str(index)))
    s5cmd("sync", tree + "/", f"{REMOTE}/tree/")
    s5cmd("sync", f"{REMOTE}/tree/*", tree + "-back/")
    run("diff", "-r", tree, tree + "-back")
with step("ls, cat, rm"):
    assert s5cmd("ls", f"{REMOTE}/tree/*").count(b"file ") == 100
    assert s5cmd("cat", f"{REMOTE}/small") == content("small")
    s5cmd("rm", f"{REMOTE}/*")
finish()
