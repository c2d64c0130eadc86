"""An OpenStack Swift in one folder, on loopback, that speaks S3: run by run.py with `--backends swift`, or by hand.

    .build/clients/swift/bin/python Tests/Clients/openstack_swift.py FOLDER PORT

One account, one container and one object server with one replica of everything, and a proxy with s3api and tempauth on PORT. The
access key is `test:tester`, its secret `testing`. There is no memcached: without one, Swift remembers nothing between requests. The
servers are children of this program and end with it, however it ends. FOLDER must be on a file system with extended attributes, where
Swift keeps the metadata of objects.
"""

import contextlib
import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
import warnings

# Swift is built on eventlet, which says at each import that it wants to be replaced.
warnings.simplefilter("ignore")
os.environ["PYTHONWARNINGS"] = "ignore"
BIN = os.path.dirname(sys.executable)
KINDS = ["account", "container", "object"]
PIPELINE = "catch_errors gatekeeper healthcheck s3api tempauth bulk slo copy versioned_writes symlink proxy-server"

# hash_path_suffix is what names on disk are salted with.
COMMON = """[swift-hash]
swift_hash_path_suffix = clients

[storage-policy:0]
name = one
default = yes
"""
DEFAULT = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
user = {user}
workers = 0
log_level = WARNING
"""


def configuration(kind, port, folder):
    text = DEFAULT.format(port=port, folder=folder, user=pwd.getpwuid(os.geteuid()).pw_name)
    if kind != "proxy":
        return text + f"\n[pipeline:main]\npipeline = {kind}-server\n\n[app:{kind}-server]\nuse = egg:swift#{kind}\n"
    text += f"\n[pipeline:main]\npipeline = {PIPELINE}\n\n[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
    options = {
        # The largest number of parts that S3 knows, and as many segments in Swift's own large objects.
        "s3api": "location = us-east-1\nmax_upload_part_num = 10000\n",
        "slo": "max_manifest_segments = 10000\n",
        "tempauth": "user_test_tester = testing .admin\n",
        "versioned_writes": "allow_object_versioning = true\n",
    }
    for filter_name in PIPELINE.split()[:-1]:
        text += f"\n[filter:{filter_name}]\nuse = egg:swift#{filter_name}\n" + options.get(filter_name, "")
    return text


def write_rings(folder, ports):
    """Where each kind of server is; the ring of objects belongs to the storage policy."""
    from swift.common.ring import RingBuilder

    for kind in KINDS:
        builder = RingBuilder(4, 1, 1)
        builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": ports[kind], "device": "disk", "weight": 1})
        builder.rebalance()
        builder.get_ring().save(f"{folder}/{kind}.ring.gz")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end_with_parent():
    """Between fork and exec: Linux ends the child when its parent has ended (PR_SET_PDEATHSIG, 1)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main():
    folder, port = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    os.makedirs(folder + "/devices/disk", exist_ok=True)
    with open(folder + "/swift.conf", "w", encoding="utf-8") as file:
        file.write(COMMON)
    ports = {kind: free_port() for kind in KINDS} | {"proxy": port}
    write_rings(folder, ports)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    processes = []
    try:
        # The proxy last: who can reach it finds the others.
        for kind in [*KINDS, "proxy"]:
            path = f"{folder}/{kind}-server.conf"
            with open(path, "w", encoding="utf-8") as file:
                file.write(configuration(kind, ports[kind], folder))
            if kind == "proxy":
                for other in KINDS:
                    wait_for(ports[other], processes)
            processes.append(subprocess.Popen(
                [sys.executable, f"{BIN}/swift-{kind}-server", path, "--verbose"], preexec_fn=end_with_parent, stdin=subprocess.DEVNULL))
        while all(process.poll() is None for process in processes):
            time.sleep(0.2)
        sys.exit("one of Swift's servers ended")
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def wait_for(port, processes):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    sys.exit(f"nobody answers on port {port}")


main()
