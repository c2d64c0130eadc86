"""The schedule of faults: what is killed, stopped, cut off and edited, from a seed."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time

import postgres_proxy
from fault_proxy import MODES
from fleet import eventually

# Whose requests and answers go wrong, by what their SQL contains; two names are one chain of faults. Empty: any statement.
POSTGRES_TARGETS = [
    ("commit_v",), ("commit_v",), ("commit_v", "resolve_v"), ("commit_v", "resolve_v", "give_up_v"), ("delete_v",), ("delete_v",),
    ("intend_v",), ("give_up_v",), ("claim_leaving_v",), ("intend_copy_v",), ("commit_copy_v",), ("doom_v",), ("settle_v",), ("accept_v",),
    ("change_phase_v",), ("create_upload_v", "open_upload_v"), ("record_part_v",), ("begin_complete_v",), (),
]


class Chaos:
    def __init__(self, fleet, seed, counts):
        self.fleet, self.random, self.counts = fleet, random.Random(seed), counts

    def one(self):
        kinds = [
            "kill a gateway", "stop a gateway", "kill Postgres", "end connections of Postgres", "make Postgres read-only",
            "fail a backend", "fail a backend",
            "fail a backend", "take a disk away", "drain", "undrain", "change the factor",
        ]
        # These wait for their requests in the background, so that they meet the other faults.
        if self.fleet.postgres:
            kinds += ["fail a connection of Postgres"] * 8
        kind = self.random.choice(kinds)
        self.counts[kind] += 1
        getattr(self, kind.replace(" ", "_").replace("-", "_"))()

    def kill_a_gateway(self):
        index = self.random.randrange(len(self.fleet.gateways))
        self.fleet.gateways[index].kill()
        self.fleet.gateways[index].wait()
        time.sleep(self.random.uniform(0, 1))
        self.fleet.start(index)

    def stop_a_gateway(self):
        gateway = self.fleet.gateways[self.random.randrange(len(self.fleet.gateways))]
        gateway.send_signal(signal.SIGSTOP)
        time.sleep(self.random.uniform(1, 8))
        gateway.send_signal(signal.SIGCONT)

    def kill_Postgres(self):
        self.fleet.kill_postgres()

    def end_connections_of_Postgres(self):
        with contextlib.suppress(RuntimeError):
            self.fleet.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")

    def make_Postgres_read_only(self):
        """As a standby is, or a server whose disk is full: it reads, and refuses what writes."""
        def switch(value):
            subprocess.run(
                ["psql", "-qAtX", self.fleet.url, "-c", f"ALTER SYSTEM SET default_transaction_read_only = {value}", "-c", "SELECT pg_reload_conf()"],
                env={**os.environ, "PGOPTIONS": "-c default_transaction_read_only=off"}, capture_output=True, check=True)
        try:
            switch("on")
            time.sleep(self.random.uniform(1, 8))
        finally:
            # Another fault may have stopped it just now.
            eventually("Postgres is told to write again", lambda: switch("off") or True)

    def fail_a_connection_of_Postgres(self, edits=True):
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
        if targets == ("change_phase_v",) and edits:
            self.random.choice([self.drain, self.undrain])()

    def fail_a_backend(self):
        proxy = self.fleet.proxies[self.random.choice(["s3a", "s3b"])]
        mode = self.random.choice(MODES)
        self.counts["  " + mode] += 1
        proxy.set(mode)
        time.sleep(self.random.uniform(0.5, 8))
        proxy.set("pass")

    def take_a_disk_away(self):
        path = f"{self.fleet.folder}/{self.random.choice(self.fleet.disks)}"
        os.rename(path, path + "-away")
        time.sleep(self.random.uniform(0.5, 8))
        # Somebody may have made an empty folder in its place meanwhile: that is the fault, and it goes.
        if os.path.isdir(path):
            shutil.rmtree(path)
        os.rename(path + "-away", path)

    def drain(self):
        # Two stay active, as many as the factor asks for.
        active = [name for name, backend in self.fleet.backends.items() if backend.state == "active"]
        if len(active) > 2:
            self.fleet.backends[self.random.choice(active)].state = "draining"
            self.fleet.write_spec()

    def undrain(self):
        leaving = [name for name, backend in self.fleet.backends.items() if backend.state == "draining"]
        if leaving:
            self.fleet.backends[self.random.choice(leaving)].state = "active"
            self.fleet.write_spec()

    def change_the_factor(self):
        self.fleet.factor = self.random.choice([1, 2, 3])
        self.fleet.write_spec()
