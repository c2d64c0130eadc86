"""The processes of a chaos run: Postgres, backends behind their proxies, and several `sluice serve` on them."""

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

import boto3
from botocore.config import Config

import postgres_proxy
from fault_proxy import FaultProxy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLUICE = os.environ.get("SLUICE", ROOT + "/.build/debug/sluice")
TOOLS = os.environ.get("SLUICE_TEST_TOOLS", ROOT + "/.build/test-tools/bin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(what, ask, limit=60):
    deadline = time.monotonic() + limit
    error = None
    while time.monotonic() < deadline:
        try:
            if ask():
                return
            error = None
        # While processes end and start, whatever asks them may fail in any way.
        except Exception as one:
            error = one
        time.sleep(0.1)
    raise RuntimeError(f"{what} did not happen within {limit} s" + (f"; {error}" if error else ""))


@dataclasses.dataclass
class Backend:
    # Its folder in the fleet's, and the name of its proxy. A name is used once; what has it may come back under another.
    place: str
    state: str = "active"
    # The map of `removal`, and a key prefix that is not the default.
    removal: str = ""
    prefix: str = ""


class Fleet:
    def __init__(self, seed, postgres_modes, gateways=2, disks=2, spec="", safety=""):
        """`spec` and `safety` are more lines of the fleet's spec, and more entries of its `safety`."""
        self.folder = tempfile.mkdtemp(prefix="sluice-chaos.")
        os.chmod(self.folder, 0o755)
        self.spec, self.safety = spec, safety
        self.disks = [f"disk{number}" for number in range(1, disks + 1)]
        self.backends = {name: Backend(name) for name in self.disks + ["s3a", "s3b"]}
        self.factor = 2
        self.servers, self.proxies, self.gateways = [], {}, [None] * gateways
        self.ports = [(free_port(), free_port()) for _ in range(gateways)]
        # The gateway that a fault keeps stopped for long, where there is one: a balancer would send it few requests.
        self.stopped = None
        for name in self.disks:
            os.makedirs(f"{self.folder}/{name}")
        for index, name in enumerate(["s3a", "s3b"]):
            os.makedirs(f"{self.folder}/{name}/data")
            port = free_port()
            self.servers.append(subprocess.Popen(
                [TOOLS + "/rclone", "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", "backendkey,backendsecret", "--vfs-cache-mode", "off",
                 "--log-level", "ERROR", f"{self.folder}/{name}"], env={**os.environ, "RCLONE_CONFIG": "/dev/null"},
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            eventually("rclone", lambda port=port: socket.create_connection(("127.0.0.1", port)).close() or True)
            self.proxies[name] = FaultProxy(port, seed + index)
        self.start_postgres()
        self.postgres = None
        if postgres_modes:
            self.postgres = postgres_proxy.PostgresProxy(postgres_proxy.socket_path(self.url), seed + 2, self.folder + "/postgres_proxy.log")
        self.postgres_modes = postgres_modes
        self.write_spec()
        for index in range(gateways):
            self.start(index)
        for index in range(gateways):
            eventually("a gateway is ready", lambda index=index: self.is_ready(index))

    def start_postgres(self):
        done = subprocess.run([ROOT + "/scripts/postgres", "start", self.folder + "/pg"], check=True, capture_output=True, text=True)
        self.url = done.stdout.strip()

    def kill_postgres(self):
        """As a crash: what was not flushed is lost. Its children end by themselves."""
        with open(self.folder + "/pg/data/postmaster.pid", encoding="utf-8") as file:
            pid = int(file.readline())
        os.kill(pid, signal.SIGKILL)
        eventually("Postgres is gone", lambda: not os.path.exists(f"/proc/{pid}"))
        # The shared memory of the dead one must be free before the next may start.
        eventually("Postgres is back", lambda: self.start_postgres() or True)

    def sql(self, statement):
        done = subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.url, "-c", statement], capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.rstrip("\n")

    def root(self, backend):
        """Where the files of a backend's objects are."""
        return f"{self.folder}/{backend.place}" + ("/data" if backend.place in self.proxies else "")

    def text(self, backends, number):
        text = (
            "apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: chaos }\nspec:\n"
            f"  replication: {{ factor: {self.factor}, repairDelay: 5s }}\n  reconcile: {{ interval: 1s }}\n{self.spec}"
            f"  safety: {{ readGrace: 2s, trimDelay: 3s, maxConcurrentDrains: 2, orphanQuarantine: 10s{self.safety} }}\n"
            "---\napiVersion: sluice/v1\nkind: Bucket\n"
            "metadata: { name: chaos }\nspec:\n  credentials: [ { accessKeyId: chaoskey, secretAccessKey: chaossecret } ]\n"
            # The number keeps each edit from being an old file that comes back.
            f"# edit {number}\n")
        for name, backend in backends.items():
            text += f"---\napiVersion: sluice/v1\nkind: Backend\nmetadata: {{ name: {name} }}\nspec:\n  state: {backend.state}\n"
            if backend.place in self.proxies:
                text += f"  endpoint: http://127.0.0.1:{self.proxies[backend.place].port}\n  bucket: data\n"
                text += "  credentials: { accessKeyId: backendkey, secretAccessKey: backendsecret }\n"
            else:
                text += f"  endpoint: file://{self.folder}/{backend.place}\n"
            if backend.prefix:
                text += f"  keyPrefix: {backend.prefix}\n"
            if backend.removal:
                text += f"  removal: {backend.removal}\n"
        return text

    def write_spec(self, backends=None, folder="specs"):
        """What is in force, or in another folder what is only to be asked about."""
        number = time.time_ns()
        os.makedirs(f"{self.folder}/{folder}", exist_ok=True)
        with open(f"{self.folder}/{folder}.new", "w", encoding="utf-8") as file:
            file.write(self.text(self.backends if backends is None else backends, number))
        os.rename(f"{self.folder}/{folder}.new", f"{self.folder}/{folder}/fleet.yaml")
        if folder == "specs":
            self.edit, self.edited_at = number, time.monotonic()

    def is_edit_in_force(self):
        """Whether some gateway has taken up what was written last."""
        last = self.sql("SELECT redacted_text FROM spec_revision ORDER BY revision DESC LIMIT 1")
        return f"# edit {self.edit}\n" in last

    def environment(self, index):
        database = postgres_proxy.proxied(self.url, self.postgres.port) if self.postgres else self.url
        return {
            **os.environ, "SLUICE_SPEC": self.folder + "/specs", "SLUICE_DATABASE_URL": database,
            "SLUICE_LISTEN": f"127.0.0.1:{self.ports[index][0]}", "SLUICE_ADMIN_LISTEN": f"127.0.0.1:{self.ports[index][1]}",
            "SLUICE_INSTANCE": f"gateway{index}", "SLUICE_LOG_LEVEL": "warning",
        }

    def start(self, index, crash_at=""):
        """`crash_at` is a crash point and a count: the process kills itself there."""
        with open(f"{self.folder}/gateway{index}.log", "ab") as log:
            self.gateways[index] = subprocess.Popen([SLUICE, "serve"], env={**self.environment(index), "SLUICE_CRASH_AT": crash_at}, stdout=log, stderr=log)

    def restart_ended(self, violations, armed=()):
        """As a supervisor would; but no fault of the schedule is a reason for a gateway to end, unless it is armed with a crash point."""
        for index, gateway in enumerate(self.gateways):
            if index not in armed and gateway.poll() is not None:
                with open(f"{self.folder}/gateway{index}.log", encoding="utf-8", errors="replace") as log:
                    last = log.readlines()[-1:]
                violations.append(f"gateway{index} ended by itself with {gateway.returncode}; its log's end: {''.join(last).strip()}")
                self.start(index)

    def is_ready(self, index):
        if self.gateways[index].poll() is not None:
            raise RuntimeError("a gateway ended")
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[index][1]}/readyz", timeout=2) as answer:
            return answer.status == 200

    def client(self, index, patience=15):
        # One attempt an operation: one that is repeated silently may have happened although its last answer says 503.
        return boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{self.ports[index][0]}", aws_access_key_id="chaoskey", aws_secret_access_key="chaossecret",
            region_name="us-east-1", config=Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=patience, max_pool_connections=2))

    def close(self, keeps):
        gateways = [gateway for gateway in self.gateways if gateway]
        for gateway in gateways:
            with contextlib.suppress(ProcessLookupError):
                gateway.send_signal(signal.SIGCONT)
                gateway.terminate()
        for gateway in gateways:
            try:
                gateway.wait(30)
            except subprocess.TimeoutExpired:
                gateway.kill()
        for server in self.servers:
            server.terminate()
            server.wait()
        subprocess.run([ROOT + "/scripts/postgres", "stop", self.folder + "/pg"], capture_output=True)
        if keeps:
            print(f"kept for a look: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
