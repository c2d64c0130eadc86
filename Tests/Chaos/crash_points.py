"""Every named crash point, hit with SIGKILL under load: see `scripts/chaos --crash-points`.

The points are the binary's own list. For each one some gateway, or where a step is taken once in the fleet each of them, is started
with SLUICE_CRASH_AT=point:count, and what makes the point come is arranged again and again until a process died there. A point
without an arrangement gets all of them in turn. One that is not hit within its limit fails the run.
"""

import collections
import contextlib
import dataclasses
import glob
import random
import re
import signal
import subprocess
import threading
import time

from fleet import ROOT, SLUICE, eventually

# What a dead or stopped process still holds so long after its end is taken from it: its leases last up to 300 s, half an hour for a
# scrub, and the next point is not to wait for them. At the end of a run nobody helps: there they run out by themselves.
LEASE_PATIENCE = 10
# Gateways look at their files every second. Some of them is up for so long even while others die.
EDIT_PATIENCE = 30
# A writer's rows are its own for 120 s (TransferLimits), a deleter's, too.
STOP_SECONDS = (125, 140)


@dataclasses.dataclass
class Arrangement:
    # A method of `Edits`, called every so many seconds.
    method: str
    # The largest count; the seed chooses.
    most: int = 1
    # Whether one gateway takes the step for all: then each is armed, and the first one dies.
    is_shared: bool = False
    pause: float = 6


LOAD = {name: Arrangement("wait", most) for name, most in {
    "after-intent": 40, "after-upload": 40, "after-commit": 40, "after-delete": 12, "after-upload-create": 3, "after-part": 4,
    "after-begin-complete": 3, "after-backend-complete": 3, "after-delete-claim": 6, "after-epoch-marker": 6,
    "after-backend-delete": 30, "after-settle": 30,
}.items()}
MOVES = {name: Arrangement("move", most) for name, most in {
    "after-move-intent": 8, "after-move-upload": 8, "after-move-commit": 8, "after-doom": 8}.items()}
STEPS = {
    "after-move-create": Arrangement("move_large", 1, True, 3),
    "after-move-part": Arrangement("move_large", 2, True, 3),
    "after-drain-start": Arrangement("move", 1, True),
    "after-drain-finish": Arrangement("finish_drain", 1, True, 2),
    "after-retiring": Arrangement("purge", 1, True, 3),
    "after-marker-delete": Arrangement("purge", 1, True, 3),
    "after-retired": Arrangement("purge", 1, True, 3),
    "after-marker-write": Arrangement("purge", 1, True, 3),
    "after-abandon": Arrangement("abandon", 1, True, 3),
    "after-abandoned-end": Arrangement("abandon", 1, True, 3),
    "after-orphan-doom": Arrangement("leave_orphans", 3, True, 8),
}
ARRANGEMENTS = {**LOAD, **MOVES, **STEPS}


def points_of(binary):
    """The names that the binary knows: it lists them when it is given one that it does not."""
    done = subprocess.run(
        [binary, "serve"], env={"SLUICE_CRASH_AT": "?", "SLUICE_SPEC": "/nonexistent", "SLUICE_DATABASE_URL": "postgresql:///none"},
        capture_output=True, text=True, timeout=30)
    names = re.findall(r"after-[a-z-]+", done.stderr.partition("with a name of")[2])
    if not names:
        raise RuntimeError(f"{binary} did not list its crash points: {done.stderr}")
    return names


def unreachable():
    """Points that the source declares and no place in it reaches: nothing is to be waited for."""
    with open(ROOT + "/Sources/Transfer/CrashPoint.swift", encoding="utf-8") as file:
        declared = dict(re.findall(r'case (\w+) = "([a-z-]+)"', file.read()))
    reached = set()
    for path in glob.glob(ROOT + "/Sources/**/*.swift", recursive=True):
        with open(path, encoding="utf-8") as file:
            reached.update(re.findall(r"\breached\(\.(\w+)\)", file.read()))
    return {name for case, name in declared.items() if case not in reached}


class Leases:
    """Ends the leases that were held at a moment and are still held, by the same token, some seconds later."""

    HOLDERS = [
        # table, token, until, condition, what is over. A copy in parts is gone on with only if its lease has ended lately.
        ("work", "token", "lease_until", "true", "'-infinity'"),
        ("copy", "lease_token", "lease_until", "state = 'writing' AND upload_id IS NULL", "clock_timestamp()"),
        ("copy", "claim_token", "claim_until", "state = 'doomed'", "'-infinity'"),
        ("inventory", "token", "lease_until", "true", "'-infinity'"),
        ("scrub", "token", "lease_until", "true", "'-infinity'"),
        ("rebalance", "token", "lease_until", "true", "'-infinity'"),
    ]

    def __init__(self, fleet):
        self.fleet, self._noted, self._lock = fleet, [], threading.Lock()

    def note(self):
        held = " UNION ".join(
            f"SELECT {token} FROM {table} WHERE {where} AND {until} > clock_timestamp()" for table, token, until, where, _ in self.HOLDERS)
        with contextlib.suppress(RuntimeError):
            tokens = self.fleet.sql(f"SELECT DISTINCT t FROM ({held}) x(t) WHERE t IS NOT NULL").split()
            with self._lock:
                self._noted.append((time.monotonic() + LEASE_PATIENCE, tokens))

    def end_old(self):
        now = time.monotonic()
        with self._lock:
            due = [token for when, tokens in self._noted if when <= now for token in tokens]
            self._noted = [one for one in self._noted if one[0] > now]
        if due:
            tokens = "'{" + ",".join(due) + "}'::uuid[]"
            with contextlib.suppress(RuntimeError):
                self.fleet.sql("; ".join(
                    f"UPDATE {table} SET {until} = {over} WHERE {where} AND {token} = ANY ({tokens}) AND {until} > clock_timestamp()"
                    for table, token, until, where, over in self.HOLDERS))


class LongStop(threading.Thread):
    """Stops a gateway that is not to crash for longer than its leases, again and again: it wakes in the middle of what is over."""

    def __init__(self, schedule, seed, counts):
        super().__init__(daemon=True)
        self.schedule, self.counts, self.random, self.over = schedule, counts, random.Random(seed + 17), threading.Event()

    def run(self):
        fleet = self.schedule.fleet
        while not self.over.wait(self.random.uniform(5, 20)):
            with self.schedule.lock:
                free = [index for index in range(len(fleet.gateways)) if index not in self.schedule.armed]
                if not free:
                    continue
                fleet.stopped = self.random.choice(free)
                gateway = fleet.gateways[fleet.stopped]
                gateway.send_signal(signal.SIGSTOP)
            self.schedule.leases.note()
            is_cut_short = self.over.wait(self.random.uniform(*STOP_SECONDS))
            gateway.send_signal(signal.SIGCONT)
            fleet.stopped = None
            if not is_cut_short:
                self.counts["stop a gateway beyond its leases"] += 1

    def end(self):
        self.over.set()
        self.join()


class CrashSchedule:
    def __init__(self, fleet, edits, faults, seed, counts, violations, limit):
        self.fleet, self.edits, self.faults, self.counts, self.violations, self.limit = fleet, edits, faults, counts, violations, limit
        self.random = random.Random(seed + 5)
        self.points = points_of(SLUICE)
        for name in ARRANGEMENTS.keys() - set(self.points):
            violations.append(f"{name} is arranged for, and no crash point of {SLUICE}")
        self.unreachable = unreachable()
        self.hits, self.missed = collections.Counter(), collections.Counter()
        # Indices of gateways that are to crash. Who changes this or `fleet.stopped` has the lock.
        self.armed, self.lock = set(), threading.Lock()
        self.leases = Leases(fleet)
        # The last edit of the spec that was seen to be in force.
        self.taken_up = None

    def run(self, minutes):
        """All points once in any case, then again until the time is over."""
        end = time.monotonic() + minutes * 60
        stops = LongStop(self, self.random.randrange(1 << 32), self.counts)
        stops.start()
        try:
            while True:
                order = [point for point in self.points if not self.missed[point] and point not in self.unreachable]
                self.random.shuffle(order)
                for point in order:
                    if self.hits[point] and time.monotonic() > end:
                        continue
                    self.hit(point)
                    if self.random.random() < 0.25:
                        self.fault()
                if time.monotonic() > end:
                    break
        finally:
            stops.end()
        self.edits.cancel_drains()
        try:
            eventually("removals that were begun are over", lambda: self.tick() or self.edits.removals() == [], 180)
        except RuntimeError as error:
            self.violations.append(f"{error}: {', '.join(f'{name} is {self.edits.phase(name)}' for name in self.edits.removals())}")

    def fault(self):
        kind = self.random.choice(["fail a backend", "end connections of Postgres", "kill Postgres", "stop a gateway"])
        if kind == "stop a gateway" and self.fleet.stopped is not None:
            return
        self.counts[kind] += 1
        getattr(self.faults, kind.replace(" ", "_"))()

    def tick(self):
        """What goes on whatever is waited for."""
        self.leases.end_old()
        with contextlib.suppress(RuntimeError):
            self.edits.finish_removals()
        with contextlib.suppress(RuntimeError):
            self.see_edits_taken_up()
        self.fleet.restart_ended(self.violations, self.armed)

    def see_edits_taken_up(self):
        waited = time.monotonic() - self.fleet.edited_at
        if self.taken_up == self.fleet.edit or waited < EDIT_PATIENCE:
            return
        if self.fleet.is_edit_in_force():
            self.taken_up = self.fleet.edit
            return
        self.violations.append(f"an edit was not taken up by any gateway within {waited:.0f} s, at {time.strftime('%H:%M:%S')}")
        # Once more, so that the run goes on.
        self.fleet.write_spec()

    # MARK: One point

    def hit(self, point):
        arrangement = ARRANGEMENTS.get(point, Arrangement("anything", 1, True))
        count = self.random.randint(1, arrangement.most)
        began = time.monotonic()
        self.arm(point, count, arrangement)
        if self.fleet.postgres and self.random.random() < 0.5:
            # It waits for its requests in the background.
            self.counts["fail a connection of Postgres"] += 1
            self.faults.fail_a_connection_of_Postgres(edits=False)
        # While they start, or once they are up.
        upcoming = began + self.random.choice([0, 3])
        dead = []
        while not dead and time.monotonic() - began < self.limit:
            if count > 1 and time.monotonic() - began > self.limit / 2:
                # So often it does not come: any time is better than none.
                count = 1
                self.disarm()
                self.arm(point, count, arrangement)
            if time.monotonic() >= upcoming:
                with contextlib.suppress(RuntimeError, OSError):
                    getattr(self.edits, arrangement.method)()
                upcoming = time.monotonic() + arrangement.pause
            self.tick()
            time.sleep(0.1)
            dead = self.died(point, count)
        seconds = time.monotonic() - began
        if dead:
            self.hits[point] += len(dead)
        names = ", ".join(f"gateway{index}" for index in dead) or "NOT HIT"
        print(f"  {time.strftime('%H:%M:%S')} {point}:{count} {names}, {seconds:.0f} s", flush=True)
        if not dead:
            self.missed[point] += 1
        self.leases.note()
        # Dead for a moment, as with a supervisor.
        time.sleep(self.random.uniform(0, 1))
        self.disarm()

    def died(self, point, count):
        """Which armed gateways died there; one that ended in another way is started again with the same point."""
        ended = [index for index in self.armed if self.fleet.gateways[index].poll() is not None]
        dead = [index for index in ended if self.fleet.gateways[index].returncode == -signal.SIGKILL]
        for index in set(ended) - set(dead):
            status = self.fleet.gateways[index].returncode
            self.violations.append(f"gateway{index} was to die at {point}:{count}, and ended with {status}")
            with self.lock:
                self.restart(index, f"{point}:{count}")
        return dead

    def arm(self, point, count, arrangement):
        with self.lock:
            free = [index for index in range(len(self.fleet.gateways)) if index != self.fleet.stopped]
            self.armed = set(free if arrangement.is_shared else [self.random.choice(free)])
            for index in self.armed:
                self.restart(index, f"{point}:{count}")
        self.leases.note()

    def disarm(self):
        with self.lock:
            for index in self.armed:
                self.restart(index)
            self.armed = set()

    def restart(self, index, crash_at=""):
        self.fleet.gateways[index].kill()
        self.fleet.gateways[index].wait()
        self.fleet.start(index, crash_at)

    # MARK: Tally

    def print_tally(self):
        print("crash points, and how often a process died there:")
        for point in self.points:
            why = ": nothing in Sources reaches it" if point in self.unreachable else ""
            print(f"  {self.hits[point]:6} {point}" + (f"  NOT HIT{why}" if not self.hits[point] else ""))

    @property
    def has_hit_all(self):
        return all(self.hits[point] for point in self.points)
