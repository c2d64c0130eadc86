"""Faults under load, for some minutes, and then a checker. See scripts/chaos.

Two `sluice serve` on one Postgres, two directories and two S3 servers behind fault proxies. Clients write, read and delete through
both gateways and keep their own history, while a seeded schedule kills and stops gateways, kills Postgres and its connections, makes
backends fail in many ways, takes a disk away, edits the spec (drains, cancels, factor), and loses, delays and cuts what the gateways
and Postgres say to each other. Then all faults stop; it must converge, and the histories, the catalog and the backends must agree:

- each object is what its history allows: nothing acknowledged is lost, nothing deleted comes back, no byte is another's
- counters equal rows; each current version has its copies; each live row has its bytes; no bytes are there that no row names: what a
  crash of Postgres left behind without its intent, the inventory has found and removed
"""

import argparse
import collections
import contextlib
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import boto3
import botocore
from botocore.config import Config

import postgres_proxy
from fault_proxy import MODES, FaultProxy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLUICE = os.environ.get("SLUICE", ROOT + "/.build/debug/sluice")
TOOLS = os.environ.get("SLUICE_TEST_TOOLS", ROOT + "/.build/test-tools/bin")
NAMES = ["disk1", "disk2", "s3a", "s3b"]
# Whose requests and answers go wrong, by what their SQL contains; two names are one chain of faults. Empty: any statement.
POSTGRES_TARGETS = [
    ("commit_v",), ("commit_v",), ("commit_v", "resolve_v"), ("commit_v", "resolve_v", "give_up_v"), ("delete_v",), ("delete_v",),
    ("intend_v",), ("give_up_v",), ("claim_v",), ("intend_copy_v",), ("commit_copy_v",), ("doom_v",), ("settle_v",), ("accept_v",),
    ("change_phase_v",), ("create_upload_v", "open_upload_v"), ("record_part_v",), ("begin_complete_v",), (),
]
# A killed worker's claims are its own until their lease is over (ReconcilerLimits: 300 s).
CONVERGENCE_LIMIT = float(os.environ.get("SLUICE_CHAOS_LIMIT", "480"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(what, ask, limit=60):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception):
            if ask():
                return
        time.sleep(0.1)
    raise RuntimeError(f"{what} did not happen within {limit} s")


class Fleet:
    def __init__(self, seed, postgres_modes):
        self.folder = tempfile.mkdtemp(prefix="sluice-chaos.")
        os.chmod(self.folder, 0o755)
        self.states = {name: "active" for name in NAMES}
        self.factor = 2
        self.servers, self.proxies, self.gateways = [], {}, [None, None]
        self.ports = [(free_port(), free_port()) for _ in range(2)]
        for name in ["disk1", "disk2"]:
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
        for index in range(2):
            self.start(index)
        for index in range(2):
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
        done = subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.url, "-c", statement], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.rstrip("\n")

    def write_spec(self):
        text = (
            "apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: chaos }\nspec:\n"
            f"  replication: {{ factor: {self.factor}, repairDelay: 5s }}\n  reconcile: {{ interval: 1s }}\n"
            "  safety: { readGrace: 2s, trimDelay: 3s, maxConcurrentDrains: 2, orphanQuarantine: 10s }\n---\napiVersion: sluice/v1\nkind: Bucket\n"
            "metadata: { name: chaos }\nspec:\n  credentials: [ { accessKeyId: chaoskey, secretAccessKey: chaossecret } ]\n"
            # The number keeps each edit from being an old file that comes back.
            f"# edit {time.time_ns()}\n")
        for name in NAMES:
            where = f"endpoint: file://{self.folder}/{name}"
            if name in self.proxies:
                where = f"endpoint: http://127.0.0.1:{self.proxies[name].port}\n  bucket: data\n  credentials: {{ accessKeyId: backendkey, secretAccessKey: backendsecret }}"
            text += f"---\napiVersion: sluice/v1\nkind: Backend\nmetadata: {{ name: {name} }}\nspec:\n  state: {self.states[name]}\n  {where}\n"
        os.makedirs(self.folder + "/specs", exist_ok=True)
        with open(self.folder + "/specs.new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.folder + "/specs.new", self.folder + "/specs/fleet.yaml")

    def environment(self, index):
        database = postgres_proxy.proxied(self.url, self.postgres.port) if self.postgres else self.url
        return {
            **os.environ, "SLUICE_SPEC": self.folder + "/specs", "SLUICE_DATABASE_URL": database,
            "SLUICE_LISTEN": f"127.0.0.1:{self.ports[index][0]}", "SLUICE_ADMIN_LISTEN": f"127.0.0.1:{self.ports[index][1]}",
            "SLUICE_INSTANCE": f"gateway{index}", "SLUICE_LOG_LEVEL": "warning",
        }

    def start(self, index):
        with open(f"{self.folder}/gateway{index}.log", "ab") as log:
            self.gateways[index] = subprocess.Popen([SLUICE, "serve"], env=self.environment(index), stdout=log, stderr=log)

    def restart_ended(self, violations):
        """As a supervisor would; but no fault of the schedule is a reason for a gateway to end."""
        for index, gateway in enumerate(self.gateways):
            if gateway.poll() is not None:
                with open(f"{self.folder}/gateway{index}.log", encoding="utf-8", errors="replace") as log:
                    last = log.readlines()[-1:]
                violations.append(f"gateway{index} ended by itself with {gateway.returncode}; its log's end: {''.join(last).strip()}")
                self.start(index)

    def is_ready(self, index):
        if self.gateways[index].poll() is not None:
            raise RuntimeError("a gateway ended")
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[index][1]}/readyz", timeout=2) as answer:
            return answer.status == 200

    def client(self, index):
        # One attempt an operation: one that is repeated silently may have happened although its last answer says 503.
        return boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{self.ports[index][0]}", aws_access_key_id="chaoskey", aws_secret_access_key="chaossecret",
            region_name="us-east-1", config=Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=15, max_pool_connections=2))

    def close(self, keeps):
        for gateway in self.gateways:
            with contextlib.suppress(ProcessLookupError):
                gateway.send_signal(signal.SIGCONT)
                gateway.terminate()
        for gateway in self.gateways:
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


def content(tag, size):
    block = hashlib.sha256(tag.encode()).digest() * 32
    return (tag.encode() + b"|" + block * (size // len(block) + 1))[: size + len(tag) + 1]


class Worker(threading.Thread):
    """Owns its keys, so that its history says what each may be. An operation without a clear answer leaves both outcomes possible."""

    def __init__(self, fleet, number, seed, stop, tally, violations):
        super().__init__(daemon=True)
        self.fleet, self.number, self.stop, self.tally, self.violations = fleet, number, stop, tally, violations
        self.random = random.Random(seed * 1000 + number)
        self.keys = {f"w{number}/k{i}": {None} for i in range(12)}
        # Sizes by tag, for what may still arrive.
        self.sizes = {}
        self.serial = 0

    def matches(self, key, body):
        return any(tag is not None and body == content(tag, self.sizes[tag]) for tag in self.keys[key])

    def run(self):
        clients = [self.fleet.client(0), self.fleet.client(1)]
        while not self.stop.is_set():
            key = self.random.choice(list(self.keys))
            client = self.random.choice(clients)
            kind = self.random.choices(["put", "multipart", "get", "delete"], [40, 6, 40, 14])[0]
            try:
                getattr(self, kind)(client, key)
                self.tally[kind + " ok"] += 1
            except botocore.exceptions.ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                self.tally[f"{kind} {status}"] += 1
                if status < 500 and not (kind == "get" and status == 404) and error.response["Error"]["Code"] not in ("NoSuchUpload", "RequestTimeout"):
                    self.violations.append(f"{kind} {key}: {error}")
                time.sleep(0.05)
            except (botocore.exceptions.BotoCoreError, OSError):
                self.tally[f"{kind} no answer"] += 1
                time.sleep(0.1)

    def tag(self, key, size):
        self.serial += 1
        tag = f"{key}#{self.serial}"
        self.sizes[tag] = size
        return tag

    def write(self, key, tag, call):
        before = self.keys[key]
        self.keys[key] = before | {tag}
        try:
            call()
        except botocore.exceptions.ClientError as error:
            # 503 says that nothing was stored, and what says 4xx was refused; anything else may have happened.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 503:
                self.keys[key] = before
            raise
        # Attempts without an answer, of before, may still come to their end in a gateway that was stopped.
        self.keys[key] = {tag} | {t for t in before if t in self.unclear(key)}

    def unclear(self, key):
        return self.pending.setdefault(key, set())

    pending = None

    def put(self, client, key):
        size = self.random.choice([0, 100, 5000, 70_000, 300_000])
        tag = self.tag(key, size)
        self.attempt(key, tag, lambda: self.write(key, tag, lambda: client.put_object(Bucket="chaos", Key=key, Body=content(tag, size))))

    def multipart(self, client, key):
        size = (5 << 20) + self.random.randrange(200_000)
        tag = self.tag(key, size)
        body = content(tag, size)

        def call():
            upload = client.create_multipart_upload(Bucket="chaos", Key=key)["UploadId"]
            parts = []
            for number, start in enumerate([0, 5 << 20], 1):
                part = client.upload_part(Bucket="chaos", Key=key, UploadId=upload, PartNumber=number, Body=body[start:start + (5 << 20)])
                parts.append({"PartNumber": number, "ETag": part["ETag"]})
            client.complete_multipart_upload(Bucket="chaos", Key=key, UploadId=upload, MultipartUpload={"Parts": parts})

        self.attempt(key, tag, lambda: self.write(key, tag, call))

    def delete(self, client, key):
        self.attempt(key, None, lambda: self.write(key, None, lambda: client.delete_object(Bucket="chaos", Key=key)))

    def attempt(self, key, tag, call):
        if self.pending is None:
            self.pending = {}
        try:
            call()
        except BaseException as error:
            if tag in self.keys[key]:
                self.unclear(key).add(tag)
            raise error

    def get(self, client, key):
        if self.pending is None:
            self.pending = {}
        possible = set(self.keys[key])
        try:
            body = client.get_object(Bucket="chaos", Key=key)["Body"].read()
        except botocore.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404 and None not in possible:
                self.violations.append(f"get {key}: gone, though it may only be one of {sorted(possible)}")
            raise
        if not self.matches(key, body):
            self.violations.append(f"get {key}: {len(body)} bytes beginning {body[:40]!r} are none of {sorted(map(str, possible))}")


class Chaos:
    def __init__(self, fleet, seed, counts):
        self.fleet, self.random, self.counts = fleet, random.Random(seed), counts

    def one(self):
        kinds = [
            "kill a gateway", "stop a gateway", "kill Postgres", "end connections of Postgres", "fail a backend", "fail a backend",
            "fail a backend", "take a disk away", "drain", "undrain", "change the factor",
        ]
        # These wait for their requests in the background, so that they meet the other faults.
        if self.fleet.postgres:
            kinds += ["fail a connection of Postgres"] * 8
        kind = self.random.choice(kinds)
        self.counts[kind] += 1
        getattr(self, kind.replace(" ", "_"))()

    def kill_a_gateway(self):
        index = self.random.randrange(2)
        self.fleet.gateways[index].kill()
        self.fleet.gateways[index].wait()
        time.sleep(self.random.uniform(0, 1))
        self.fleet.start(index)

    def stop_a_gateway(self):
        gateway = self.fleet.gateways[self.random.randrange(2)]
        gateway.send_signal(signal.SIGSTOP)
        time.sleep(self.random.uniform(1, 8))
        gateway.send_signal(signal.SIGCONT)

    def kill_Postgres(self):
        self.fleet.kill_postgres()

    def end_connections_of_Postgres(self):
        with contextlib.suppress(RuntimeError):
            self.fleet.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")

    def fail_a_connection_of_Postgres(self):
        mode = self.random.choice(self.fleet.postgres_modes)
        self.counts["  " + mode] += 1
        # A gateway waits 30 s for a reply; one in ten comes too late for that.
        seconds = 33 if self.random.random() < 0.1 else self.random.uniform(0.1, 8)
        if mode in postgres_proxy.CONNECTION_MODES:
            self.fleet.postgres.arm(mode, within=min(seconds, 8))
            if mode == "refuse connections":
                self.fleet.postgres.end_connections()
            return
        targets = self.random.choice(POSTGRES_TARGETS)
        self.fleet.postgres.arm(mode, targets, times=self.random.randint(1, 12), within=self.random.uniform(5, 20), seconds=seconds)
        # What load does not call by itself.
        if targets == ("accept_v",):
            self.fleet.write_spec()
        if targets == ("change_phase_v",):
            self.random.choice([self.drain, self.undrain])()

    def fail_a_backend(self):
        proxy = self.fleet.proxies[self.random.choice(["s3a", "s3b"])]
        mode = self.random.choice(MODES)
        self.counts["  " + mode] += 1
        proxy.set(mode)
        time.sleep(self.random.uniform(0.5, 8))
        proxy.set("pass")

    def take_a_disk_away(self):
        path = f"{self.fleet.folder}/{self.random.choice(['disk1', 'disk2'])}"
        os.rename(path, path + "-away")
        time.sleep(self.random.uniform(0.5, 8))
        # Somebody may have made an empty folder in its place meanwhile: that is the fault, and it goes.
        if os.path.isdir(path):
            shutil.rmtree(path)
        os.rename(path + "-away", path)

    def drain(self):
        # Two stay active, as many as the factor asks for.
        active = [name for name in NAMES if self.fleet.states[name] == "active"]
        if len(active) > 2:
            self.fleet.states[self.random.choice(active)] = "draining"
            self.fleet.write_spec()

    def undrain(self):
        leaving = [name for name in NAMES if self.fleet.states[name] == "draining"]
        if leaving:
            self.fleet.states[self.random.choice(leaving)] = "active"
            self.fleet.write_spec()

    def change_the_factor(self):
        self.fleet.factor = self.random.choice([1, 2, 3])
        self.fleet.write_spec()


def take_inventory(fleet, violations):
    """Waits until each backend was looked through often enough that what no row names has gone."""
    rounds = "SELECT coalesce(min(round), 0) FROM inventory i JOIN backend b ON b.id = i.backend_id WHERE b.phase = 'active'"
    # Seen in two rounds, and then for the length of the quarantine, which is two rounds.
    wanted = int(fleet.sql(rounds)) + 6

    def is_clean():
        # Open uploads without a row are shown and not touched: nobody knows whose they are.
        left = fleet.sql("SELECT count(*) FROM orphan WHERE NOT is_upload"), fleet.sql("SELECT count(*) FROM copy WHERE state = 'doomed' AND NOT seen_absent")
        is_clean.last = f"round {fleet.sql(rounds)} of {wanted}; orphans, copies to delete: {left}"
        return int(fleet.sql(rounds)) >= wanted and left == ("0", "0")

    try:
        eventually("the inventory is clean", is_clean, CONVERGENCE_LIMIT)
    except RuntimeError as error:
        violations.append(f"{error}: {is_clean.last}")


def check(fleet, workers, violations):
    """Everything that must hold once faults stopped and the fleet converged."""
    clients = [fleet.client(0), fleet.client(1)]
    for worker in workers:
        for key in worker.keys:
            for client in clients:
                try:
                    body = client.get_object(Bucket="chaos", Key=key)["Body"].read()
                    if not worker.matches(key, body):
                        violations.append(f"at the end {key}: {len(body)} bytes beginning {body[:40]!r} are none of {sorted(map(str, worker.keys[key]))}")
                except botocore.exceptions.ClientError as error:
                    if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404 or None not in worker.keys[key]:
                        violations.append(f"at the end {key}: {error}; may be {sorted(map(str, worker.keys[key]))}")
    drift = fleet.sql("""
        SELECT count(*) FROM (SELECT backend_id, sum(writing_copies) a, sum(writing_bytes) b, sum(live_copies) c, sum(live_bytes) d,
            sum(doomed_copies) e, sum(doomed_bytes) f FROM backend_usage GROUP BY 1) u FULL JOIN (SELECT backend_id,
            count(*) FILTER (WHERE state = 'writing') a, coalesce(sum(bytes) FILTER (WHERE state = 'writing'), 0) b,
            count(*) FILTER (WHERE state = 'live') c, coalesce(sum(bytes) FILTER (WHERE state = 'live'), 0) d,
            count(*) FILTER (WHERE state = 'doomed') e, coalesce(sum(bytes) FILTER (WHERE state = 'doomed'), 0) f FROM copy GROUP BY 1) r
            USING (backend_id) WHERE (coalesce(u.a,0), coalesce(u.b,0), coalesce(u.c,0), coalesce(u.d,0), coalesce(u.e,0), coalesce(u.f,0))
            IS DISTINCT FROM (coalesce(r.a,0), coalesce(r.b,0), coalesce(r.c,0), coalesce(r.d,0), coalesce(r.e,0), coalesce(r.f,0))""")
    if drift != "0":
        violations.append(f"the counters of {drift} backends differ from their rows")
    short = fleet.sql(f"""
        SELECT count(*) FROM object o WHERE o.current_version IS NOT NULL AND (SELECT count(*) FROM copy c WHERE c.version_id = o.current_version
            AND c.state = 'live' AND NOT c.suspect) < {fleet.factor}""")
    if short != "0":
        violations.append(f"{short} objects have fewer copies than the factor {fleet.factor}")
    for name in NAMES:
        root = f"{fleet.folder}/{name}" + ("/data" if name in fleet.proxies else "")
        files = set()
        for folder, _, names in os.walk(root):
            for one in names:
                path = os.path.relpath(os.path.join(folder, one), root)
                # rclone keeps the parts of uploads that are open in files of its own.
                if not path.endswith("~meta") and ".sluice" not in path and ".rclone_temp_multipart_" not in path:
                    files.add(path)
        rows = dict(
            line.rsplit("|", 1) for line in fleet.sql(
                f"SELECT c.physical_key, c.state FROM copy c JOIN backend b ON b.id = c.backend_id WHERE b.name = '{name}' AND c.state <> 'gone'"
            ).split("\n") if line)
        for path in sorted(files - rows.keys()):
            violations.append(f"{name}: no row names {path}")
        for path, state in rows.items():
            if state == "live" and path not in files:
                violations.append(f"{name}: a live row without its bytes, {path}")


def main():
    parser = argparse.ArgumentParser(prog="scripts/chaos")
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--workers", type=int, default=6)
    modes = postgres_proxy.MODES + postgres_proxy.CONNECTION_MODES
    parser.add_argument(
        "--postgres-faults", default="all", metavar="MODES",
        help=f"what happens between gateways and Postgres: all, none (they connect directly), or some of, with commas: {', '.join(modes)}")
    options = parser.parse_args()
    postgres_modes = {"all": modes, "none": []}.get(options.postgres_faults, options.postgres_faults.split(","))
    unknown = set(postgres_modes) - set(modes)
    if unknown:
        parser.error(f"--postgres-faults: {', '.join(sorted(unknown))}: not one of {', '.join(modes)}")
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    tally, counts, violations = collections.Counter(), collections.Counter(), []
    fleet = Fleet(seed, postgres_modes)
    isFine = False
    try:
        stop = threading.Event()
        workers = [Worker(fleet, number, seed, stop, tally, violations) for number in range(options.workers)]
        for worker in workers:
            worker.start()
        chaos = Chaos(fleet, seed, counts)
        end = time.monotonic() + options.minutes * 60
        while time.monotonic() < end:
            time.sleep(chaos.random.uniform(0.2, 1.5))
            chaos.one()
            fleet.restart_ended(violations)
        print(f"{sum(tally.values())} operations, {sum(counts.values())} faults; now all faults stop", flush=True)
        stop.set()
        for worker in workers:
            worker.join(60)

        # Faults stop; what is draining may go on doing so.
        for proxy in fleet.proxies.values():
            proxy.set("pass")
        if fleet.postgres:
            fleet.postgres.disarm()
            # A request that is late may change something: not while the checker looks.
            eventually("the last late request arrived", fleet.postgres.is_settled)
        fleet.factor = 2
        fleet.states = {name: "active" for name in NAMES}
        fleet.write_spec()
        began = time.monotonic()
        for index in range(2):
            # One that was starting when the last fault came may end even now.
            eventually("a gateway is ready", lambda index=index: fleet.restart_ended(violations) or fleet.is_ready(index), 90)

        def isConverged():
            left = fleet.sql("""SELECT (SELECT count(*) FROM copy WHERE state = 'writing' AND upload_id IS NULL),
                (SELECT count(*) FROM copy WHERE state = 'doomed' AND NOT may_arrive_late),
                (SELECT count(*) FROM copy WHERE state = 'live' AND suspect)""")
            done = subprocess.run([SLUICE, "reconcile", "--dry-run", "--detailed-exitcode"], env=fleet.environment(0), capture_output=True, text=True)
            isConverged.last = f"{left}\n{done.stdout}{done.stderr}"
            return left == "0|0|0" and done.returncode == 0 and "surplus" not in done.stdout

        try:
            eventually("convergence", isConverged, CONVERGENCE_LIMIT)
            print(f"converged {time.monotonic() - began:.0f} s after the last fault")
        except RuntimeError as error:
            violations.append(f"{error}: {isConverged.last}")
        take_inventory(fleet, violations)
        removed = fleet.sql("SELECT coalesce(sum(count), 0) FROM event WHERE reason = 'OrphansRemoved'")
        print(f"inventory clean; orphans were removed {removed} times")
        check(fleet, workers, violations)
        isFine = not violations
    finally:
        fleet.close(keeps=not isFine)
    for name, count in sorted(tally.items()):
        print(f"  {count:6} {name}")
    print("faults:")
    for name, count in sorted(counts.items()):
        print(f"  {count:6} {name}")
    if fleet.postgres:
        print("requests to Postgres that faults hit:")
        for name, count in sorted(fleet.postgres.hits.items()):
            print(f"  {count:6} {name}")
    for one in violations[:50]:
        print(f"VIOLATION {one}")
    print(f"seed {seed}: {sum(tally.values())} operations, {sum(n for k, n in counts.items() if not k.startswith(' '))} faults, {len(violations)} violations")
    sys.exit(0 if isFine else 1)


main()
