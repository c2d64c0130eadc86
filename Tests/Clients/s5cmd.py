"""s5cmd: cp in parallel, ls, sync, cat, rm."""

import os

from steps import BUCKET, CA, ENDPOINT, IS_TLS, ODD, SIZES, WORK, content, fetch, finish, run, sample, same, step

S5CMD = os.environ["PROGRAM"]
REMOTE = f"s3://{BUCKET}/s5cmd"


def s5cmd(*arguments):
    return run(S5CMD, "--endpoint-url", ENDPOINT, *arguments, env={"AWS_CA_BUNDLE": CA} if IS_TLS else None)


with step("cp of every size, there and back"):
    for name in SIZES:
        s5cmd("cp", "--part-size", "5", sample(name), f"{REMOTE}/{name}")
        s5cmd("cp", f"{REMOTE}/{name}", os.path.join(WORK, "s5-back"))
        same(os.path.join(WORK, "s5-back"), name)
with step("odd keys"):
    for key in [*ODD, "a//b"]:
        s5cmd("cp", sample(key.replace("/", "_")), f"{REMOTE}/odd/{key}")
        assert s5cmd("cat", "--raw", f"{REMOTE}/odd/{key}") == content(key.replace("/", "_")), key
with step("copy and move on the server, presign"):
    s5cmd("cp", f"{REMOTE}/small", f"{REMOTE}/copied")
    s5cmd("mv", f"{REMOTE}/copied", f"{REMOTE}/moved")
    assert s5cmd("cat", f"{REMOTE}/moved") == content("small")
    assert fetch(s5cmd("presign", f"{REMOTE}/moved").decode().strip()) == content("small")
with step("more than 1,000 keys, listed and removed"):
    os.makedirs(os.path.join(WORK, "s5-many"))
    for index in range(1101):
        with open(os.path.join(WORK, "s5-many", f"{index:05}"), "wb") as file:
            file.write(b"%d" % index)
    s5cmd("cp", os.path.join(WORK, "s5-many") + "/", f"{REMOTE}/many/")
    assert [line.split()[-1] for line in s5cmd("ls", f"{REMOTE}/many/").splitlines()] == [b"%05d" % i for i in range(1101)]
    s5cmd("rm", f"{REMOTE}/many/*")
    assert b"many" not in s5cmd("ls", f"{REMOTE}/")
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
