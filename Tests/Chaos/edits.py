"""Edits of the spec, and what is found on disks, that make the steps come at which processes are to crash."""

import dataclasses
import os
import random
import re
import shutil
import subprocess
import time

from fleet import SLUICE, Backend

# Of the six characters that end a physical name (Sources/Transfer/PhysicalName.swift).
_SUFFIX = "0123456789abcdefghjkmnpqrstvwxyz"
# What is refused for so long, because sole copies came up meanwhile, is asked for anew.
_ABANDON_PATIENCE = 20
_DRAIN_PATIENCE = 60


class Edits:
    """Each method may be called again while the last call is still at work."""

    def __init__(self, fleet, seed, counts):
        self.fleet, self.random, self.counts = fleet, random.Random(seed + 3), counts
        self._serial, self._since = 0, 0.0
        # What was to be abandoned, and was not: `removal` by name.
        self._taken_back = {}

    def wait(self):
        """Load brings the point by itself."""

    def anything(self):
        getattr(self, self.random.choice(["move", "move_large", "finish_drain", "purge", "abandon", "leave_orphans"]))()

    # MARK: Drains

    def names(self, state):
        return [name for name, backend in self.fleet.backends.items() if backend.state == state]

    def drain(self, name):
        self.counts["drain"] += 1
        self.fleet.backends[name].state = "draining"
        self._since = time.monotonic()
        self.fleet.write_spec()

    def cancel_drains(self):
        leaving = self.names("draining")
        for name in leaving:
            self.fleet.backends[name].state = "active"
        if leaving:
            self.counts["undrain"] += 1
            self.fleet.write_spec()

    def _has_room(self):
        """Three stay active, as many as the largest factor."""
        return len(self.names("active")) > 3

    def move(self):
        if self.names("draining"):
            self.fleet.factor = self.random.choice([1, 2, 3])
            self.counts["change the factor"] += 1
            self.cancel_drains()
        elif self._has_room():
            self.drain(self.random.choice(self.names("active")))

    def finish_drain(self):
        leaving = self.names("draining")
        if not leaving and self._has_room():
            self.fleet.factor = 2
            self.drain(self.random.choice(self.names("active")))
        elif leaving and (self.phase(leaving[0]) == "drained" or time.monotonic() - self._since > _DRAIN_PATIENCE):
            self.cancel_drains()

    def move_large(self):
        """Drains a backend with a copy of the object that moves in parts."""
        if self.names("draining"):
            if time.monotonic() - self._since > 25:
                self.cancel_drains()
            return
        holders = self.fleet.sql("""
            SELECT b.name FROM object o JOIN copy c ON c.version_id = o.current_version JOIN backend b ON b.id = c.backend_id
            WHERE o.key LIKE 'large/%' AND c.state = 'live' ORDER BY 1""").split()
        holders = [name for name in holders if name in self.names("active")]
        if holders and self._has_room():
            self.fleet.factor = 2
            self.drain(self.random.choice(holders))

    # MARK: Removals

    def phase(self, name):
        return self.fleet.sql(f"SELECT phase FROM backend WHERE name = '{name}'")

    def removals(self):
        return self.names("removed")

    def _disk(self):
        """A disk that may go. Network backends wait an hour for late requests before they are retired."""
        disks = [name for name in self.names("active") if self.fleet.backends[name].place not in self.fleet.proxies]
        return self.random.choice(disks) if disks and self._has_room() else None

    def purge(self):
        if self.removals():
            return
        self.cancel_drains()
        name = self._disk()
        if name:
            self.counts["purge a backend"] += 1
            self._remove(name, "{ purge: true }")

    def _remove(self, name, removal):
        self.fleet.factor = 2
        self.fleet.backends[name].state, self.fleet.backends[name].removal = "removed", removal
        self._since = time.monotonic()
        self.fleet.write_spec()

    def abandon(self):
        """Gives a disk up, without any sole copy: what the plan would lose is asked before, as an operator does."""
        if self.removals():
            return
        self.cancel_drains()
        name = self._disk()
        if not name:
            return
        asked = {**self.fleet.backends, name: dataclasses.replace(self.fleet.backends[name], state="removed", removal="{ abandon: unknown }")}
        self.fleet.write_spec(asked, "asked")
        environment = {**self.fleet.environment(0), "SLUICE_SPEC": self.fleet.folder + "/asked"}
        plan = subprocess.run([SLUICE, "reconcile", "--dry-run"], env=environment, capture_output=True, text=True, timeout=60)
        token = re.search(r"\blose-0-[0-9a-f]{4}\b", plan.stdout)
        if token:
            self.counts["abandon a backend"] += 1
            self._remove(name, f"{{ abandon: {token[0]} }}")
        elif self.fleet.factor != 2:
            # Sole copies: with another copy of each there is nothing to lose.
            self.fleet.factor = 2
            self.fleet.write_spec()

    def _is_abandoned(self, name):
        return self.fleet.sql(f"SELECT abandoned_at IS NOT NULL FROM backend WHERE name = '{name}'") == "t"

    def finish_removals(self):
        """What is retired comes back under another name; an abandonment that was refused is taken back."""
        for name, removal in self._taken_back.items():
            # It was abandoned in the moment in which that was taken back, and such a spec is refused.
            if self.fleet.backends[name].state == "active" and self._is_abandoned(name):
                self.fleet.backends[name].state, self.fleet.backends[name].removal = "removed", removal
                self.fleet.write_spec()
        for name in self.removals():
            if self.phase(name) == "retired":
                self._return(name)
            elif "abandon" in self.fleet.backends[name].removal and time.monotonic() - self._since > _ABANDON_PATIENCE:
                if not self._is_abandoned(name):
                    self._taken_back[name] = self.fleet.backends[name].removal
                    self.fleet.backends[name].state, self.fleet.backends[name].removal = "active", ""
                    self.fleet.write_spec()

    def _return(self, name):
        self._serial += 1
        self._taken_back.pop(name, None)
        old = self.fleet.backends.pop(name)
        prefix = ""
        if "abandon" in old.removal:
            # A new disk in the place of the lost one. What is on that one is nobody's.
            path = f"{self.fleet.folder}/{old.place}"
            os.rename(path, f"{path}-lost{self._serial}")
            os.makedirs(path, exist_ok=True)
        elif self.random.random() < 0.5:
            prefix = f"again{self._serial}/"
        self.counts["a removed backend returns"] += 1
        self.fleet.backends[f"{old.place}-{self._serial}"] = Backend(old.place, prefix=prefix)
        self.fleet.write_spec()

    # MARK: Orphans

    def leave_orphans(self):
        """Copies of objects under names that no row has, as a crash of Postgres leaves them."""
        disks = [name for name in self.names("active") if self.fleet.backends[name].place not in self.fleet.proxies]
        name = self.random.choice(disks)
        root = self.fleet.root(self.fleet.backends[name])
        rows = self.fleet.sql(f"""
            SELECT c.physical_key FROM copy c JOIN backend b ON b.id = c.backend_id
            WHERE b.name = '{name}' AND c.state = 'live' AND c.bytes < 400000 ORDER BY c.id DESC LIMIT 4""").split("\n")
        for path in filter(None, rows):
            orphan = path[:-6] + "".join(self.random.choice(_SUFFIX) for _ in range(6))
            # Somebody may delete the object meanwhile: without both files there is no orphan, and nothing of one may stay.
            try:
                shutil.copyfile(f"{root}/{path}~meta", self.fleet.folder + "/orphan~meta")
                shutil.copyfile(f"{root}/{path}", f"{root}/{orphan}")
            except FileNotFoundError:
                continue
            os.rename(self.fleet.folder + "/orphan~meta", f"{root}/{orphan}~meta")
            self.counts["leave an orphan"] += 1
