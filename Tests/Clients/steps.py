"""What every client's program shares: where the gateway is, sample content, and one line for each step.

A step compares bytes. It prints `ok NAME`, `FAIL NAME: why`, or `skip NAME: why` where the client itself cannot do it.
"""

import contextlib
import hashlib
import os
import ssl
import subprocess
import sys
import traceback
import urllib.request

ENDPOINT = os.environ["ENDPOINT"]
BUCKET = os.environ["BUCKET"]
KEY_ID = os.environ["AWS_ACCESS_KEY_ID"]
SECRET = os.environ["AWS_SECRET_ACCESS_KEY"]
WORK = os.environ["WORK"]
CA = os.environ["CA_FILE"]
IS_TLS = ENDPOINT.startswith("https://")
# Keys that gateways like to spoil.
KEYS = [
    "plain", "with space", "plus+plus", "percent%41", "a/b", "ünï/çødé", "日本語", "tilde~x", "q?x=1&y", "hash#1",
    "semi;colon,comma=equals@at", "x" * 900, "dots..", "UPPER/lower",
]
# Those of them, and some more, that a client takes on a command line or in a URL without a meaning of its own.
ODD = ["with space", "plus+plus", "percent%41", "slash%2Fslash", "ünï/çødé", "日本語", "tilde~x", "semi;colon,comma=equals@at"]
SIZES = {"empty": 0, "one": 1, "small": 1 << 20, "large": (20 << 20) + 13}
_failures = 0


def content(name):
    """Deterministic bytes for a sample."""
    seed = hashlib.sha256(name.encode()).digest()
    size = SIZES.get(name, 3000)
    block = b"".join(hashlib.sha256(seed + i.to_bytes(4, "big")).digest() for i in range(2048))
    return (block * (size // len(block) + 1))[:size]


def sample(name):
    """A file with the sample's bytes."""
    path = os.path.join(WORK, "sample-" + name)
    if not os.path.exists(path):
        with open(path, "wb") as file:
            file.write(content(name))
    return path


def same(path, name):
    with open(path, "rb") as file:
        assert file.read() == content(name), f"{path} is not {name}"


def fetch(url):
    """What a URL answers to a program that knows nothing of S3."""
    context = ssl.create_default_context(cafile=CA) if IS_TLS else None
    return urllib.request.urlopen(url, context=context, timeout=60).read()


class Skip(Exception):
    pass


@contextlib.contextmanager
def step(name):
    global _failures
    try:
        yield
        print(f"ok {name}", flush=True)
    except Skip as reason:
        print(f"skip {name}: {reason}", flush=True)
    except BaseException as error:  # A client's own exceptions come from everywhere.
        _failures += 1
        last = traceback.format_exc(limit=-2).strip().replace("\n", " | ")
        print(f"FAIL {name}: {last if not str(error) else error}", flush=True)


def run(*arguments, input=None, env=None):
    """A program that must end well; its output."""
    done = subprocess.run(
        [str(a) for a in arguments], input=input, capture_output=True, env={**os.environ, **(env or {})}, timeout=240)
    assert done.returncode == 0, f"{arguments[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-600:]}"
    return done.stdout


def finish():
    sys.exit(1 if _failures else 0)
